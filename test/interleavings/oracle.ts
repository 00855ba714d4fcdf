/**
 * What must hold. During a run, after every effect that could break it: checkpoints never move past
 * data that is not durable (I1, I2), readers never see half a batch, the fence, the ledger and the
 * loads only go up, no key twice (I4), no marker goes before its run is loaded. And at the end,
 * computed from the account's own log: every event in bronze, the tables row for row (I3, I5),
 * every run and batch in an end state (I6).
 */
import { type Checkpoint, windowKey } from '../../functions/checkpoint.ts';
import type { Ledger } from '../../functions/ledger.ts';
import { type BatchManifest, place, type RunManifest, runNamed } from '../../functions/manifest.ts';
import type { Window } from '../../functions/window.ts';
import type { StoredObject } from '../../functions/world.ts';
import type { Account } from './account.ts';
import type { Buckets, Watcher } from './buckets.ts';
import { catalog } from './contracts.ts';
import { Broken, type Simulation } from './simulation.ts';
import {
  daysOf,
  type Event,
  type eventsIn,
  keyOf,
  newer,
  partitionOf,
  type Row,
  type Spark,
  type TableName,
  tableNames,
} from './spark.ts';
import type { Tables } from './warehouse.ts';

/** Kinds of control objects that are written over; all others are created once. */
const changing: ReadonlySet<string> = new Set(['checkpoints', 'ledgers', 'waiting', 'reconciled']);

interface Parts {
  readonly simulation: Simulation;
  readonly buckets: Buckets;
  readonly tables: Tables;
  readonly account: Account;
  readonly spark: Spark;
  readonly names: { readonly bronze: string; readonly control: string; readonly lake: string };
}

type Spans = (readonly [number, number])[];

/** Rows never change, and most of them are compared again with every batch. */
const texts = new WeakMap<Row, string>();
const without = (row: Row): string => {
  const known = texts.get(row);
  if (known !== undefined) return known;
  const { updated_at: _, ...rest } = row;
  const text = JSON.stringify(Object.entries(rest).sort());
  texts.set(row, text);
  return text;
};
const asSet = (rows: readonly Row[]): readonly string[] => rows.map(without).sort();

export class Oracle implements Watcher {
  #parts: Parts | null = null;
  readonly #manifests = new Map<string, RunManifest>();
  readonly #batches = new Map<number, BatchManifest>();
  readonly #standing = new Map<string, BatchManifest>();
  readonly #failed = new Set<string>();
  /** The batch of each claim. */
  readonly #batchOf = new Map<string, string>();
  readonly #claimed = new Map<number, Map<string, Set<string>>>();
  readonly #read = new Map<string, Spans>();
  readonly #begins = new Map<string, number>();
  readonly #edges = new Map<string, string>();
  readonly #pieces = new Map<string, RunManifest>();
  #open: readonly Window[] = [];
  #ledger: Ledger | null = null;
  #fences = new Map<string, number>();
  #shown = new Map<string, readonly Row[]>();

  watch(parts: Parts): void {
    this.#parts = parts;
    parts.tables.committed = (changed) => this.#committed(changed);
    parts.spark.submitted = (id, args) => this.#submitted(id, args);
  }

  get #around(): Parts {
    if (this.#parts === null) throw new Error('nothing is watched yet');
    return this.#parts;
  }

