/**
 * HubSpot's v1 email events: newest first, pages of one query strictly serial, offsets that expire
 * (hubspot.md 1.2). A dense window is therefore read as several spans at once; whoever is done
 * first takes over half of what another one has left.
 */
import type { HubspotEmailEventsArrival } from '../../schemas/contract.ts';
import type { Window } from '../checkpoint.ts';
import { ask, endpoints } from '../clients/hubspot.ts';
import { classified, Permanent, Transient } from '../errors.ts';
import type { Page, ReadContext, Reader } from './reader.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const PAGE_EVENTS = 1_000;

/** Windows that a person or an outage leaves are cut this long; density is dealt with inside. */
const LONGEST_WINDOW_MS = 7 * DAY_MS;

/** Spans of one window that are read at once: with answers after half a second a limit of 19
 * requests a second needs ten of them, and the last window of a run has to make do alone. */
const SPANS = 12;

/** Pages per span and round. Each span ends with a page that is not full; after a crash at most one
 * round is read again. */
const PAGES_PER_SPAN = 16;

/** A span is shared only if it is likely to hold this many pages more. */
const WORTH_SHARING = 4;

/** Fetched pages that wait to be landed; more would only take memory. */
const WAITING_PAGES = 4;

/** Restarts, repeated or empty pages in a row, without progress, until the window is given back. */
const PATIENCE = 10;

type Context = ReadContext<HubspotEmailEventsArrival>;

export const hubspotEmailEvents: Reader<HubspotEmailEventsArrival> = {
  parallel: 2,

  plan(checkpoint, now, arrival) {
    const edges: Record<string, string> = {};
    const windows: Window[] = [];
    const begin = now - arrival.first_days * DAY_MS;
    const hotFrom = edgeOf(checkpoint.edges, 'hot') ?? begin;
    const hotTo = now - arrival.settle_minutes * 60_000;
    if (hotTo > hotFrom) {
      windows.push(...cut('hot', hotFrom, hotTo));
      edges['hot'] = iso(hotTo);
    }
    for (const hours of arrival.again_after_hours) {
      const pass = `again-${hours}h`;
      const known = edgeOf(checkpoint.edges, pass);
      // What the first run reads is older than this, or becomes it later.
      const from = known ?? Math.max(begin, now - hours * HOUR_MS);
      if (known === null) edges[pass] = iso(from);
      // In whole blocks, for a re-read every quarter of an hour would make as many runs.
      const block = hours >= 7 * 24 ? DAY_MS : 6 * HOUR_MS;
      const to = Math.floor((now - hours * HOUR_MS) / block) * block;
      if (to <= from) continue;
      windows.push(...cut(pass, from, to));
      edges[pass] = iso(to);
    }
    return { windows, edges };
  },

  range: (from, to, pass) => cut(pass, Date.parse(from), Date.parse(to)),

  pages,
};

const iso = (ms: number): string => new Date(ms).toISOString();

const edgeOf = (edges: Readonly<Record<string, string>>, pass: string): number | null =>
  edges[pass] === undefined ? null : Date.parse(edges[pass]);

/** Newest first: people ask about today before they ask about last month. */
function cut(pass: string, from: number, to: number): readonly Window[] {
  const windows: Window[] = [];
  for (let end = to; end > from; end -= LONGEST_WINDOW_MS) {
    windows.push({ pass, from: iso(Math.max(from, end - LONGEST_WINDOW_MS)), to: iso(end) });
  }
  return windows;
}

/** Part of a window that one query after the other walks down, newest first; ms, `to` exclusive. */
interface Span {
  /** Raised when another worker takes the older half. */
  from: number;
  /** Everything from here on has been fetched. */
  to: number;
  done: boolean;
  /** The query that `offset` belongs to: HubSpot binds it to all other parameters. */
  query: { readonly from: number; readonly to: number } | null;
  offset: string | null;
  readonly offsets: Set<string>;
  /** The newest event of the last page: a page that begins with it again is no progress. */
  lastSeen: string | null;
  /** Restarts, repeated and empty pages since `to` moved. */
  stuck: number;
  taken: boolean;
  /** The same as `to` and `done`, but of what has been handed over. */
  handedTo: number;
  handedDone: boolean;
  /** Time that one page covered; null before the first. */
  pageMs: number | null;
}

