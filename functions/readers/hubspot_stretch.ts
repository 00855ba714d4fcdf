/**
 * One reader's way down a window of email events: page after page by HubSpot's offsets, and past
 * what stands in the way. An offset that has expired is replaced by a query by time. An event that
 * makes every answer with it unreadable is closed in on, by halves of time down to a millisecond,
 * then by halves of a page down to itself; what still cannot be read is handed over as it came, for
 * Spark to refuse by name, and everything around it is read.
 */
import { isUtf8 } from 'node:buffer';
import type { HubspotEmailEventsArrival } from '../../schemas/contract.ts';
import { ask, endpoints, type HubspotAnswer, UnreadableAnswer } from '../clients/hubspot.ts';
import { classified, Permanent, Transient } from '../errors.ts';
import type { Window } from '../window.ts';
import type { Page, ReadContext } from './reader.ts';

const PAGE_EVENTS = 1_000;

/** A request that waited this long for the rate budget says that the limit is reached. */
const THROTTLED_MS = 50;

/** Restarts, repeated or empty pages in a row, without progress, until the window is given back. */
const PATIENCE = 10;

/** How often an unreadable page is asked for before it is closed in on; doing that mends a passing
 * fault as well. */
const TRIES = 4;

/** How often the smallest page is, before and after HubSpot has shown that others can be read. */
const TRIES_ALONE = 3;

/** One window while it is read. */
export interface Reading {
  readonly window: Window;
  /** The window's begin, ms. */
  readonly from: number;
  readonly context: ReadContext<HubspotEmailEventsArrival>;
  /** Newest first. */
  readonly stretches: Stretch[];
  /** The rate budget made the last request wait: more readers would not be faster, and cost pages. */
  throttled: boolean;
  /** Whoever reads the window has stopped, or has failed. */
  stopped: boolean;
}

type Unread = UnreadableAnswer['answer'];

/** One reader's way down the window, newest first, until where the next older one began; ms. */
export interface Stretch {
  /** Exclusive. */
  readonly start: number;
  /** Everything from here to `start` has been fetched. */
  to: number;
  done: boolean;
  taken: boolean;
  pages: number;
  /** Time that a page covers here; null = not known yet. */
  pageMs: number | null;
  /** The query that all offsets belong to: its begin, its end (exclusive) and its page's size. */
  queryFrom: number;
  queryTo: number;
  limit: number;
  offset: string | null;
  readonly offsets: Set<string>;
  /** The newest event of the last page: a page that begins with it again is no progress. */
  lastSeen: string | null;
  /** Restarts, repeated and empty pages since `to` moved. */
  stuck: number;
  /** Between here and `to` lies something that cannot be read; null = not that we know. */
  brokenFrom: number | null;
  /** Others have been read since the smallest page could not be. */
  othersRead: boolean;
  /** HubSpot refuses offsets that were given with another page size: one by one, then. */
  oneByOne: boolean;
  /** The offset that was read from an answer which could not be read as a whole. */
  salvaged: string | null;
  /** The offset with which that answer was asked for. */
  before: string | null;
  /** The same as `to` and `done`, but of what has been handed over. */
  handedTo: number;
  handedDone: boolean;
}

/** @param from the window's begin, ms */
export const stretchFrom = (start: number, from: number): Stretch => ({
  start,
  to: start,
  done: false,
  taken: false,
  pages: 0,
  pageMs: null,
  queryFrom: from,
  queryTo: start,
  limit: PAGE_EVENTS,
  offset: null,
  offsets: new Set(),
  lastSeen: null,
  stuck: 0,
  brokenFrom: null,
  othersRead: false,
  oneByOne: false,
  salvaged: null,
  before: null,
  handedTo: start,
  handedDone: false,
});

