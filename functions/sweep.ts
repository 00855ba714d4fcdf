/**
 * Sweep, every ten minutes: whatever stopped is started again, by the same steps that the messages
 * take. Then it says what is late, rebuilds `ops` from the manifests, and removes litter.
 *
 * It is always acknowledged: the next sweep comes anyway, and a step that failed says so in the log.
 */
import { catalog } from '../schemas/rendered/catalog.ts';
import { type Checkpoint, readCheckpoint } from './checkpoint.ts';
import type { Config } from './config.ts';
import { classified } from './errors.ts';
import { type Ledger, readLedger } from './ledger.ts';
import { loadBatch } from './load.ts';
import {
  type BatchManifest,
  type FailedRun,
  place,
  type RunManifest,
  readJson,
  runNamed,
} from './manifest.ts';
import type { Handler } from './message.ts';
import {
  type BatchRow,
  type FreshnessRow,
  inFlightRow,
  type RunRow,
  rebuiltOutputs,
  runRow,
} from './ops.ts';
import { fenceOf, replaceRows } from './replace_rows.ts';
import { isPulled } from './settings.ts';
import { advance, transformedDomains } from './submit.ts';
import { tickSource } from './ticks.ts';
import type { Window } from './window.ts';
import type { StoredObject, World } from './world.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

/** A manifest that nobody loaded for this long has lost its notification. */
const UNLOADED_MS = 5 * MINUTE_MS;

/** Batches looked back at for a missing load record. */
const RECORDS_BACK = 30;

/** What a load resumed by the sweep may take; it goes on with the next sweep. */
const LOAD_PATIENCE_MS = 90_000;

/** A marker without a manifest is kept this long, for an attempt that may still come. */
const MARKER_DAYS = 7;

/** Litter is removed by whole days, when the youngest part of the day is older than any attempt. */
const LITTER_DAYS = 9;

/** A source whose planned windows are unread for this many of its ticks is late. */
const LATE_TICKS = 6;

/** Batches looked back at when `ops` is rebuilt; two days hold far fewer. */
const BATCHES_BACK = 600;

/** Days of a table in which its newest event is looked for. */
const FRESH_DAYS = 35;

export const handle: Handler = async (_message, world, config) => {
  const attempted = async (step: string, act: () => Promise<void>): Promise<void> => {
    try {
      await act();
    } catch (failure) {
      const { code, message } = classified(failure);
      world.log('ERROR', 'sweep_step_failed', { step, code, reason: message });
    }
  };
  for (const domain of transformedDomains) {
    await attempted(`resume ${domain}`, () => resume(world, config, domain));
  }
  for (const name of Object.keys(catalog.sources)) {
    await attempted(`source ${name}`, () => lookAfterSource(world, config, name));
  }
  for (const domain of transformedDomains) {
    await attempted(`overdue ${domain}`, () => sayWhatIsOverdue(world, config, domain));
    await attempted(`litter ${domain}`, () => removeLitter(world, config, domain));
  }
  await attempted('ops', () => rebuildOps(world, config));
};

/** Loads what is transformed, follows what is in flight, claims what waits. */
async function resume(world: World, config: Config, domain: string): Promise<void> {
  const { ledger } = await readLedger(world, config.buckets.control, domain);
  const unloaded = await unloadedBatch(world, config, ledger);
  const unclosed = await unrecorded(world, config, ledger);
  for (const sequence of unloaded === null ? unclosed : [...unclosed, unloaded]) {
    world.log('WARNING', 'load_resumed', { domain, sequence });
    const deadline = world.clock.now() + LOAD_PATIENCE_MS;
    await loadBatch(world, config, domain, sequence, deadline);
  }
  await advance(world, config, domain, { now: false });
}

/** A batch in flight whose manifest is there, and old enough that no message will bring it. */
async function unloadedBatch(world: World, config: Config, ledger: Ledger): Promise<number | null> {
  const sequence = ledger.in_flight?.sequence;
  if (sequence === undefined) return null;
  const name = place.batch(ledger.domain, sequence);
  const manifest = await world.objects.stat(config.buckets.control, name);
  return manifest !== null && isOld(world, manifest) ? sequence : null;
}