const spanOf = (from: number, to: number): Span => ({
  from,
  to,
  done: false,
  query: null,
  offset: null,
  offsets: new Set(),
  lastSeen: null,
  stuck: 0,
  taken: false,
  handedTo: to,
  handedDone: false,
  pageMs: null,
});

interface Fetched {
  readonly span: Span;
  readonly to: number;
  readonly done: boolean;
  readonly payload: Buffer;
  readonly records: number;
  readonly meta: Page['meta'];
}

async function* pages(window: Window, context: Context): AsyncGenerator<Page> {
  const from = Date.parse(window.from);
  const end = Date.parse(window.to);
  const remainingTo = (to: number): Pick<Page, 'remaining'> => {
    if (to <= from) return { remaining: null };
    // Reading down to the same instant again would be the same run: it cannot stop here.
    return to >= end ? {} : { remaining: { ...window, to: iso(to) } };
  };

  // The first page tells how dense the window is.
  const first = spanOf(from, end);
  const newest = await fetchPage(first, window, context);
  yield {
    payload: newest.payload,
    records: newest.records,
    meta: newest.meta,
    ...remainingTo(first.done ? from : first.to),
  };
  let to = first.done ? from : first.to;
  let pageMs = Math.max(1, end - to);
  while (to > from) {
    const low = Math.max(from, to - pageMs * SPANS * PAGES_PER_SPAN);
    // The first page's query may stand in the middle of one millisecond: its offset is kept.
    const spans = to === end ? [resumed(first, low)] : spread(low, to);
    let fetched = 0;
    for await (const page of fetchAll(spans, window, context)) {
      fetched += 1;
      page.span.handedTo = page.to;
      page.span.handedDone = page.done;
      yield {
        payload: page.payload,
        records: page.records,
        meta: page.meta,
        ...remainingTo(frontier(spans, low)),
      };
    }
    pageMs = Math.max(1, Math.ceil((to - low) / Math.max(1, fetched)));
    to = low;
  }
}

/** Everything from this instant on has been handed over. */
function frontier(spans: readonly Span[], low: number): number {
  const newestFirst = [...spans].sort((a, b) => b.from - a.from);
  const open = newestFirst.find((span) => !span.handedDone);
  return open === undefined ? low : open.handedTo;
}

function spread(from: number, to: number): Span[] {
  const each = Math.max(1, Math.ceil((to - from) / SPANS));
  const spans: Span[] = [];
  for (let end = to; end > from; end -= each) spans.push(spanOf(Math.max(from, end - each), end));
  return spans;
}

function resumed(span: Span, from: number): Span {
  return { ...span, from, taken: false, offsets: span.offsets };
}

/** Reads all spans with several workers; hands pages over as they come, in order within a span. */
async function* fetchAll(spans: Span[], window: Window, context: Context): AsyncGenerator<Fetched> {
  const waiting: Fetched[] = [];
  let failure: { readonly error: unknown } | null = null;
  let stopped = false;
  let working = 0;
  let sleepers: (() => void)[] = [];
  const change = (): Promise<void> => new Promise((resume) => sleepers.push(resume));
  const changed = (): void => {
    const all = sleepers;
    sleepers = [];
    for (const resume of all) resume();
  };
  const worker = async (): Promise<void> => {
    while (!stopped && spans.some((span) => !span.done)) {
      const span = nextSpan(spans);
      if (span === null) {
        await change();
        continue;
      }
      while (!span.done && !stopped) {
        if (waiting.length >= WAITING_PAGES) {
          await change();
          continue;
        }
        waiting.push(await fetchPage(span, window, context));
        changed();
      }
    }
  };
  const workers = Array.from({ length: SPANS }, async () => {
    working += 1;
    try {
      await worker();
    } catch (error) {
      failure ??= { error };
      stopped = true;
    } finally {
      working -= 1;
      changed();
    }
  });
  try {
    for (;;) {
      const page = waiting.shift();
      if (page !== undefined) {
        changed();
        yield page;
      } else if (working === 0) {
        break;
      } else {
        await change();
      }
    }
    if (failure !== null) throw (failure as { readonly error: unknown }).error;
  } finally {
    // Nothing of this window goes on behind the back of whoever stopped reading it.
    stopped = true;
    changed();
    await Promise.allSettled(workers);
  }
}

