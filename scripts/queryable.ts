/** How long it takes from publishing an event until people can query it, and what less would cost. */
import {
  type BatchManifest,
  type LoadRecord,
  place,
  type RunManifest,
  readJson,
} from '../functions/manifest.ts';
import { catalog } from '../schemas/rendered/catalog.ts';
import { duration, table } from './progress.ts';
import type { Target } from './target.ts';

/** The newest loads are looked at, so many. */
const LOADS = 20;

/** Longest waits that a price is given for, in minutes, below the domain's own. */
const LESS = [30, 10, 5, 2];

/** The longest wait may be exceeded by the batch and the load: the goal of every domain. */
const GRACE_SECONDS = 5 * 60;

/** Dataproc Serverless bills a batch for at least a minute, and 12 DCU at 0.06 $ an hour (gcp.md 0.11). */
const DOLLARS_AN_HOUR = 12 * 0.06;

export interface Queryable {
  readonly domain: string;
  readonly messages: number;
  /** Seconds from a message's publication to the end of the load that showed it. */
  readonly p50: number;
  readonly p95: number;
  /** The domain's longest wait and five minutes. */
  readonly goal: number;
  /** What the domain's batches cost with its longest wait as it is, and with less. */
  readonly waiting: readonly Waiting[];
}

/** What a domain's batches would cost if it never waited longer than this. */
export interface Waiting {
  readonly minutes: number;
  readonly batches_a_month: number;
  readonly dollars_a_month: number;
}

/** Of the domain's last loads; null = none of them showed a published message. */
export async function queryable(target: Target, domain: string): Promise<Queryable | null> {
  const { world, config } = target;
  const { control } = config.buckets;
  const read = async <T>(name: string): Promise<T | null> =>
    (await readJson<T>(world.objects, control, name))?.value ?? null;
  const waits: (readonly [seconds: number, messages: number])[] = [];
  const took: (readonly [seconds: number, batches: number])[] = [];
  const found: Loaded[] = [];
  const loads = await world.objects.list(control, `loads/${domain}/`);
  for (const { name } of loads.slice(-LOADS)) {
    const load = await read<LoadRecord>(name);
    if (load === null) continue;
    const batch = await read<BatchManifest>(place.batch(domain, load.sequence));
    if (batch === null) continue;
    took.push([secondsBetween(batch.started_at, batch.finished_at), 1]);
    const runs = await Promise.all(batch.runs.map((run) => read<RunManifest>(run)));
    found.push({ load, batch, runs: runs.filter((run) => run !== null) });
  }
  const before = await earlier(target, domain, found);
  for (const { load, runs } of found) {
    for (const { source, run, published } of runs) {
      const name = place.run(domain, source, run);
      // What is run through again has been queryable all the time.
      if (before.has(name)) continue;
      before.add(name);
      for (const [minute, messages] of Object.entries(published ?? {})) {
        // From the minute's begin: never flattered.
        waits.push([secondsBetween(`${minute}:00Z`, load.finished_at), messages]);
      }
    }
  }
  const messages = waits.reduce((sum, [, count]) => sum + count, 0);
  if (messages === 0) return null;
  const longest = catalog.domains[domain]?.longest_wait_minutes ?? 0;
  return {
    domain,
    messages,
    p50: quantile(waits, 0.5),
    p95: quantile(waits, 0.95),
    goal: longest * 60 + GRACE_SECONDS,
    waiting: [longest, ...LESS.filter((minutes) => minutes < longest)].map((minutes) =>
      costOfWaiting(minutes, quantile(took, 0.5)),
    ),
  };
}

interface Loaded {
  readonly load: LoadRecord;
  readonly batch: BatchManifest;
  readonly runs: readonly RunManifest[];
}

/** Runs that were in batches before these, as far back as the oldest of their runs was landed. */
async function earlier(
  { world, config }: Target,
  domain: string,
  found: readonly Loaded[],
): Promise<Set<string>> {
  const { control } = config.buckets;
  const [first] = found;
  const names = new Set<string>();
  if (first === undefined) return names;
  const landed = found.flatMap(({ runs }) => runs.map(({ finished_at }) => finished_at));
  const oldest = landed.reduce((a, b) => (a < b ? a : b), first.batch.started_at);
  for (let sequence = first.batch.sequence - 1; sequence > 0; sequence -= 1) {
    const batch = await readJson<BatchManifest>(
      world.objects,
      control,
      place.batch(domain, sequence),
    );
    // An abandoned batch has no manifest any more.
    if (batch === null) continue;
    if (batch.value.started_at < oldest) break;
    for (const run of batch.value.runs) names.add(run);
  }
  return names;
}

const secondsBetween = (from: string, to: string): number =>
  (Date.parse(to) - Date.parse(from)) / 1000;

/** The smallest value that at least this share of the weight does not exceed. */
export function quantile(weighted: readonly (readonly [number, number])[], share: number): number {
  const sorted = [...weighted].sort(([a], [b]) => a - b);
  const total = sorted.reduce((sum, [, weight]) => sum + weight, 0);
  let below = 0;
  for (const [value, weight] of sorted) {
    below += weight;
    if (below >= share * total) return value;
  }
  return Number.NaN;
}

/**
 * Batches, one after another as a domain's are, when a run waits at most so many minutes.
 * @param batchSeconds how long one takes, from its submission to its load
 */
export function costOfWaiting(minutes: number, batchSeconds: number): Waiting {
  const billed = Math.max(60, batchSeconds);
  const every = Math.max(minutes * 60, billed);
  const batches = (30 * 86_400) / every;
  return {
    minutes,
    batches_a_month: Math.round(batches),
    dollars_a_month: Math.round((batches * billed * DOLLARS_AN_HOUR) / 3600),
  };
}

/** As people read it. */
export function shownQueryable(found: readonly Queryable[]): string {
  const waits = found.map(({ domain, messages, p50, p95, goal }) => ({
    domain,
    messages,
    p50: duration(p50 * 1000),
    p95: duration(p95 * 1000),
    goal: duration(goal * 1000),
    '': p95 <= goal ? 'met' : 'missed',
  }));
  const prices = found.flatMap(({ domain, waiting }) =>
    waiting.map(({ minutes, batches_a_month, dollars_a_month }) => ({
      domain,
      longest_wait: `${minutes} min`,
      batches_a_month,
      about_dollars_a_month: dollars_a_month,
    })),
  );
  return `from publishing to the table\n${table(waits)}\n\nwhat waiting less would cost, with events at any time\n${table(prices)}`;
}