/** Loaded batches without a record: whoever loaded them died before the last step. */
async function unrecorded(
  world: World,
  config: Config,
  { domain, loaded }: Ledger,
): Promise<readonly number[]> {
  const bucket = config.buckets.control;
  const from = Math.max(0, loaded - RECORDS_BACK);
  const records = await world.objects.list(bucket, `loads/${domain}/`, {
    startAt: place.load(domain, from),
  });
  const recorded = new Set(records.map(({ name }) => sequenceIn(name)));
  const manifests = await world.objects.list(bucket, `batches/${domain}/`, {
    startAt: place.batch(domain, from),
  });
  return manifests
    .filter((manifest) => isOld(world, manifest))
    .map(({ name }) => sequenceIn(name))
    .filter((sequence) => sequence <= loaded && !recorded.has(sequence));
}

const isOld = (world: World, manifest: StoredObject): boolean =>
  world.clock.now() - manifest.updated >= UNLOADED_MS;

const sequenceIn = (name: string): number => Number(/(\d+)\.json$/.exec(name)?.[1] ?? 0);

/** Asks for what a lost message left open, and says so when a source stays behind. */
async function lookAfterSource(world: World, config: Config, name: string): Promise<void> {
  const contract = catalog.sources[name];
  // What others bring waits in their subscriptions and buckets, which are watched themselves.
  if (contract === undefined || !isPulled(contract.arrives)) return;
  const [domain = '', source = ''] = name.split('.');
  const now = world.clock.now();
  const held = await readCheckpoint(world, config.buckets.control, domain, source);
  const leased = held.lease !== null && Date.parse(held.lease.until) > now;
  const never = Object.keys(held.edges).length === 0;
  if (!leased && (never || held.open.length > 0)) {
    await tickSource(world, name);
  }
  const late = lateBy(held, now, LATE_TICKS * tickMinutes(contract.arrives.schedule) * MINUTE_MS);
  if (late !== null) {
    world.log('ERROR', 'source_late', {
      source: name,
      minutes: Math.round(late / MINUTE_MS),
      reason: held.trouble?.message ?? 'its schedule or its function is silent',
    });
  }
}

/**
 * How long a source has been behind, ms; null = no longer than it may be, or it is catching up: a
 * first run and what an outage has left are far behind, and need nobody while windows are finished.
 */
export function lateBy(held: Checkpoint, now: number, mayBe: number): number | null {
  const behind = now - planEdge(held, now);
  if (behind <= mayBe) return null;
  const leased = held.lease !== null && Date.parse(held.lease.until) > now;
  const finished = held.done[0];
  const recently = finished !== undefined && now - Date.parse(finished.at) <= mayBe;
  return held.trouble === null && (leased || recently) ? null : behind;
}

/**
 * Up to when a source is read: the end of its oldest window that a schedule planned and nobody
 * finished, else the newest edge. Windows that a person or the reconciliation asked for are extra.
 */
function planEdge(held: Checkpoint, now: number): number {
  const passes = new Set(Object.keys(held.edges));
  const waiting = held.open.filter((window) => passes.has(window.pass));
  const edges = Object.values(held.edges).map((edge) => Date.parse(edge));
  if (edges.length === 0) return now;
  // Passes over old windows have old edges by nature; the newest one tells that plans are made.
  const planned = Math.max(...edges);
  return Math.min(planned, ...waiting.map(dueFrom));
}

/** From when a window could be read: its end, and for a pass that reads again so much later. */
function dueFrom({ pass, to }: Window): number {
  const hours = /^again-(\d+)h$/.exec(pass)?.[1] ?? '0';
  return Date.parse(to) + Number(hours) * 60 * MINUTE_MS;
}

/** Minutes between the firings of a schedule of the kinds that contracts use. */
export function tickMinutes(schedule: string): number {
  const [minute = '', hour = ''] = schedule.split(/\s+/);
  const every = /^\*\/(\d+)$/.exec(minute);
  if (every !== null) return Number(every[1]);
  if (minute === '*') return 1;
  return hour === '*' ? 60 : 24 * 60;
}

async function sayWhatIsOverdue(world: World, config: Config, domain: string): Promise<void> {
  const now = world.clock.now();
  const markers = await world.objects.list(config.buckets.control, place.waitingUnder(domain), {
    limit: 1_000,
  });
  const longest = (catalog.domains[domain]?.longest_wait_minutes ?? 0) * MINUTE_MS;
  const overdue = markers.filter((marker) => now - marker.updated > longest + 30 * MINUTE_MS);
  if (overdue.length > 0) {
    world.log('WARNING', 'runs_overdue', { domain, runs: overdue.length });
  }
}

