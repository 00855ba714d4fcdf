/**
 * Sweep, every ten minutes: whatever stopped is started again, by the same steps that the messages
 * take. Then it says what is late, rebuilds `ops` by day from the manifests, and removes litter.
 */
import { catalog } from '../schemas/rendered/catalog.ts';
import { readCheckpoint } from './checkpoint.ts';
import type { Config } from './config.ts';
import { classified } from './errors.ts';
import { type Ledger, readLedger } from './ledger.ts';
import { loadBatch, replaceRows } from './load.ts';
import {
  type BatchManifest,
  type FailedRun,
  place,
  type RunManifest,
  readJson,
  runNamed,
} from './manifest.ts';
import type { Handler } from './message.ts';
import { type FreshnessRow, type RunRow, rebuiltOutputs, runRow } from './ops.ts';
import { advance, transformedDomains } from './submit.ts';
import type { StoredObject, World } from './world.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

/** A manifest that nobody loaded for this long has lost its notification. */
const UNLOADED_MS = 5 * MINUTE_MS;

/** Attempts' litter and markers without a manifest are kept this long, for people who look. */
const LITTER_MS = 7 * DAY_MS;

/** A source without a finished window for this many of its ticks is late. */
const LATE_TICKS = 6;

export const handle: Handler = async (_message, world, config) => {
  const failures: unknown[] = [];
  const attempted = async (step: string, act: () => Promise<void>): Promise<void> => {
    try {
      await act();
    } catch (failure) {
      const { code, message } = classified(failure);
      world.log('ERROR', 'sweep_step_failed', { step, code, reason: message });
      failures.push(failure);
    }
  };
  for (const domain of transformedDomains) {
    await attempted(`resume ${domain}`, () => resume(world, config, domain));
    await attempted(`lateness ${domain}`, () => sayWhatIsLate(world, config, domain));
    await attempted(`litter ${domain}`, () => removeLitter(world, config, domain));
  }
  await attempted('ops', () => rebuildOps(world, config));
  if (failures.length > 0) throw failures[0];
};

/** Loads what is transformed, follows what is in flight, claims what waits. */
async function resume(world: World, config: Config, domain: string): Promise<void> {
  const { ledger } = await readLedger(world, config.buckets.control, domain);
  const unloaded = await unloadedBatch(world, config, ledger);
  if (unloaded !== null) {
    world.log('WARNING', 'load_resumed', { domain, sequence: unloaded });
    await loadBatch(world, config, domain, unloaded);
  }
  await advance(world, config, domain, { now: false });
}

/** A batch with a manifest and no load record, old enough that no message will bring it. */
async function unloadedBatch(world: World, config: Config, ledger: Ledger): Promise<number | null> {
  const bucket = config.buckets.control;
  const sequence = ledger.in_flight?.sequence ?? ledger.loaded;
  if (sequence === 0) return null;
  const manifest = await world.objects.stat(bucket, place.batch(ledger.domain, sequence));
  if (manifest === null || world.clock.now() - manifest.updated < UNLOADED_MS) return null;
  const record = await world.objects.stat(bucket, place.load(ledger.domain, sequence));
  return record === null ? sequence : null;
}

/** Structured lines that the alerts are made of: sources, waiting runs, refused records. */
async function sayWhatIsLate(world: World, config: Config, domain: string): Promise<void> {
  const now = world.clock.now();
  for (const [name, contract] of Object.entries(catalog.sources)) {
    const [of, source = ''] = name.split('.');
    if (of !== domain) continue;
    const held = await readCheckpoint(world, config.buckets.control, domain, source);
    const newest = held.done[0]?.at ?? null;
    const allowed = LATE_TICKS * tickMinutes(contract.arrives.schedule) * MINUTE_MS;
    const behind = newest === null ? null : now - Date.parse(newest);
    if (behind !== null && behind > allowed) {
      world.log('ERROR', 'source_late', {
        source: name,
        minutes: Math.round(behind / MINUTE_MS),
        reason: held.trouble?.message ?? 'no window was finished',
      });
    }
  }
  const markers = await world.objects.list(config.buckets.control, place.waitingUnder(domain), {
    limit: 1_000,
  });
  const longest = (catalog.domains[domain]?.longest_wait_minutes ?? 0) * MINUTE_MS;
  const overdue = markers.filter((marker) => now - marker.updated > longest + 30 * MINUTE_MS);
  if (overdue.length > 0) {
    world.log('WARNING', 'runs_overdue', { domain, runs: overdue.length });
  }
}

/** Minutes between the firings of `*\/10 * * * *` or `7 * * * *`; a day for anything rarer. */
export function tickMinutes(schedule: string): number {
  const [minute = '', hour = ''] = schedule.split(/\s+/);
  const every = /^\*\/(\d+)$/.exec(minute);
  if (every !== null) return Number(every[1]);
  if (minute === '*') return 1;
  return hour === '*' ? 60 : 24 * 60;
}

