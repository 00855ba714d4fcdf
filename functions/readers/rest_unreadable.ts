/**
 * A record that makes every page with it unreadable is closed in on: as many records as can be read
 * before it, then the instant at which it stands. What cannot be read is handed over as it came, for
 * Spark to refuse by name, and reading goes on behind that instant (docs/decisions, number 13).
 */
import type { Window } from '../window.ts';
import type { Page } from './reader.ts';
import { stepOf } from './rest_order.ts';
import { granuleOf, type ListQuery, nextBehind } from './rest_page.ts';
import {
  assertAnswers,
  type Read,
  type Reading,
  type ReadPage,
  type ReadUnreadable,
  smallest,
} from './rest_reading.ts';
import { walkOf, windowAt } from './rest_walk.ts';

/** While it is searched for: the page has failed several times, and a search mends a passing fault. */
const TRIES = 2;

/** @returns what remains of the window; null = nothing */
export async function* aroundUnreadable(
  window: Window,
  reading: Reading,
  unread: ReadUnreadable,
): AsyncGenerator<Page, Window | null> {
  const { arrival, context } = reading;
  const source = `${context.domain}.${context.source}`;
  const to = Date.parse(window.to);
  const since = Date.parse(window.from);
  const left = (from: number): Window | null =>
    from >= to ? null : { ...window, from: new Date(from).toISOString() };
  await assertAnswers(reading);
  context.world.log('INFO', 'rest_closing_in', { source, window });

  let begin = since;
  const before = await longestBefore(reading, since, to);
  if (before !== null) {
    if (before.next === null) {
      yield { ...before.page, remaining: null };
      return null;
    }
    // By time nothing can be found where time does not tell the order.
    if (stepOf(before.times, since, arrival) === 'disorder') {
      yield before.page;
      return windowAt(window, walkOf('whole'));
    }
    begin = Math.max(since, ...before.times.filter((ms) => ms !== null));
    yield { ...before.page, remaining: left(begin) };
    if (begin >= to) return null;
  }

  // The record by itself, and by the list's own paging what stands behind it.
  const granule = granuleOf(arrival);
  let query: ListQuery = { since: begin + granule, until: to, limit: smallest(reading), at: null };
  let alone = await reading.fetch(query, { tries: TRIES });
  const isAlone = reading.limit !== null;
  if (alone.kind !== 'unreadable' && isAlone) {
    // It is of the instant at which the readable ones end, with others behind it perhaps.
    return windowAt({ ...window, from: iso(begin) }, walkOf('instant'));
  }
  while (alone.kind === 'unreadable' && isAlone) {
    const at = nextBehind(arrival, alone.answer, query, context.baseUrl);
    if (at === null) break;
    query = { ...query, at };
    const behind: Read = await reading.fetch(query, { tries: TRIES });
    if (behind.kind === 'expired') break;
    if (behind.kind === 'page') {
      const changed = behind.times[0] ?? null;
      if (changed === null && behind.next !== null) break;
      const next = changed === null ? null : left(Math.max(begin + granule, changed));
      yield { ...told(reading, alone), remaining: next };
      return next;
    }
    yield { ...told(reading, alone), remaining: left(begin) };
    alone = behind;
  }

  const at = await lastUnreadable(reading, begin, to);
  const read: Read = isAlone
    ? await reading.fetch({ since: at, until: to, limit: reading.limit, at: null })
    : unread;
  // It can be read after all.
  if (read.kind !== 'unreadable') return left(begin);
  const behind = left(at + granule);
  yield { ...told(reading, read), remaining: behind };
  return behind;
}

/** What is given up on, with a warning. */
function told({ context }: Reading, { page, answer }: ReadUnreadable): Page {
  const source = `${context.domain}.${context.source}`;
  context.world.log('WARNING', 'rest_page_unreadable', { source, bytes: answer.body.length });
  return page;
}

/** The largest first page that can be read; null = none, or the API takes no size. */
async function longestBefore(
  reading: Reading,
  since: number,
  until: number,
): Promise<ReadPage | null> {
  let best: ReadPage | null = null;
  let readable = 0;
  for (let broken = reading.limit ?? 1; broken - readable > 1; ) {
    const limit = Math.floor((readable + broken) / 2);
    const read = await reading.fetch({ since, until, limit, at: null }, { tries: TRIES });
    if (read.kind === 'page') {
      best = read;
      readable = limit;
    } else broken = limit;
  }
  return best;
}

/**
 * The last instant whose query still begins with (or, without page sizes, holds) what is broken,
 * where nothing but time leads past it.
 */
async function lastUnreadable(reading: Reading, begin: number, until: number): Promise<number> {
  const granule = granuleOf(reading.arrival);
  const ask = (since: number): Promise<Read> =>
    reading.fetch({ since, until: null, limit: smallest(reading), at: null }, { tries: TRIES });
  let low = begin + granule;
  const [first, again] = [await ask(low), await ask(low)];
  if (first.kind !== 'unreadable' || again.kind !== 'unreadable') return begin;
  // What differs each time it is asked for cannot tell one broken record from the next.
  const body = first.answer.body.equals(again.answer.body) ? first.answer.body : null;
  const same = async (since: number): Promise<boolean> => {
    const read = await ask(since);
    if (read.kind !== 'unreadable') return false;
    return reading.limit === null || body === null || read.answer.body.equals(body);
  };
  let step = granule;
  // Beyond the window's end it is another window's.
  while (low + step < until && (await same(low + step))) {
    low += step;
    step *= 2;
  }
  for (let high = Math.min(low + step, Math.max(until, low + granule)); high - low > granule; ) {
    const middle = low + Math.max(granule, Math.floor((high - low) / 2 / granule) * granule);
    if (await same(middle)) low = middle;
    else high = middle;
  }
  return low;
}

const iso = (ms: number): string => new Date(ms).toISOString();