  #breaks(text: string): void {
    this.#around.simulation.break(text);
  }

  // --- during the run

  /** However often it is submitted, a claim is one batch: two would be paid for, and race. */
  #submitted(id: string, args: readonly string[]): void {
    const claim = args[args.indexOf('--claim') + 1] ?? '';
    const first = this.#batchOf.get(claim);
    if (first !== undefined) this.#breaks(`${claim} was given to ${first} and to ${id}`);
    this.#batchOf.set(claim, id);
  }

  written(object: StoredObject, bytes: Buffer, replaced: StoredObject | null): void {
    const { names, simulation } = this.#around;
    if (object.bucket !== names.control) return;
    const json = <T>(): T => JSON.parse(bytes.toString()) as T;
    const [kind] = object.name.split('/');
    if (!changing.has(kind ?? '') && replaced !== null) {
      this.#breaks(`${object.name} was written over: it is created once`);
    }
    if (kind === 'runs') this.#landed(json<RunManifest>(), object.name);
    if (kind === 'checkpoints') this.#moved(json<Checkpoint>());
    if (kind === 'ledgers') this.#stepped(json<Ledger>());
    if (kind === 'failed') this.#failed.add(json<{ run: string }>().run);
    if (kind === 'batches') {
      const manifest = json<BatchManifest>();
      this.#batches.set(manifest.sequence, manifest);
      this.#standing.set(object.name, manifest);
    }
    if (kind !== 'checkpoints' && kind !== 'staging') {
      simulation.note(null, `+ ${object.name} #${object.generation}`, 'landmark');
    }
  }

  removed(object: StoredObject): void {
    const { names, tables, simulation } = this.#around;
    simulation.note(null, `- ${object.name} #${object.generation}`, 'landmark');
    if (object.bucket !== names.control) return;
    this.#standing.delete(object.name);
    if (!object.name.startsWith('waiting/')) return;
    const of = runNamed(object.name);
    if (of === null) return;
    const run = place.run(of.domain, of.source, of.run);
    if (this.#failed.has(run)) return;
    const fence = tables.fence(of.domain);
    for (const [sequence, claims] of this.#claimed) {
      const claimed = claims.get(run)?.has(object.generation) === true;
      const took = this.#batches.get(sequence)?.runs.includes(run) === true;
      if (claimed && took && sequence <= fence) return;
    }
    const forgotten = simulation.now - object.updated > 7 * 24 * 3600_000;
    if (forgotten && !this.#manifests.has(run)) return;
    this.#breaks(`${object.name} was removed although no loaded batch has taken that marker's run`);
  }

  #landed(manifest: RunManifest, name: string): void {
    const { buckets, names } = this.#around;
    this.#manifests.set(name, manifest);
    for (const file of manifest.files) {
      const there = buckets.stat(names.bronze, file.name);
      if (there?.generation !== file.generation || there.crc32c !== file.crc32c) {
        this.#breaks(`${name} lists ${file.name}, which is not in bronze as listed`);
      }
    }
    const { window, remaining } = manifest;
    if (window === null) return;
    this.#pieces.set(windowKey(window), manifest);
    const from = remaining === null ? Date.parse(window.from) : Date.parse(remaining.to);
    if (remaining !== null && remaining.from !== window.from) {
      this.#breaks(`${name} leaves a remainder that does not begin where its window begins`);
    }
    const read = this.#read.get(window.pass) ?? [];
    read.push([from, Date.parse(window.to)]);
    this.#read.set(window.pass, read);
  }

  /** Everything before a pass's edge is open, or landed by a run that has a manifest. */
  #moved(checkpoint: Checkpoint): void {
    const stillOpen = new Set(checkpoint.open.map(windowKey));
    for (const window of this.#open) {
      // Read to its end: every piece landed, or the rest of it open.
      for (let rest: Window | null = window; rest !== null && !stillOpen.has(windowKey(rest)); ) {
        const piece = this.#pieces.get(windowKey(rest));
        if (piece === undefined) {
          this.#breaks(`${windowKey(rest)} left the checkpoint and was never landed`);
          break;
        }
        rest = piece.remaining;
      }
    }
    this.#open = checkpoint.open;
    for (const [pass, edge] of Object.entries(checkpoint.edges)) {
      const open = checkpoint.open.filter((window: Window) => window.pass === pass);
      const spans: Spans = open.map((window) => [Date.parse(window.from), Date.parse(window.to)]);
      const begin =
        this.#begins.get(pass) ?? Math.min(Date.parse(edge), ...spans.map(([from]) => from));
      this.#begins.set(pass, begin);
      if (edge < (this.#edges.get(pass) ?? '')) this.#breaks(`the edge of ${pass} moved back`);
      this.#edges.set(pass, edge);
      let reached = begin;
      const known = [...spans, ...(this.#read.get(pass) ?? [])].sort((a, b) => a[0] - b[0]);
      for (const [from, to] of known) {
        if (from > reached) break;
        reached = Math.max(reached, to);
      }
      if (reached < Date.parse(edge)) {
        this.#breaks(
          `the checkpoint moved past data that is not durable: ${pass} from ${new Date(reached).toISOString()} is neither open nor landed`,
        );
      }
    }
  }

  #stepped(next: Ledger): void {
    const before = this.#ledger;
    this.#ledger = next;
    const fence = this.#around.tables.fence(next.domain);
    if (next.loaded > fence) {
      this.#breaks(`the ledger says ${next.loaded} is loaded, the fence stands at ${fence}`);
    }
    const flight = next.in_flight;
    if (flight !== null) {
      if (flight.sequence > next.sequence) this.#breaks('in flight beyond the last sequence');
      const claims = this.#claimed.get(flight.sequence) ?? new Map<string, Set<string>>();
      for (const { manifest, marker } of flight.runs) {
        if (!this.#manifests.has(manifest))
          this.#breaks(`${manifest} was claimed before it landed`);
        claims.set(manifest, (claims.get(manifest) ?? new Set<string>()).add(marker));
      }
      this.#claimed.set(flight.sequence, claims);
    }
    if (before === null) return;
    if (next.loaded < before.loaded) this.#breaks('the ledger forgot a load');
    if (next.sequence < before.sequence) this.#breaks('the ledger went back to an older sequence');
    if (
      next.loaded === before.loaded &&
      JSON.stringify(next.base) !== JSON.stringify(before.base)
    ) {
      this.#breaks('the base moved without a load');
    }
    const was = before.in_flight;
    if (was === null || was.sequence === flight?.sequence) return;
    const work = [...was.runs.map((run) => run.manifest), ...was.recompute];
    const setAside = work.some((name) => this.#failed.has(name));
    const abandoned = (next.abandoned?.count ?? 0) > (before.abandoned?.count ?? 0);
    if (abandoned) {
      for (const { manifest } of was.runs) {
        const of = runNamed(manifest);
        if (of === null) continue;
        const marker = place.waiting(of.domain, of.source, of.run);
        if (this.#around.buckets.stat(this.#around.names.control, marker) !== null) continue;
        this.#breaks(`batch ${was.sequence} was given up, but ${manifest} does not wait`);
      }
    }
    if (next.loaded < was.sequence && !setAside && !abandoned) {
      this.#breaks(`batch ${was.sequence} left the ledger without being loaded or set aside`);
    }
  }

  #committed(changed: ReadonlySet<string>): void {
    const { tables, simulation } = this.#around;
    for (const row of tables.rows.get('ops.fence') ?? []) {
      const domain = String(row['domain']);
      const sequence = Number(row['sequence']);
      if (sequence < (this.#fences.get(domain) ?? 0)) this.#breaks(`the fence of ${domain} fell`);
      this.#fences.set(domain, sequence);
    }
    for (const table of changed) {
      const key = catalog.tables[table]?.key ?? [];
      const seen = new Set<string>();
      for (const row of tables.rows.get(table) ?? []) {
        const value = JSON.stringify(key.map((column) => row[column]));
        if (seen.has(value)) this.#breaks(`${table} has ${value} twice`);
        seen.add(value);
      }
    }
    if (![...changed].some((table) => table.startsWith('email.'))) return;
    // What readers saw before, with exactly this batch's partitions replaced: whole, or not at all.
    const sequence = tables.fence('email');
    simulation.note(null, `fence of email: ${sequence}`, 'landmark');
    const manifest = this.#batches.get(sequence);
    for (const table of tableNames) {
      const partition = catalog.tables[table]?.partition ?? '';
      const output = manifest?.tables.find((candidate) => candidate.table === table);
      const kept = (this.#shown.get(table) ?? []).filter(
        (row) => output?.partitions?.includes(String(row[partition])) !== true,
      );
      const expected = [...kept, ...this.#rowsOf(output?.files ?? [])];
      const now = tables.rows.get(table) ?? [];
      if (JSON.stringify(asSet(expected)) !== JSON.stringify(asSet(now))) {
        this.#breaks(`readers saw ${table} with something else than batch ${sequence} as a whole`);
      }
      this.#shown.set(table, now);
    }
  }

  #rowsOf(uris: readonly string[]): readonly Row[] {
    return uris.flatMap((uri) => this.#files.get(uri) ?? []);
  }

  /** Rows of gold files by their gs:// name. */
  readonly #files = new Map<string, readonly Row[]>();
  goldWritten(object: StoredObject, bytes: Buffer): void {
    const lines = bytes
      .toString()
      .split('\n')
      .filter((line) => line !== '');
    this.#files.set(
      `gs://${object.bucket}/${object.name}`,
      lines.map((line) => JSON.parse(line) as Row),
    );
  }

  // --- at the end

  /** Everything that is not as it must be once faults have stopped; empty = all is well. */
  async unsettled(): Promise<readonly string[]> {
    const { buckets, names, tables, spark, simulation } = this.#around;
    const faults: string[] = [];
    const checkpoint = await buckets.json<Checkpoint>(
      names.control,
      place.checkpoint('email', 'email_events'),
    );
    if (checkpoint === null) return ['nothing was pulled'];
    if (checkpoint.open.length > 0) faults.push(`${checkpoint.open.length} windows are open`);
    const waiting = buckets.look(names.control, 'waiting/');
    for (const marker of waiting) faults.push(`${marker.name} still waits`);
    for (const request of buckets.look(names.control, 'recompute/')) {
      faults.push(`${request.name} is not taken up`);
    }
    const ledger = await buckets.json<Ledger>(names.control, place.ledger('email'));
    if (ledger === null) return [...faults, 'no batch was ever claimed'];
    if (ledger.in_flight !== null) {
      faults.push(
        `batch ${ledger.in_flight.sequence} attempt ${ledger.in_flight.attempt} is in flight`,
      );
    }
    if (ledger.stale > 0) faults.push(`${ledger.stale} partitions are stale`);
    const fence = tables.fence('email');
    if (ledger.loaded !== fence) faults.push(`ledger ${ledger.loaded}, fence ${fence}`);

    for (const [id, batch] of spark.batches) {
      if (['pending', 'running'].includes(batch.state.state))
        faults.push(`batch ${id} is not over`);
    }
    const taken = new Set<string>();
    for (const manifest of this.#standing.values()) {
      const { sequence } = manifest;
      if (sequence <= fence) for (const run of manifest.runs) taken.add(run);
      if (buckets.stat(names.control, place.load('email', sequence)) === null) {
        faults.push(`batch ${sequence} is transformed and has no load record`);
      }
    }
    const rows = new Map((tables.rows.get('ops.runs') ?? []).map((row) => [row['run'], row]));
    for (const [name, manifest] of this.#manifests) {
      const over = manifest.files.length === 0 || taken.has(name);
      if (!over) faults.push(`${name} has come to no end`);
      const state = rows.get(manifest.run)?.['state'];
      // Written with its batch; what needs none appears with the hourly rebuild.
      const age = simulation.now - Date.parse(manifest.finished_at);
      if (age > 75 * 60_000 && age < 20 * 3600_000 && state !== 'loaded') {
        faults.push(`ops.runs says ${state ?? 'nothing'} of ${name}`);
      }
    }
    // The costly part only when the rest is in order.
    return faults.length > 0 ? faults : this.#differences(taken);
  }

  /** Bronze against the account's log, the tables against both. */
  async #differences(taken: ReadonlySet<string>): Promise<readonly string[]> {
    const { account, simulation, tables, spark } = this.#around;
    const faults: string[] = [];
    const begin = this.#begins.get('hot') ?? 0;
    const loaded = new Map<string, Event>();
    const kept = new Map<string, Set<string>>();
    const refused: string[] = [];
    for (const [name, manifest] of this.#manifests) {
      const { events: found, unreadable } = await this.#eventsOf(manifest);
      refused.push(...unreadable);
      for (const event of found) {
        const key = keyOf(event);
        kept.set(key, (kept.get(key) ?? new Set()).add(event.text));
        if (!taken.has(name)) continue;
        const held = loaded.get(key);
        if (held === undefined || newer(event, held)) loaded.set(key, event);
      }
    }
    // A run that was set aside may have reached silver before its batch gave up.
    for (const event of spark.silverAt(this.#batches.get(tables.fence('email'))).values()) {
      const held = loaded.get(keyOf(event));
      const sent = kept.has(keyOf(event));
      if (!sent) faults.push(`${keyOf(event)} is in silver and not in bronze`);
      if (held === undefined || newer(event, held)) loaded.set(keyOf(event), event);
    }
    const settled = simulation.now - 10 * 60_000;
    for (const event of account.log) {
      if (event.created < begin || event.visible > settled) continue;
      const key = keyOf(event);
      if (event.garbled === true) {
        const raw = refused.filter((text) => text.includes(account.text(event, 0).slice(0, 40)));
        if (raw.length === 0) faults.push(`${key} was dropped: what holds it is not in bronze`);
        if (loaded.has(key)) faults.push(`${key} was read although it cannot be`);
        continue;
      }
      const texts = kept.get(key);
      const possible = [account.text(event, 0), account.text(event, Number.MAX_SAFE_INTEGER)];
      if (texts === undefined) faults.push(`${key} never reached bronze`);
      else if (![...texts].every((text) => possible.includes(text))) {
        faults.push(`${key} is not in bronze as it was sent`);
      }
      const now = loaded.get(key);
      const obsoleted = event.obsoleted !== null && event.obsoleted <= settled;
      if (now === undefined) faults.push(`${key} was never transformed`);
      else if (now.obsoleted !== obsoleted) faults.push(`${key} is there in an older version`);
    }
    const events = [...loaded.values()];
    for (const table of tableNames) {
      const expected = daysOf(table, events).flatMap((day) =>
        partitionOf(table, day, events, spark.codeVersion),
      );
      const [ours, theirs] = [asSet(tables.rows.get(table) ?? []), asSet(expected)];
      faults.push(...compared(table, ours, theirs));
    }
    return faults;
  }

  async #eventsOf(manifest: RunManifest): Promise<ReturnType<typeof eventsIn>> {
    const { buckets, names, spark } = this.#around;
    const files: ReturnType<typeof eventsIn>[] = [];
    for (const file of manifest.files) {
      const bytes = await buckets.bytes(names.bronze, file.name);
      if (bytes === null) throw new Broken(`${file.name} has left bronze`);
      files.push(spark.eventsOf(file, bytes));
    }
    return {
      events: files.flatMap(({ events }) => events),
      unreadable: files.flatMap(({ unreadable }) => unreadable),
    };
  }
}

function compared(table: TableName, ours: readonly string[], theirs: readonly string[]): string[] {
  const have = new Set(ours);
  const want = new Set(theirs);
  const missing = theirs.filter((row) => !have.has(row));
  const surplus = ours.filter((row) => !want.has(row));
  if (missing.length + surplus.length === 0 && ours.length === theirs.length) return [];
  return [
    `${table} differs: ${missing.length} rows missing, ${surplus.length} too many; first ${missing[0] ?? surplus[0] ?? 'a row twice'}`,
  ];
}