/** Markers whose run never got a manifest, and parts of attempts that no manifest names. */
async function removeLitter(world: World, config: Config, domain: string): Promise<void> {
  const before = world.clock.now() - LITTER_MS;
  const { control, bronze } = config.buckets;
  const markers = await world.objects.list(control, place.waitingUnder(domain), { limit: 1_000 });
  for (const marker of markers.filter((object) => object.updated < before)) {
    const of = runNamed(marker.name);
    if (of === null) continue;
    const manifest = await world.objects.stat(control, place.run(of.domain, of.source, of.run));
    if (manifest === null) {
      await world.objects.remove(control, marker.name, { ifGeneration: marker.generation });
    }
  }
  // The day that became old enough today; a sweep that misses it leaves it to a person's lifecycle rule.
  const day = iso(before).slice(0, 10);
  for (const name of Object.keys(catalog.sources)) {
    const [of, source = ''] = name.split('.');
    if (of !== domain) continue;
    const prefix = `${domain}/${source}/dt=${day}/`;
    await removeUnnamed(world, config, domain, source, await world.objects.list(bronze, prefix));
  }
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
    const named = /\/run=([^/]+)\/attempt=([^/]+)\//.exec(part.name);
    if (named === null) continue;
    const [, run = '', attempt = ''] = named;
    if (!kept.has(run)) {
      const name = place.run(domain, source, run);
      const found = await readJson<RunManifest>(world.objects, config.buckets.control, name);
      kept.set(run, found?.value.attempt ?? null);
    }
    if (kept.get(run) === attempt) continue;
    await world.objects.remove(part.bucket, part.name, { ifGeneration: part.generation });
    world.log('INFO', 'litter_removed', { part: part.name });
  }
}

/** Writes freshness, and once an hour the runs of today and yesterday, from the manifests. */
async function rebuildOps(world: World, config: Config): Promise<void> {
  const now = world.clock.now();
  const hourly = new Date(now).getUTCMinutes() < 10;
  const days = hourly ? [iso(now - DAY_MS).slice(0, 10), iso(now).slice(0, 10)] : [];
  const runs = hourly ? await runsOf(world, config, new Set(days)) : [];
  const fresh = await freshnessOf(world, now);
  const sequence = Math.floor(now / 1000);
  const of = { sequence, days, runs, freshness: fresh };
  await replaceRows(world, { domain: 'ops', sequence }, await rebuiltOutputs(world, config, of));
}

async function runsOf(
  world: World,
  config: Config,
  days: ReadonlySet<string>,
): Promise<readonly RunRow[]> {
  const bucket = config.buckets.control;
  const since = world.clock.now() - 2 * DAY_MS;
  const rows: RunRow[] = [];
  for (const domain of transformedDomains) {
    const batches = await recent<BatchManifest>(world, bucket, `batches/${domain}/`, since);
    const batchOf = new Map(batches.flatMap((batch) => batch.runs.map((run) => [run, batch])));
    const failures = await recent<FailedRun>(world, bucket, `failed/${domain}/`, since);
    const failureOf = new Map(failures.map((failure) => [failure.run, failure]));
    const { ledger } = await readLedger(world, bucket, domain);
    for (const manifest of await recent<RunManifest>(world, bucket, `runs/${domain}/`, since)) {
      if (!days.has(manifest.finished_at.slice(0, 10))) continue;
      const name = place.run(domain, manifest.source, manifest.run);
      const batch = batchOf.get(name);
      const failure = failureOf.get(name);
      if (batch !== undefined) {
        const state = batch.sequence <= ledger.loaded ? 'loaded' : 'transformed';
        rows.push(runRow(manifest, { state, batch }));
      } else if (failure !== undefined) {
        rows.push(runRow(manifest, { state: 'failed', failure }));
      } else {
        rows.push(runRow(manifest, { state: 'landed' }));
      }
    }
  }
  return rows;
}

/** Control objects under a prefix written since an instant. */
async function recent<T>(
  world: World,
  bucket: string,
  prefix: string,
  since: number,
): Promise<readonly T[]> {
  const values: T[] = [];
  for (const object of await world.objects.list(bucket, prefix)) {
    if (object.updated < since) continue;
    const found = await readJson<T>(world.objects, bucket, object.name);
    if (found !== null) values.push(found.value);
  }
  return values;
}

/** One look at every dated table: its newest event and how far that lies back. */
async function freshnessOf(world: World, now: number): Promise<readonly FreshnessRow[]> {
  const rows: FreshnessRow[] = [];
  for (const [table, contract] of Object.entries(catalog.tables)) {
    const { partition } = contract;
    if (partition === undefined || table.startsWith('ops.')) continue;
    const at = partition.replace(/_date$/, '_at');
    const column = contract.columns[at]?.type === 'TIMESTAMP' ? at : partition;
    const [found] = await world.warehouse.rows(
      `SELECT CAST(MAX(${column}) AS STRING) AS newest, COUNT(*) AS row_count FROM \`${table}\` WHERE ${partition} >= @since`,
      { since: iso(now - 400 * DAY_MS).slice(0, 10) },
    );
    const newest = instant(found?.['newest']);
    rows.push({
      checked_date: iso(now).slice(0, 10),
      table,
      newest_event_at: newest === null ? null : iso(newest),
      lag_seconds: newest === null ? null : Math.round((now - newest) / 1000),
      checked_at: iso(now),
      rows: Number(found?.['row_count'] ?? 0),
      loaded_sequence: null,
      loaded_at: null,
    });
  }
  return rows;
}

/** `2026-11-21` or `2026-11-21 13:00:00.123+00` -> epoch milliseconds. */
function instant(text: unknown): number | null {
  if (typeof text !== 'string') return null;
  const parsed = Date.parse(
    text.includes(':') ? text.replace(' ', 'T').replace(/\+00$/, 'Z') : text,
  );
  return Number.isNaN(parsed) ? null : parsed;
}

const iso = (ms: number): string => new Date(ms).toISOString();