/** A span nobody reads, or the older half of the one with the most left; null = nothing to do. */
function nextSpan(spans: Span[]): Span | null {
  const free = spans.find((span) => !span.done && !span.taken);
  if (free !== undefined) {
    free.taken = true;
    return free;
  }
  const left = (span: Span): number =>
    span.done || span.pageMs === null ? 0 : (span.to - span.from) / span.pageMs;
  const [longest] = [...spans].sort((a, b) => left(b) - left(a));
  if (longest === undefined || left(longest) < WORTH_SHARING || longest.to - longest.from < 2) return null;
  const middle = Math.floor((longest.from + longest.to) / 2);
  const half = { ...spanOf(longest.from, middle), taken: true };
  longest.from = middle;
  spans.push(half);
  return half;
}

/** One page further down a span. */
async function fetchPage(span: Span, window: Window, context: Context): Promise<Fetched> {
  for (;;) {
    const asked = span.offset;
    span.query ??= { from: span.from, to: span.to };
    const target = targetOf(span.query, asked, window);
    let answer: Awaited<ReturnType<typeof ask>>;
    try {
      answer = await ask(context, { method: 'GET', target });
    } catch (error) {
      if (asked === null || classified(error).code !== 'hubspot_request') throw error;
      // An offset that has expired: the same place is asked for by time.
      restart(span, 'HubSpot refuses the offset it gave', window);
      continue;
    }
    const { envelope, body } = answer;
    const events = envelope['events'];
    if (!Array.isArray(events)) {
      throw new Permanent({
        code: 'hubspot_shape',
        message: `${endpoints.emailEvents.path} answered without "events", but with ${Object.keys(envelope).join(', ')}: HubSpot has changed this API`,
      });
    }
    const offset =
      typeof envelope['offset'] === 'string' && envelope['offset'] !== ''
        ? envelope['offset']
        : null;
    const repeated = offset !== null && (offset === asked || span.offsets.has(offset));
    const seen = seenFirst(events);
    const sameAgain = seen !== null && seen === span.lastSeen;
    span.lastSeen = seen;
    const reached = oldest(events, span);
    const before = span.to;
    span.to = Math.max(span.from, Math.min(span.to, reached));
    span.done = envelope['hasMore'] !== true || reached <= span.from;
    if (span.to < before) {
      span.pageMs = before - span.to;
      span.stuck = 0;
    } else {
      span.stuck += seen !== null && !sameAgain ? 0 : 1;
    }
    if (span.stuck > PATIENCE && !span.done) throw stuck(window, span, 'pages bring nothing new');
    if (span.done) span.to = span.from;
    else if (offset === null || repeated) restart(span, 'an offset comes back', window);
    else {
      span.offset = offset;
      span.offsets.add(offset);
    }
    return {
      span,
      to: span.to,
      done: span.done,
      payload: body,
      records: events.length,
      meta: { request: target, status: answer.status },
    };
  }
}

/** Goes on at the oldest instant seen, inclusive; what is read twice is merged by key. */
function restart(span: Span, reason: string, window: Window): void {
  span.stuck += 1;
  if (span.stuck > PATIENCE) throw stuck(window, span, reason);
  span.query = null;
  span.offset = null;
  span.offsets.clear();
  span.lastSeen = null;
}

function seenFirst(events: readonly unknown[]): string | null {
  const first = events[0] as
    | { readonly id?: unknown; readonly created?: unknown }
    | null
    | undefined;
  return first == null ? null : `${String(first.id)} ${String(first.created)}`;
}

const stuck = (window: Window, span: Span, reason: string): Transient =>
  new Transient({
    code: 'hubspot_no_progress',
    message: `email events of ${window.pass} cannot be read below ${iso(span.to)}: ${reason}, ${PATIENCE} times`,
  });

/** One past the oldest `created` of a page: what lies below is still to be read. */
function oldest(events: readonly unknown[], span: Span): number {
  let reached = span.to;
  for (const event of events) {
    const created = (event as { readonly created?: unknown } | null)?.created;
    if (typeof created === 'number' && created + 1 < reached) reached = created + 1;
  }
  return reached;
}

function targetOf(
  query: { readonly from: number; readonly to: number },
  offset: string | null,
  window: Window,
): string {
  const params = new URLSearchParams({
    // Both ends are inclusive. Filtered events are never left out: bots are a dimension.
    startTimestamp: String(query.from),
    endTimestamp: String(query.to - 1),
    limit: String(PAGE_EVENTS),
  });
  const campaign = window.only?.['campaign'];
  if (campaign !== undefined) params.set('campaignId', campaign);
  if (offset !== null) params.set('offset', offset);
  return `${endpoints.emailEvents.path}?${params}`;
}