/** Once a day: markers that never got a manifest, and parts that no manifest names. */
async function removeLitter(world: World, config: Config, domain: string): Promise<void> {
  const now = world.clock.now();
  const { control, bronze } = config.buckets;
  const day = iso(now - LITTER_DAYS * DAY_MS).slice(0, 10);
  const done = place.litter(domain, day);
  if ((await world.objects.stat(control, done)) !== null) return;
  const markers = await world.objects.list(control, place.waitingUnder(domain), { limit: 1_000 });
  for (const marker of markers.filter((one) => one.updated < now - MARKER_DAYS * DAY_MS)) {
    const of = runNamed(marker.name);
    if (of === null) continue;
    const manifest = await world.objects.stat(control, place.run(of.domain, of.source, of.run));
    if (manifest === null) {
      await world.objects.remove(control, marker.name, { ifGeneration: marker.generation });
    }
  }
  for (const source of sourcesOf(domain)) {
    const parts = await world.objects.list(bronze, `${domain}/${source}/dt=${day}/`);
    await removeUnnamed(world, config, domain, source, parts);
  }
  await world.objects.write(control, done, Buffer.from('{}'), {
    ifGeneration: '0',
    contentType: 'application/json',
  });
}

async function removeUnnamed(
  world: World,
  config: Config,
  domain: string,
  source: string,
  parts: readonly StoredObject[],
): Promise<void> {
  const kept = new Map<string, string | null>();
  for (const part of parts) {
    const named = landedPart(part.name);
    if (named === null) continue;
    if (!kept.has(named.run)) {
      const name = place.run(domain, source, named.run);
      const found = await readJson<RunManifest>(world.objects, config.buckets.control, name);
      kept.set(named.run, found?.value.attempt ?? null);
    }
    if (kept.get(named.run) === named.attempt) continue;
    await world.objects.remove(part.bucket, part.name, { ifGeneration: part.generation });
    world.log('INFO', 'litter_removed', { part: part.name });
  }
}

/** The run and the attempt that a part of bronze lies under. */
function landedPart(name: string): { readonly run: string; readonly attempt: string } | null {
  const parts = /\/run=([^/]+)\/attempt=([^/]+)\//.exec(name);
  return parts === null ? null : { run: parts[1] as string, attempt: parts[2] as string };
}

const sourcesOf = (domain: string): readonly string[] =>
  Object.keys(catalog.sources)
    .filter((name) => name.startsWith(`${domain}.`))
    .map((name) => name.slice(domain.length + 1));

/** Writes freshness, and once an hour what is landed and not loaded, from the manifests. */
async function rebuildOps(world: World, config: Config): Promise<void> {
  const now = world.clock.now();
  const deadline = now + LOAD_PATIENCE_MS;
  const sequence = Math.floor(now / 1000);
  const loaded = await fences(world);
  const hourly = new Date(now).getUTCMinutes() < 10;
  const open = hourly ? await openWork(world, config, loaded) : { days: [], runs: [], batches: [] };
  const freshness = await freshnessOf(world, loaded, now);
  const outputs = await rebuiltOutputs(world, config, { sequence, ...open, freshness });
  // A batch that is loaded meanwhile writes its runs; what was read before must not stand beside.
  const of = { domain: 'ops', sequence, ...(hourly ? { unmoved: loaded } : {}) };
  try {
    await replaceRows(world, of, outputs, deadline);
  } catch (failure) {
    if (!hourly || same(await fences(world), loaded)) throw failure;
    world.log('INFO', 'ops_rebuild_overtaken', { sequence });
  }
}

/** Per domain the last sequence that readers see. */
async function fences(world: World): Promise<ReadonlyMap<string, number>> {
  const found = new Map<string, number>();
  for (const domain of transformedDomains) found.set(domain, await fenceOf(world, domain));
  return found;
}

const same = (a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): boolean =>
  [...a].every(([domain, sequence]) => b.get(domain) === sequence);