/** One page further down a stretch, of which everything below `floor` is another reader's. */
export async function fetchPage(stretch: Stretch, reading: Reading, floor: number): Promise<Page> {
  const { context } = reading;
  for (;;) {
    if (reading.stopped) {
      throw new Transient({ code: 'reading_stopped', message: 'nobody waits for this page' });
    }
    const asked = stretch.offset;
    const target = targetOf(stretch, reading.window, asked, stretch.limit);
    const alone = stretch.limit === 1;
    const tries = alone ? TRIES_ALONE : stretch.brokenFrom === null ? TRIES : 1;
    let answer: HubspotAnswer;
    try {
      answer = await ask(context, { method: 'GET', target, unreadableTries: tries });
      // Spark refuses such a page as a whole; the others on it are to be kept.
      if (!isUtf8(answer.body)) throw new UnreadableAnswer(`${target} is no UTF-8`, answer);
    } catch (error) {
      if (error instanceof UnreadableAnswer) {
        if (await closedIn(stretch, reading, floor)) continue;
        return await brokenPage(stretch, reading, error.answer);
      }
      if (asked === null || classified(error).code !== 'hubspot_request') throw error;
      const page = await withoutOffset(stretch, reading);
      if (page !== null) return page;
      if (stretch.to <= floor) return { payload: Buffer.alloc(0), meta: {}, records: 0 };
      continue;
    }
    reading.throttled = answer.waitedMs > THROTTLED_MS;
    return taken(stretch, reading, answer, target);
  }
}

/** A page that could be read: how far down it reaches, and how it goes on. */
function taken(stretch: Stretch, reading: Reading, answer: HubspotAnswer, target: string): Page {
  const { envelope, body } = answer;
  const { window } = reading;
  const asked = stretch.offset;
  const events = envelope['events'];
  if (!Array.isArray(events)) {
    throw new Permanent({
      code: 'hubspot_shape',
      message: `${endpoints.emailEvents.path} answered without "events", but with ${Object.keys(envelope).join(', ')}: HubSpot has changed this API`,
    });
  }
  const seen = seenFirst(events);
  const anew = seen !== null && seen !== stretch.lastSeen;
  const before = stretch.to;
  stretch.to = Math.max(stretch.queryFrom, oldest(events, before));
  stretch.pages += 1;
  stretch.lastSeen = seen;
  stretch.salvaged = null;
  stretch.othersRead = false;
  const over = envelope['hasMore'] !== true || stretch.to <= stretch.queryFrom;
  if (over) nextQuery(stretch, reading);
  else if (stretch.to < before) {
    if (stretch.brokenFrom === null) stretch.pageMs = before - stretch.to;
    stretch.stuck = 0;
  } else if (!anew) notAgain(stretch, window, 'pages bring nothing new');
  if (!over) {
    const given = envelope['offset'];
    const offset = typeof given === 'string' && given !== '' ? given : null;
    const comesBack = offset !== null && (offset === asked || stretch.offsets.has(offset));
    if (offset === null || comesBack) restart(stretch, window, 'an offset comes back');
    else {
      stretch.offset = offset;
      stretch.offsets.add(offset);
    }
  }
  const meta = { request: target, status: answer.status };
  return { payload: body, askedAt: answer.askedAt, records: events.length, meta };
}

/** The query has been read to its begin: the next one below it, or the stretch is done. */
function nextQuery(stretch: Stretch, { from }: Reading): void {
  stretch.to = stretch.queryFrom;
  if (stretch.to <= from) {
    stretch.done = true;
    return;
  }
  stretch.stuck = 0;
  if (stretch.brokenFrom !== null && stretch.brokenFrom >= stretch.to) stretch.brokenFrom = null;
  beginQuery(stretch, stretch.brokenFrom === null ? from : halfway(stretch, stretch.brokenFrom));
}

const halfway = ({ to }: Stretch, lowest: number): number =>
  to - Math.max(1, Math.floor((to - lowest) / 2));

function beginQuery(stretch: Stretch, from: number): void {
  stretch.queryFrom = from;
  stretch.queryTo = stretch.to;
  stretch.limit = PAGE_EVENTS;
  stretch.oneByOne = false;
  stretch.othersRead = false;
  stretch.salvaged = null;
  forgetOffset(stretch);
}

