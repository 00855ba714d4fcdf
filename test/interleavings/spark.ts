/**
 * Dataproc and the Spark job, as models: a batch is created once per id, waits, runs, and may never
 * run, be lost half-way, or go on unseen after it was given up. The job is the same sequence of
 * effects as the real one's: merge into silver, touched partitions since the base version, gold
 * files, partition states, batch manifest last; ledger looked at again before each commit.
 */
import { createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import type { Ledger } from '../../functions/ledger.ts';
import {
  type BatchFailure,
  type BatchManifest,
  batchName,
  type Claim,
  createJson,
  place,
  type RunManifest,
  readJson,
  type SourceOutput,
  type TableOutput,
} from '../../functions/manifest.ts';
import type { Batches, BatchState, Objects } from '../../functions/world.ts';
import type { Process, Simulation } from './simulation.ts';

const SILVER = 'silver/email/email_events';
const STATES = 'state/email/partitions';

/** Stale partitions of one table worked off by one batch. */
const STALE_AT_ONCE = 20;

export interface Event {
  readonly id: string;
  readonly created: number;
  readonly type: string;
  readonly sentBy: { readonly id: string; readonly created: number } | null;
  readonly obsoleted: boolean;
  readonly observed: string;
  readonly hash: string;
}

export type Row = Readonly<Record<string, unknown>>;

/** Instants before this are not in any account here. */
const EPOCH = Date.UTC(2026, 10, 1);

/**
 * The partition of an instant. Twenty minutes count as a day, so that a run of a few hours has many
 * partitions of few rows, some of which become empty again.
 */
export function dayOf(ms: number): string {
  const part = Math.floor((ms - EPOCH) / 1_200_000);
  const known = days.get(part) ?? new Date(EPOCH + part * 86_400_000).toISOString().slice(0, 10);
  days.set(part, known);
  return known;
}
const days = new Map<number, string>();

/** The partitions of each table that an event touches: where people look for it. */
const touchedBy = {
  'email.email_send': (event: Event) => dayOf(event.sentBy?.created ?? event.created),
  'email.engagement_by_day': (event: Event) => dayOf(event.created),
} as const;
export type TableName = keyof typeof touchedBy;
export const tableNames = Object.keys(touchedBy) as readonly TableName[];

/** One day of a table, a pure function of silver and the code's version. */
export function partitionOf(
  table: TableName,
  day: string,
  events: readonly Event[],
  code: string,
): readonly Row[] {
  if (table === 'email.email_send') {
    const sends = events.filter(
      (event) => event.type === 'SENT' && !event.obsoleted && dayOf(event.created) === day,
    );
    return sends
      .sort((a, b) => (a.id < b.id ? -1 : 1))
      .map((send) => ({
        sent_date: day,
        send_id: send.id,
        opens: events.filter((event) => event.type === 'OPEN' && event.sentBy?.id === send.id)
          .length,
        code_version: code,
      }));
  }
  const counts = new Map<string, number>();
  for (const event of events) {
    if (dayOf(event.created) !== day) continue;
    counts.set(event.type, (counts.get(event.type) ?? 0) + 1);
  }
  return [...counts]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([event_type, number]) => ({
      event_date: day,
      event_type,
      events: number,
      code_version: code,
    }));
}

export const daysOf = (table: TableName, events: readonly Event[]): readonly string[] =>
  [...new Set(events.map(touchedBy[table]))].sort();

export const keyOf = (event: { readonly id: string; readonly created: number }): string =>
  `${event.id} ${event.created}`;

/** Newest wins: later observation, then greater hash. */
export const newer = (a: Event, b: Event): boolean =>
  a.observed > b.observed || (a.observed === b.observed && a.hash > b.hash);

/** Events of one bronze file, with what cannot be read as one. */
export function eventsIn(gzipped: Buffer): {
  readonly events: readonly (Event & { readonly poison: boolean; readonly text: string })[];
  readonly unreadable: readonly string[];
} {
  const events: (Event & { poison: boolean; text: string })[] = [];
  const unreadable: string[] = [];
  for (const line of gunzipSync(gzipped).toString().split('\n')) {
    if (line === '') continue;
    const { observed_at, payload } = JSON.parse(line) as { observed_at: string; payload: string };
    const page = pageIn(payload);
    if (page === null) {
      unreadable.push(payload);
      continue;
    }
    for (const record of page.events) {
      const text = JSON.stringify(record);
      events.push({
        id: String(record['id']),
        created: Number(record['created']),
        type: String(record['type']),
        sentBy: (record['sentBy'] as Event['sentBy']) ?? null,
        obsoleted: 'obsoletedBy' in record,
        observed: observed_at,
        hash: createHash('sha256').update(text).digest('hex'),
        poison: record['poison'] === true,
        text,
      });
    }
  }
  return { events, unreadable };
}

