/**
 * The ledger: per domain one small object that says which batch is in flight. Every move is a pure
 * function here and a compare-and-set on the object's generation; a refused move is read again.
 *
 * States of a domain:  idle -> in flight (attempt 1, 2, ...) -> idle
 */
import { Transient } from './errors.ts';
import { place, readJson } from './manifest.ts';
import type { World } from './world.ts';

/** A run taken from the waiting list. */
export interface ClaimedRun {
  /** Object name of its manifest. */
  readonly manifest: string;
  /** Generation of the marker that was claimed: a replay asked for meanwhile has a newer one. */
  readonly marker: string;
}

export interface InFlight {
  readonly sequence: number;
  readonly attempt: number;
  readonly runs: readonly ClaimedRun[];
  readonly recompute: readonly string[];
  readonly claimed_at: string;
  /** When this attempt was decided; its age tells a lost submit from a running batch. */
  readonly attempted_at: string;
  readonly failures: readonly { readonly attempt: number; readonly reason: string }[];
}

export interface Ledger {
  readonly format: 1;
  readonly domain: string;
  /** Last sequence taken. */
  readonly sequence: number;
  /** Last sequence loaded into BigQuery. */
  readonly loaded: number;
  /** Delta versions as of the last loaded batch. */
  readonly base: Readonly<Record<string, number>>;
  readonly in_flight: InFlight | null;
  /** Most runs the next claim takes: halved when claims fail, doubled when they load; null = no limit. */
  readonly limit: number | null;
  /** Partitions still stale after the last loaded batch. */
  readonly stale: number;
  /** Runs set aside one after another without a load between: many mean the code is at fault. */
  readonly set_aside: number;
}

export const emptyLedger = (domain: string): Ledger => ({
  format: 1,
  domain,
  sequence: 0,
  loaded: 0,
  base: {},
  in_flight: null,
  limit: null,
  stale: 0,
  set_aside: 0,
});

/** Attempts of one claim before it is halved. */
export const ATTEMPTS_PER_CLAIM = 2;

/** Runs set aside in a row before the domain waits for a person: then the code is the likelier fault. */
export const SET_ASIDE_BEFORE_WAITING = 3;

export function claimed(
  ledger: Ledger,
  work: { readonly runs: readonly ClaimedRun[]; readonly recompute: readonly string[] },
  now: string,
): Ledger {
  const sequence = ledger.sequence + 1;
  return {
    ...ledger,
    sequence,
    in_flight: {
      sequence,
      attempt: 1,
      ...work,
      claimed_at: now,
      attempted_at: now,
      failures: [],
    },
  };
}

/** What a failed attempt leads to: another attempt, half the claim, or a run set aside. */
export type AfterFailure =
  | { readonly next: 'again' | 'halved'; readonly ledger: Ledger }
  | { readonly next: 'set_aside'; readonly ledger: Ledger; readonly run: ClaimedRun }
  | { readonly next: 'waits'; readonly ledger: Ledger };

/**
 * @param blame `claim` when the job itself gave up on this work; `environment` when it never ran
 *   or was ended from outside: such a claim is tried again whole.
 */
export function failed(
  ledger: Ledger,
  flight: InFlight,
  failure: { readonly reason: string; readonly blame: 'claim' | 'environment' },
  now: string,
): AfterFailure {
  const failures = [...flight.failures, { attempt: flight.attempt, reason: failure.reason }];
  const again: InFlight = { ...flight, attempt: flight.attempt + 1, attempted_at: now, failures };
  const blamed = failure.blame === 'claim' && failures.length >= ATTEMPTS_PER_CLAIM;
  if (!blamed) return { next: 'again', ledger: { ...ledger, in_flight: again } };
  if (flight.runs.length > 1) {
    const half = Math.ceil(flight.runs.length / 2);
    const runs = flight.runs.slice(0, half);
    return {
      next: 'halved',
      ledger: { ...ledger, limit: half, in_flight: { ...again, runs, failures: [] } },
    };
  }
  const [run] = flight.runs;
  if (run === undefined || ledger.set_aside >= SET_ASIDE_BEFORE_WAITING) {
    return { next: 'waits', ledger: { ...ledger, in_flight: again } };
  }
  return {
    next: 'set_aside',
    run,
    ledger: { ...ledger, in_flight: null, set_aside: ledger.set_aside + 1 },
  };
}

export function loaded(
  ledger: Ledger,
  batch: {
    readonly sequence: number;
    readonly versions: Readonly<Record<string, number>>;
    readonly stale_left: number;
  },
): Ledger {
  const flight = ledger.in_flight?.sequence === batch.sequence ? null : ledger.in_flight;
  if (batch.sequence <= ledger.loaded) return { ...ledger, in_flight: flight };
  return {
    ...ledger,
    loaded: batch.sequence,
    base: batch.versions,
    stale: batch.stale_left,
    in_flight: flight,
    limit: ledger.limit === null || ledger.limit > 64 ? null : ledger.limit * 2,
    set_aside: 0,
  };
}

export interface HeldLedger {
  readonly ledger: Ledger;
  /** `0` = not written yet. */
  readonly generation: string;
}

export async function readLedger(
  world: World,
  bucket: string,
  domain: string,
): Promise<HeldLedger> {
  const found = await readJson<Ledger>(world.objects, bucket, place.ledger(domain));
  if (found === null) return { ledger: emptyLedger(domain), generation: '0' };
  return { ledger: found.value, generation: found.generation };
}

/** Compare-and-set; null = somebody moved the ledger first: read it again and decide anew. */
export async function moveLedger(
  world: World,
  bucket: string,
  held: HeldLedger,
  next: Ledger,
): Promise<HeldLedger | null> {
  const result = await world.objects.write(
    bucket,
    place.ledger(next.domain),
    Buffer.from(JSON.stringify(next)),
    { ifGeneration: held.generation, contentType: 'application/json' },
  );
  return result.outcome === 'written' ? { ledger: next, generation: result.generation } : null;
}

/** Moves the ledger by a pure step, again and again until it is not overtaken. */
export async function stepLedger(
  world: World,
  bucket: string,
  domain: string,
  step: (ledger: Ledger) => Ledger | null,
): Promise<Ledger> {
  for (let tries = 0; tries < 20; tries += 1) {
    const held = await readLedger(world, bucket, domain);
    const next = step(held.ledger);
    if (next === null) return held.ledger;
    const moved = await moveLedger(world, bucket, held, next);
    if (moved !== null) return moved.ledger;
    await world.clock.sleep(20 + 200 * world.random.next() * tries);
  }
  throw new Transient({
    code: 'ledger_contended',
    message: `the ledger of ${domain} moved 20 times while a step was decided`,
  });
}