/** Runs of today and yesterday that are not loaded, runs set aside, batches in flight. */
async function openWork(
  world: World,
  config: Config,
  loaded: ReadonlyMap<string, number>,
): Promise<{
  readonly days: readonly string[];
  readonly runs: readonly RunRow[];
  readonly batches: readonly BatchRow[];
}> {
  const bucket = config.buckets.control;
  const now = world.clock.now();
  const days = new Set([iso(now - DAY_MS).slice(0, 10), iso(now).slice(0, 10)]);
  const runs: RunRow[] = [];
  const batches: BatchRow[] = [];
  for (const domain of transformedDomains) {
    const { ledger } = await readLedger(world, bucket, domain);
    const flight = ledger.in_flight;
    // Loaded and not closed yet: its own transaction has written its row.
    if (flight !== null && flight.sequence > (loaded.get(domain) ?? 0)) {
      batches.push(inFlightRow(domain, flight));
    }
    const from = place.batch(domain, Math.max(0, ledger.sequence - BATCHES_BACK));
    const transformed = await recent<BatchManifest>(world, bucket, `batches/${domain}/`, from);
    const batchOf = new Map(transformed.flatMap((batch) => batch.runs.map((run) => [run, batch])));
    const failures = await recent<FailedRun>(world, bucket, `failed/${domain}/`);
    const failureOf = new Map(failures.map((failure) => [failure.run, failure]));
    const names = new Set([
      ...failureOf.keys(),
      ...(await landedOn(world, config, domain, [...days])),
    ]);
    for (const name of [...names].sort()) {
      const batch = batchOf.get(name);
      // Nearly all of two days: they are not even read.
      if (batch !== undefined && batch.sequence <= (loaded.get(domain) ?? 0)) continue;
      const found = await readJson<RunManifest>(world.objects, bucket, name);
      if (found === null) continue;
      const manifest = found.value;
      const failure = failureOf.get(name);
      days.add(manifest.finished_at.slice(0, 10));
      if (batch !== undefined) runs.push(runRow(manifest, { state: 'transformed', batch }));
      else if (failure !== undefined) runs.push(runRow(manifest, { state: 'failed', failure }));
      else runs.push(runRow(manifest, { state: 'landed' }));
    }
  }
  return { days: [...days].sort(), runs, batches };
}

/** Names of the manifests of runs of these days, with parts or without; the work is a day's, never history's. */
async function landedOn(
  world: World,
  config: Config,
  domain: string,
  days: readonly string[],
): Promise<readonly string[]> {
  const names = new Set<string>();
  for (const source of sourcesOf(domain)) {
    for (const day of days) {
      const prefix = `${domain}/${source}/dt=${day}/`;
      for (const part of await world.objects.list(config.buckets.bronze, prefix)) {
        const named = landedPart(part.name);
        if (named !== null) names.add(place.run(domain, source, named.run));
      }
      const under = place.emptyUnder(domain, source, day);
      for (const { name } of await world.objects.list(config.buckets.control, under)) {
        names.add(place.run(domain, source, name.slice(under.length)));
      }
    }
  }
  return [...names];
}

/** Control objects under a prefix that were written in the last two days. */
async function recent<T>(
  world: World,
  bucket: string,
  prefix: string,
  startAt?: string,
): Promise<readonly T[]> {
  const since = world.clock.now() - 2 * DAY_MS;
  const options = startAt === undefined ? {} : { startAt };
  const values: T[] = [];
  for (const object of await world.objects.list(bucket, prefix, options)) {
    if (object.updated < since) continue;
    const found = await readJson<T>(world.objects, bucket, object.name);
    if (found !== null) values.push(found.value);
  }
  return values;
}

/** One look at every dated table: its newest event and how far that lies back. */
async function freshnessOf(
  world: World,
  loaded: ReadonlyMap<string, number>,
  now: number,
): Promise<readonly FreshnessRow[]> {
  const rows: FreshnessRow[] = [];
  for (const [table, contract] of Object.entries(catalog.tables)) {
    const { partition } = contract;
    const domain = table.split('.')[0] ?? '';
    if (partition === undefined || domain === 'ops') continue;
    const at = partition.replace(/_date$/, '_at');
    const column = contract.columns[at]?.type === 'TIMESTAMP' ? at : partition;
    const [found] = await world.warehouse.rows(
      `SELECT CAST(MAX(${column}) AS STRING) AS newest FROM \`${table}\` WHERE ${partition} >= DATE '${iso(now - FRESH_DAYS * DAY_MS).slice(0, 10)}'`,
    );
    const newest = instant(found?.['newest']);
    rows.push({
      checked_date: iso(now).slice(0, 10),
      table,
      newest_event_at: newest === null ? null : iso(newest),
      lag_seconds: newest === null ? null : Math.round((now - newest) / 1000),
      checked_at: iso(now),
      loaded_sequence: loaded.get(domain) ?? 0,
    });
  }
  return rows;
}

/** `2026-11-21` or `2026-11-21 13:00:00.123+00` -> epoch milliseconds. */
function instant(text: unknown): number | null {
  if (typeof text !== 'string') return null;
  const clock = text.replace(' ', 'T').replace(/\+00(:?00)?$/, 'Z');
  const parsed = Date.parse(text.includes(':') ? clock : text);
  return Number.isNaN(parsed) ? null : parsed;
}

const iso = (ms: number): string => new Date(ms).toISOString();