function pageIn(payload: string): { readonly events: readonly Record<string, unknown>[] } | null {
  try {
    return JSON.parse(payload) as { readonly events: readonly Record<string, unknown>[] };
  } catch {
    return null;
  }
}

/** State of one partition of a table, as the job keeps it beside gold. */
interface Partition {
  readonly content: string;
  readonly code: string;
}

interface SilverCommit {
  readonly touched: readonly Event[];
  readonly rows: ReadonlyMap<string, Event>;
}

/** Delta: commits by version, each made only over the version it was computed from. */
export class Lake {
  readonly silver: SilverCommit[] = [{ touched: [], rows: new Map() }];
  readonly states: ReadonlyMap<string, Partition>[] = [new Map()];
}

class Conflict extends Error {
  override readonly name = 'ConcurrentModification';
}
class Poisoned extends Error {
  override readonly name = 'Poisoned';
}

/** How badly batches fare. */
export interface SparkWeather {
  readonly neverRuns: number;
  /** The driver is given up for lost, but goes on. */
  readonly zombies: number;
  /** A driver that meets a refusal of Storage says so in a failure record; else it just dies. */
  readonly saysWhy: boolean;
}

export const calmSpark: SparkWeather = { neverRuns: 0, zombies: 0, saysWhy: false };

interface Batch {
  state: BatchState;
  readonly args: readonly string[];
}

export class Spark {
  weather: SparkWeather = calmSpark;
  codeVersion = 'v1';
  /** A job that has learnt to read what broke it. */
  mended = false;
  /** Scenarios: called when a driver is about to start; false = it never does. */
  starts: (id: string) => boolean = () => true;
  /** Told of every batch that is new. */
  submitted: (id: string, args: readonly string[]) => void = () => undefined;
  readonly lake = new Lake();
  readonly batches = new Map<string, Batch>();
  readonly #read = new Map<string, ReturnType<typeof eventsIn>>();
  readonly #simulation: Simulation;
  readonly #objectsOf: (process: Process) => Objects;
  readonly #buckets: { readonly control: string; readonly bronze: string; readonly lake: string };

  constructor(
    simulation: Simulation,
    options: {
      readonly objectsOf: (process: Process) => Objects;
      readonly buckets: Spark['buckets'];
    },
  ) {
    this.#simulation = simulation;
    this.#objectsOf = options.objectsOf;
    this.#buckets = options.buckets;
  }

  /** Of one file of bronze, which never changes: read once, however many batches take it. */
  eventsOf(
    file: { readonly name: string; readonly generation: string },
    bytes: Buffer,
  ): ReturnType<typeof eventsIn> {
    const key = `${file.name}#${file.generation}`;
    const known = this.#read.get(key);
    if (known !== undefined) return known;
    const events = eventsIn(bytes);
    this.#read.set(key, events);
    return events;
  }

  /** Silver as a batch left it. */
  silverAt(manifest: BatchManifest | undefined): ReadonlyMap<string, Event> {
    return this.lake.silver[manifest?.versions[SILVER] ?? 0]?.rows ?? new Map();
  }

  get buckets(): { readonly control: string; readonly bronze: string; readonly lake: string } {
    return this.#buckets;
  }

