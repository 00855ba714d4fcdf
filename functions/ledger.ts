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
  readonly failures: readonly ({ readonly attempt: number } & Failure)[];
  /** Loaded; its runs are leaving the waiting list. */
  readonly closing?: true;
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
  /** The last batch did nothing but stale partitions and left as many: another would be no better. */
  readonly stalled: boolean;
  /** Runs set aside one after another without a load between: many mean the code is at fault. */
  readonly set_aside: number;
  /** Batches that BigQuery would not take, one after another; the next one waits longer each time. */
  readonly abandoned: { readonly count: number; readonly at: string } | null;
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
  stalled: false,
  set_aside: 0,
  abandoned: null,
});

/** Attempts of one claim before it is halved. */
export const ATTEMPTS_PER_CLAIM = 2;

/** Failures of one claim that the ledger remembers. */
const KEPT_FAILURES = 6;

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

/** What a failed attempt leads to. */
export type AfterFailure =
  | { readonly next: 'again' | 'halved' | 'waits'; readonly ledger: Ledger }
  /** An operator's requests go first: runs are not blamed while a request may be at fault. */
  | {
      readonly next: 'requests_dropped';
      readonly ledger: Ledger;
      readonly requests: readonly string[];
    }
  | { readonly next: 'set_aside'; readonly ledger: Ledger; readonly run: ClaimedRun };

export interface Failure {
  readonly reason: string;
  /**
   * `claim` when the job gave up on this work, or died of it; `code` when the work is already
   * in silver, so that taking less of it cures nothing; `environment` when the batch never ran.
   */
  readonly blame: 'claim' | 'code' | 'environment';
}

/** Decides what follows a failed attempt. Pure. */
export function failed(
  ledger: Ledger,
  flight: InFlight,
  failure: Failure,
  now: string,
): AfterFailure {
  const said = { attempt: flight.attempt, ...failure };
  const failures = [...flight.failures, said].slice(-KEPT_FAILURES);
  const again: InFlight = { ...flight, attempt: flight.attempt + 1, attempted_at: now, failures };
  const keep: Ledger = { ...ledger, in_flight: again };
  if (failure.blame === 'environment') return { next: 'again', ledger: keep };
  const blamed = failures.filter((one) => one.blame !== 'environment').length;
  if (blamed < ATTEMPTS_PER_CLAIM) return { next: 'again', ledger: keep };
  if (failure.blame === 'code') return { next: 'waits', ledger: keep };
  if (flight.recompute.length > 0) {
    const without: InFlight = { ...again, recompute: [], failures: [] };
    return {
      next: 'requests_dropped',
      requests: flight.recompute,
      ledger: { ...ledger, in_flight: flight.runs.length > 0 ? without : null },
    };
  }
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
    return { next: 'waits', ledger: keep };
  }
  return {
    next: 'set_aside',
    run,
    ledger: { ...ledger, in_flight: null, set_aside: ledger.set_aside + 1 },
  };
}

/**
 * BigQuery would not take the batch: its claim goes back to the waiting list, and the next sequence
 * does the same work from the same base.
 */
export function abandoned(ledger: Ledger, sequence: number, now: string): Ledger | null {
  if (ledger.in_flight?.sequence !== sequence || ledger.in_flight.closing) return null;
  const count = (ledger.abandoned?.count ?? 0) + 1;
  return { ...ledger, in_flight: null, abandoned: { count, at: now } };
}

/**
 * The batch stands in the tables and its runs leave the waiting list: from here on nobody may give
 * it up, for its claim could no longer go back there. Null = nothing to write down.
 */
export function closing(ledger: Ledger, sequence: number): Ledger | null {
  const flight = ledger.in_flight;
  if (flight?.sequence !== sequence || flight.closing) return null;
  return { ...ledger, in_flight: { ...flight, closing: true } };
}

export function loaded(
  ledger: Ledger,
  batch: {
    readonly sequence: number;
    readonly versions: Readonly<Record<string, number>>;
    readonly stale_left: number;
  },
): Ledger {
  const closing = ledger.in_flight?.sequence === batch.sequence;
  const flight = closing ? null : ledger.in_flight;
  // A request of an operator makes partitions stale; only a batch without one can show no progress.
  const { runs = [], recompute = [] } = (closing && ledger.in_flight) || {};
  const alone = closing && runs.length + recompute.length === 0;
  if (batch.sequence <= ledger.loaded) return { ...ledger, in_flight: flight };
  return {
    ...ledger,
    loaded: batch.sequence,
    base: batch.versions,
    stale: batch.stale_left,
    stalled: alone && batch.stale_left > 0 && batch.stale_left >= ledger.stale,
    in_flight: flight,
    limit: ledger.limit === null || ledger.limit > 64 ? null : ledger.limit * 2,
    set_aside: 0,
    abandoned: null,
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
