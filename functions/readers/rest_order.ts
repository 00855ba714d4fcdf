/** What the order of a page's records says about where the next query may begin. Pure. */
import type { RestListArrival } from '../../schemas/contract.ts';
import { granuleOf } from './rest_page.ts';

const MINUTE_MS = 60_000;

/** Of a page, the part that the next one begins before its end. */
const AGAIN = 1 / 4;

/** Records that stand further out of their place than this part of a page are out of order. */
const TOLERATED = AGAIN / 2;

/**
 * Where the next query begins: everything before has been seen. `null` = time does not move on
 * within this page; `disorder` = it holds records too far out of their place to go by time.
 */
export function stepOf(
  times: readonly (number | null)[],
  since: number,
  arrival: RestListArrival,
): number | 'disorder' | null {
  const granule = granuleOf(arrival);
  const whole = (ms: number): number => ms - (ms % granule);
  const served = times.map((ms) => (ms === null ? null : whole(ms)));
  const sorted = served.filter((ms) => ms !== null).sort((a, b) => a - b);
  const [oldest] = sorted;
  if (served.length === 0) return null;
  // Records without a time may stand anywhere; older ones than asked for say that `since` is not heeded.
  const tolerance = Math.max(arrival.overlap_minutes * MINUTE_MS, granule);
  if (oldest === undefined || sorted.length < served.length) return 'disorder';
  if (oldest < whole(since) - tolerance) return 'disorder';
  if (displaced(served as readonly number[], sorted) > sorted.length * TOLERATED) return 'disorder';
  const back = Math.floor(sorted.length * (1 - AGAIN));
  return sorted.find((ms, at) => at >= back && ms > whole(since)) ?? null;
}

/** How far the record most out of its place stands from it; records of one time may change places. */
function displaced(served: readonly number[], sorted: readonly number[]): number {
  const first = new Map<number, number>();
  const last = new Map<number, number>();
  for (const [at, ms] of sorted.entries()) {
    if (!first.has(ms)) first.set(ms, at);
    last.set(ms, at);
  }
  let most = 0;
  for (const [at, ms] of served.entries()) {
    most = Math.max(most, (first.get(ms) ?? at) - at, at - (last.get(ms) ?? at));
  }
  return most;
}