  client(process: Process): Batches {
    const create = (id: string, args: readonly string[]): 'created' | 'exists' => {
      if (this.batches.has(id)) return 'exists';
      this.submitted(id, args);
      this.batches.set(id, { state: { state: 'pending' }, args });
      this.#simulation.after(this.#simulation.random.between(20_000, 90_000), () =>
        this.#start(id),
      );
      return 'created';
    };
    return {
      create: (id, { args }) =>
        this.#simulation.call(
          process,
          'dataproc',
          'create',
          id,
          () => create(id, args),
          () => 'exists' as const,
        ),
      state: (id) =>
        this.#simulation.call(
          process,
          'dataproc',
          'state',
          id,
          () => this.batches.get(id)?.state ?? { state: 'missing' as const },
        ),
    };
  }

  #start(id: string): void {
    const batch = this.batches.get(id) as Batch;
    const simulation = this.#simulation;
    const { random } = simulation;
    if (random.chance(this.weather.neverRuns) || !this.starts(id)) {
      batch.state = { state: 'failed', message: 'Insufficient quota', ran: false };
      simulation.note(null, `batch ${id} NEVER RAN`, 'landmark');
      return;
    }
    batch.state = { state: 'running' };
    const process = simulation.spawn('spark');
    simulation.note(process, `STARTS ${id}`, 'landmark');
    const end = (state: BatchState): void => {
      if (batch.state.state === 'running') batch.state = state;
      simulation.note(process, `ENDS ${id} ${state.state}`, 'landmark');
    };
    process.onKilled = () =>
      simulation.after(random.between(2_000, 60_000), () =>
        end({ state: 'failed', message: 'The driver was lost', ran: true }),
      );
    if (random.chance(this.weather.zombies)) {
      simulation.after(random.between(100, 2_000), () =>
        end({ state: 'failed', message: 'Given up for lost', ran: true }),
      );
    }
    const objects = this.#objectsOf(process);
    this.#transform(process, objects, batch.args).then(
      () => simulation.after(random.between(500, 3_000), () => end({ state: 'succeeded' })),
      (error: unknown) => {
        const message = error instanceof Error ? error.message : String(error);
        simulation.note(process, `FAILS ${message}`, 'landmark');
        simulation.after(random.between(500, 3_000), () =>
          end({ state: 'failed', message, ran: true }),
        );
      },
    );
  }

  async #transform(process: Process, objects: Objects, args: readonly string[]): Promise<void> {
    const at = (name: string): string => args[args.indexOf(name) + 1] ?? '';
    const { control } = this.#buckets;
    const found = await readJson<Claim>(objects, control, at('--claim'));
    if (found === null) throw new Error(`no claim ${at('--claim')}`);
    const claim = found.value;
    const progress = { merged: false };
    try {
      await this.#batch(process, objects, claim, this.codeVersion, progress);
    } catch (error) {
      const known = error instanceof Poisoned || error instanceof Conflict || this.weather.saysWhy;
      if (known) {
        const failure: BatchFailure = {
          domain: claim.domain,
          sequence: claim.sequence,
          attempt: claim.attempt,
          code: (error as Error).name,
          message: (error as Error).message,
          merged: progress.merged,
          outside: false,
          failed_at: new Date(this.#simulation.now).toISOString(),
        };
        const name = place.failure(claim.domain, claim.sequence, claim.attempt);
        await createJson(objects, control, name, failure);
      }
      throw error;
    }
  }

  /** True = this attempt is not wanted any more. */
  async #overtaken(objects: Objects, claim: Claim): Promise<boolean> {
    const name = place.ledger(claim.domain);
    const ledger = await readJson<Ledger>(objects, this.#buckets.control, name);
    const flight = ledger?.value.in_flight;
    return flight?.sequence !== claim.sequence || flight.attempt !== claim.attempt;
  }

  async #batch(
    process: Process,
    objects: Objects,
    claim: Claim,
    code: string,
    progress: { merged: boolean },
  ): Promise<void> {
    const simulation = this.#simulation;
    const { lake } = this;
    const started = new Date(simulation.now).toISOString();
    const delta = <T>(verb: string, what: string, effect: () => T): Promise<T> =>
      simulation.call(process, 'delta', verb, what, effect);

    const arrived: Event[] = [];
    const sources: SourceOutput[] = [];
    for (const name of claim.runs) {
      const events = await this.#eventsOfRun(objects, name);
      arrived.push(...events.events);
      sources.push({
        source: 'email.email_events',
        run: events.run,
        records: events.events.length,
        rejected: 0,
      });
    }

    const before = await delta('read', SILVER, () => lake.silver.length - 1);
    const rows = new Map((lake.silver[before] as SilverCommit).rows);
    const touched: Event[] = [];
    for (const event of arrived) {
      const held = rows.get(keyOf(event));
      if (held !== undefined && !newer(event, held)) continue;
      rows.set(keyOf(event), event);
      touched.push(...(held === undefined ? [event] : [held, event]));
    }
    if (await this.#overtaken(objects, claim)) return;
    progress.merged = true;
    const silver = await delta('merge', SILVER, () => {
      if (lake.silver.length - 1 !== before) throw new Conflict(`${SILVER} has moved`);
      if (touched.length > 0) lake.silver.push({ touched, rows });
      return lake.silver.length - 1;
    });

    const events = [...rows.values()];
    const stateAt = await delta('read', STATES, () => lake.states.length - 1);
    // From the base, never from what a dead attempt left: its files were not loaded.
    const states = new Map(lake.states[claim.base[STATES] ?? 0]);
    const base = lake.states[claim.base[STATES] ?? 0] as ReadonlyMap<string, Partition>;
    for (const request of claim.recompute) {
      const wanted = await readJson<{ table: TableName; days: readonly string[] }>(
        objects,
        this.#buckets.control,
        request,
      );
      for (const day of wanted?.value.days ?? []) {
        const key = `${wanted?.value.table} ${day}`;
        states.set(key, { content: states.get(key)?.content ?? '', code: 'recompute' });
      }
    }
    const changed = lake.silver
      .slice((claim.base[SILVER] ?? 0) + 1, silver + 1)
      .flatMap((commit) => commit.touched);
    const tables: TableOutput[] = [];
    for (const table of tableNames) {
      const days = new Set(changed.map(touchedBy[table]));
      const stale = [...states]
        .filter(([key, state]) => key.startsWith(`${table} `) && state.code !== code)
        .map(([key]) => key.slice(table.length + 1))
        .filter((day) => !days.has(day))
        .sort()
        .reverse();
      const due = [...days, ...stale.slice(0, STALE_AT_ONCE)].sort();
      const partitions: string[] = [];
      const lines: string[] = [];
      for (const day of due) {
        const content = partitionOf(table, day, events, code);
        const hash = JSON.stringify(content);
        const key = `${table} ${day}`;
        states.set(key, { content: hash, code });
        if (base.get(key)?.content === hash) continue;
        partitions.push(day);
        for (const row of content) lines.push(JSON.stringify({ ...row, updated_at: started }));
      }
      if (partitions.length === 0) continue;
      const file = `gold/${table}/${batchName(claim.domain, claim.sequence, claim.attempt)}.ndjson`;
      if (lines.length > 0) {
        await objects.write(this.#buckets.lake, file, Buffer.from(`${lines.join('\n')}\n`), {
          ifGeneration: '0',
          contentType: 'application/octet-stream',
        });
      }
      tables.push({
        table,
        partitions,
        files: lines.length > 0 ? [`gs://${this.#buckets.lake}/${file}`] : [],
        rows: lines.length,
      });
    }
    if (await this.#overtaken(objects, claim)) return;
    const stateVersion = await delta('merge', STATES, () => {
      if (lake.states.length - 1 !== stateAt) throw new Conflict(`${STATES} has moved`);
      lake.states.push(states);
      return lake.states.length - 1;
    });

    if (await this.#overtaken(objects, claim)) return;
    const manifest: BatchManifest = {
      format: 1,
      domain: claim.domain,
      sequence: claim.sequence,
      attempt: claim.attempt,
      code_version: code,
      started_at: started,
      finished_at: new Date(simulation.now).toISOString(),
      runs: claim.runs,
      recompute: claim.recompute,
      sources,
      tables,
      quality: [],
      rejected: { files: [], rows: 0 },
      versions: { [SILVER]: silver, [STATES]: stateVersion },
      stale_left: [...states.values()].filter((state) => state.code !== code).length,
      seconds: {},
    };
    // Created once: another attempt's manifest counts just as well.
    await createJson(
      objects,
      this.#buckets.control,
      place.batch(claim.domain, claim.sequence),
      manifest,
    );
  }

  async #eventsOfRun(
    objects: Objects,
    name: string,
  ): Promise<{ readonly run: string; readonly events: readonly Event[] }> {
    const manifest = (await readJson<RunManifest>(objects, this.#buckets.control, name))?.value;
    if (manifest === undefined) throw new Error(`no run manifest ${name}`);
    const events: Event[] = [];
    for (const file of manifest.files) {
      const found = await objects.read(this.#buckets.bronze, file.name);
      if (found === null || found.object.generation !== file.generation) {
        throw new Error(`${file.name} is not what ${name} lists`);
      }
      for (const event of this.eventsOf(file, found.bytes).events) {
        if (event.poison && !this.mended) throw new Poisoned(`${name} cannot be transformed`);
        events.push(event);
      }
    }
    return { run: manifest.run, events };
  }
}