/** Asks for less than what could not be read; false = there is nothing less to ask for. */
async function closedIn(stretch: Stretch, reading: Reading, floor: number): Promise<boolean> {
  const { window, context } = reading;
  const lowest = Math.min(Math.max(stretch.queryFrom, floor), stretch.to - 1);
  if (stretch.brokenFrom === null) {
    context.world.log('INFO', 'hubspot_closing_in', { window, below: iso(stretch.to) });
  }
  stretch.brokenFrom = lowest;
  if (stretch.to - lowest > 1) {
    beginQuery(stretch, lowest > stretch.queryFrom ? lowest : halfway(stretch, lowest));
    return true;
  }
  if (stretch.queryTo > stretch.to || stretch.queryFrom < lowest) {
    beginQuery(stretch, lowest);
    return true;
  }
  if (stretch.limit > 1) {
    stretch.limit = Math.floor(stretch.limit / 2);
    return true;
  }
  if (stretch.othersRead) return false;
  await readNothing(reading);
  stretch.othersRead = true;
  return true;
}

/**
 * Asks for a time without any event. What answers this with something else than JSON is no HubSpot
 * with a broken event, but a gateway in trouble: nothing may be taken for broken then.
 */
async function readNothing({ window, context }: Reading): Promise<void> {
  const target = targetOf({ queryFrom: 1, queryTo: 2 }, window, null, 1);
  await ask(context, { method: 'GET', target, unreadableTries: 1 });
}

/** What cannot be read, as it came; the stretch goes on behind it. */
async function brokenPage(stretch: Stretch, reading: Reading, answer: Unread): Promise<Page> {
  const { offset, over } = pagingIn(answer.body);
  if (!over && (offset === null || offset === stretch.offset)) {
    return (await noWayOn(stretch, reading, answer)) as Page;
  }
  const page = raw(stretch, reading, answer);
  if (over) nextQuery(stretch, reading);
  else {
    stretch.before = stretch.offset;
    stretch.offset = offset;
    stretch.salvaged = offset;
    stretch.othersRead = false;
    stretch.limit = stretch.oneByOne ? 1 : PAGE_EVENTS;
  }
  return page;
}

/**
 * Behind something broken, without an offset, the rest of the millisecond can only come with it: as
 * much as HubSpot gives at once. What it then still holds back, a later pass asks for again.
 * @param alone the broken event by itself, unless it has been handed over
 * @returns null = there is nothing else to hand over
 */
async function noWayOn(
  stretch: Stretch,
  reading: Reading,
  alone: Unread | null,
): Promise<Page | null> {
  const { window, context } = reading;
  const target = targetOf(stretch, window, stretch.offset, PAGE_EVENTS);
  let page: Page | null = null;
  try {
    const answer = await ask(context, { method: 'GET', target, unreadableTries: 1 });
    // It can be read after all.
    if (isUtf8(answer.body)) return taken(stretch, reading, answer, target);
    page = raw(stretch, reading, answer, PAGE_EVENTS);
  } catch (error) {
    if (error instanceof UnreadableAnswer) page = raw(stretch, reading, error.answer, PAGE_EVENTS);
    else if (classified(error).code !== 'hubspot_request') throw error;
    else if (alone !== null) page = raw(stretch, reading, alone);
  }
  context.world.log('WARNING', 'hubspot_events_behind_unreadable', {
    window,
    at: iso(stretch.queryFrom),
  });
  nextQuery(stretch, reading);
  return page;
}

function raw(stretch: Stretch, reading: Reading, answer: Unread, limit = stretch.limit): Page {
  const { window, context } = reading;
  stretch.pages += 1;
  const bytes = answer.body.length;
  const at = iso(stretch.queryFrom);
  context.world.log('WARNING', 'hubspot_page_unreadable', { window, at, bytes, asked_for: limit });
  const request = targetOf(stretch, window, stretch.offset, limit);
  const meta = { request, status: answer.status, unreadable: true };
  // How many it holds, nobody knows; there is one at least.
  return { payload: answer.body, askedAt: answer.askedAt, records: 1, meta };
}

