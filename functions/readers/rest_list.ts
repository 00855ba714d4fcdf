/**
 * A list that a REST API pages through, oldest update first, as a contract declares it.
 *
 * Pages of a living list move under the reader: an order that is updated leaves its place, all
 * behind it move up by one, and the next page by number or offset begins one too late. So pages are
 * not followed. Each request is the first page of a query of its own, which begins a quarter of a
 * page back in the last one, by the records' own time of change: one answer is one view of the list,
 * and what stands a little out of order is seen all the same. The list's own paging is used only
 * where time does not move on (rest_walk.ts), and where the order is not kept.
 */
import type { RestListArrival } from '../../schemas/contract.ts';
import type { Window } from '../window.ts';
import type { Page, ReadContext, Reader } from './reader.ts';
import { stepOf } from './rest_order.ts';
import {
  endsBefore,
  noPage,
  type Read,
  type Reading,
  type ReadPage,
  readingOf,
} from './rest_reading.ts';
import { aroundUnreadable } from './rest_unreadable.ts';
import { type Walk, walkAt, walked, walkOf, windowAt } from './rest_walk.ts';

const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;

/** A first run, and what a person asks for, is read in windows of this length. */
const LONGEST_WINDOW_MS = 30 * DAY_MS;

export const restList: Reader<RestListArrival> = {
  // One that is long must not keep today's waiting; the API's limit is what all of them wait for.
  parallel: 4,

  plan(checkpoint, now, arrival) {
    const to = iso(now);
    if (arrival.since === undefined) {
      // A listing that takes longer than a tick is finished before the next one begins.
      if (checkpoint.open.some(({ pass }) => pass === 'full')) return { windows: [], edges: {} };
      const from = checkpoint.edges['full'] ?? iso(0);
      return { windows: [{ pass: 'full', from, to }], edges: { full: to } };
    }
    const edge = checkpoint.edges['hot'];
    const begin = now - arrival.first_days * DAY_MS;
    const from =
      edge === undefined ? begin : Date.parse(edge) - arrival.overlap_minutes * MINUTE_MS;
    if (edge !== undefined && Date.parse(edge) >= now) return { windows: [], edges: {} };
    // While nothing can be read, one more window with every tick would say no more: the first plan
    // after it reaches from this edge to the present.
    const stands = checkpoint.open.some(({ pass, to }) => pass === 'hot' && to === edge);
    if (stands && checkpoint.trouble !== null) return { windows: [], edges: {} };
    return { windows: cut('hot', from, now, arrival), edges: { hot: to } };
  },

  range(from, to, pass, arrival) {
    if (arrival.since !== undefined) return cut(pass, Date.parse(from), Date.parse(to), arrival);
    return [{ pass, from: iso(Date.parse(from)), to: iso(Date.parse(to)) }];
  },

  pages,
};

const iso = (ms: number): string => new Date(ms).toISOString();

/** Newest first: people ask about today before they ask about last year. */
function cut(pass: string, from: number, to: number, arrival: RestListArrival): readonly Window[] {
  const windows: Window[] = [];
  // Where the API knows no end, a list out of order is read to its own end by every window.
  const most = arrival.since?.until === undefined ? 2 : Number.POSITIVE_INFINITY;
  for (let end = to; end > from; ) {
    const begin = windows.length + 1 >= most ? from : Math.max(from, end - LONGEST_WINDOW_MS);
    windows.push({ pass, from: iso(begin), to: iso(end) });
    end = begin;
  }
  return windows;
}

async function* pages(window: Window, context: ReadContext<RestListArrival>): AsyncGenerator<Page> {
  const reading = readingOf(context);
  if (context.arrival.since === undefined) {
    yield* walked(window, reading, walkAt(window) ?? walkOf('list'));
    return;
  }
  let left: Window | null = window;
  while (left !== null) {
    if (Date.parse(left.from) >= Date.parse(left.to)) {
      yield { ...noPage, remaining: null };
      return;
    }
    const walk: Walk | null = walkAt(left);
    left = walk === null ? yield* byTime(left, reading) : yield* walked(left, reading, walk);
  }
}

/**
 * Reads on by time, until the window is done or something else has to be done with what remains.
 * @returns what remains; null = nothing
 */
async function* byTime(window: Window, reading: Reading): AsyncGenerator<Page, Window | null> {
  const { arrival, context } = reading;
  const to = Date.parse(window.to);
  for (let here = window; ; ) {
    const since = Date.parse(here.from);
    const read: Read = await reading.fetch({ since, until: to, limit: reading.limit, at: null });
    if (read.kind === 'unreadable') return yield* aroundUnreadable(here, reading, read);
    if (read.kind === 'expired') return here;
    const { page, next, records } = read;
    const step = stepOf(read.times, since, arrival);
    const goesOn = typeof step === 'number';
    // A full page that says it is the last is asked once more: were the place wrong at which the
    // contract looks for the next one, nothing else would show.
    const isFull = records.length === reading.limit;
    const ended = (next === null && !(isFull && goesOn)) || (goesOn && step >= to);
    if (ended || (await endsBehind(reading, read, since, to))) {
      yield { ...page, remaining: null };
      return null;
    }
    if (step === null || step === 'disorder') {
      if (step === 'disorder') {
        const source = `${context.domain}.${context.source}`;
        context.world.log('WARNING', 'rest_list_disorder', { source, window: here });
      }
      const walk = windowAt(here, walkOf(step === null ? 'instant' : 'whole'));
      yield { ...page, remaining: walk };
      return walk;
    }
    here = { ...here, from: iso(step) };
    yield { ...page, remaining: here };
  }
}

/**
 * Whether the list ends with a page that is not full although it names a next one: by number there
 * always is one, and some cursors lead to an empty page.
 */
async function endsBehind(
  reading: Reading,
  { records, next }: ReadPage,
  since: number,
  until: number,
): Promise<boolean> {
  if (next === null || records.length === 0) return false;
  if (reading.full !== null && records.length >= reading.full) return false;
  const query = { since, until, limit: reading.limit, at: next };
  const behind = await reading.fetch(query);
  if (behind.kind !== 'unreadable' && (await endsBefore(reading, query, behind, records))) {
    return true;
  }
  if (behind.kind === 'page' && behind.records.length === 0 && behind.next === null) return true;
  // There is more: it was a full page after all.
  reading.full = records.length;
  return false;
}