/** An offset was refused: the same place is asked for in another way. A page = that was it. */
async function withoutOffset(stretch: Stretch, reading: Reading): Promise<Page | null> {
  const { offset, salvaged, limit } = stretch;
  const isSalvaged = salvaged !== null && offset === salvaged;
  if (isSalvaged && limit > 1) {
    // Given with pages of one event, and good for no others.
    stretch.oneByOne = true;
    stretch.limit = 1;
    return null;
  }
  if (isSalvaged) {
    stretch.offset = stretch.before;
    return await noWayOn(stretch, reading, null);
  }
  if (limit < PAGE_EVENTS) {
    stretch.oneByOne = true;
    stretch.limit = 1;
  }
  restart(stretch, reading.window, 'HubSpot refuses the offset it gave');
  return null;
}

/** Paging where it stands before the events or behind them, in a body that is no JSON as a whole. */
export function pagingIn(body: Buffer): { readonly offset: string | null; readonly over: boolean } {
  const text = body.toString('utf8');
  const field = String.raw`\s*"(?:hasMore|offset)"\s*:\s*(?:true|false|"[^"\\]*")\s*`;
  const before = new RegExp(String.raw`^\s*\{(?:${field},)+\s*"events"\s*:`).exec(text);
  const behind = new RegExp(String.raw`\](?:,${field})+\}\s*$`).exec(text);
  const found = `${before?.[0] ?? ''} ${behind?.[0] ?? ''}`;
  const offset = /"offset"\s*:\s*"([^"]+)"/.exec(found)?.[1] ?? null;
  return { offset, over: /"hasMore"\s*:\s*false/.test(found) };
}

/** Goes on at the oldest instant seen, inclusive; what is read twice is merged by key. */
function restart(stretch: Stretch, window: Window, reason: string): void {
  notAgain(stretch, window, reason);
  stretch.queryTo = stretch.to;
  forgetOffset(stretch);
}

function forgetOffset(stretch: Stretch): void {
  stretch.offset = null;
  stretch.offsets.clear();
  stretch.lastSeen = null;
}

function notAgain(stretch: Stretch, window: Window, reason: string): void {
  stretch.stuck += 1;
  if (stretch.stuck <= PATIENCE) return;
  throw new Transient({
    code: 'hubspot_no_progress',
    message: `email events of ${window.pass} cannot be read below ${iso(stretch.to)}: ${reason}, ${PATIENCE} times`,
  });
}

function seenFirst(events: readonly unknown[]): string | null {
  const first = events[0] as
    | { readonly id?: unknown; readonly created?: unknown }
    | null
    | undefined;
  return first == null ? null : `${String(first.id)} ${String(first.created)}`;
}

/** One past the oldest `created` of a page: what lies below is still to be read. */
function oldest(events: readonly unknown[], to: number): number {
  let reached = to;
  for (const event of events) {
    const created = (event as { readonly created?: unknown } | null)?.created;
    if (typeof created === 'number' && created + 1 < reached) reached = created + 1;
  }
  return reached;
}

function targetOf(
  { queryFrom, queryTo }: Pick<Stretch, 'queryFrom' | 'queryTo'>,
  window: Window,
  offset: string | null,
  limit: number,
): string {
  const params = new URLSearchParams({
    // Both ends are inclusive. Filtered events are never left out: bots are a dimension.
    startTimestamp: String(queryFrom),
    endTimestamp: String(queryTo - 1),
    limit: String(limit),
  });
  const campaign = window.only?.['campaign'];
  if (campaign !== undefined) params.set('campaignId', campaign);
  if (offset !== null) params.set('offset', offset);
  return `${endpoints.emailEvents.path}?${params}`;
}

const iso = (ms: number): string => new Date(ms).toISOString();
