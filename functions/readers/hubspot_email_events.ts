/**
 * HubSpot's v1 email events: newest first, pages of one query strictly serial, offsets that expire
 * (hubspot.md 1.2). A dense window is therefore read by several readers at once: each begins further
 * down and reads until where the next one began; whoever is done takes over what another has left.
 */
import type { HubspotEmailEventsArrival } from '../../schemas/contract.ts';
import type { Window } from '../window.ts';
import { fetchPage, type Reading, type Stretch, stretchFrom } from './hubspot_stretch.ts';
import type { Budget, Page, ReadContext, Reader } from './reader.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** What a first run, an outage or a person leaves to be read is cut into windows of this length: each
 * costs one page that is not full, and so does every reader that has to help with a longer one. */
const LONGEST_WINDOW_MS = DAY_MS;

/** Readers of one window: with answers after half a second a limit of 19 requests a second needs
 * ten of them, and the last window of a run has to make do alone. */
const READERS = 10;

/** How far below the last reader another one begins, in pages as far as their density is known. */
const JUMP_PAGES = 64;

/** A stretch is shared only if it is likely to hold this many pages more: where two readers meet,
 * half a page is read twice. */
const WORTH_SHARING = 6;

/** With so many at work, over all windows, another reader would only cost pages: a limit of 19 a
 * second needs ten when an answer takes half a second, and whoever hands a page over asks for none. */
const ENOUGH_AT_WORK = 11;

/** Readers at work on what one rate budget pays for. */
const atWork = new WeakMap<Budget, number>();
const readersOf = (budget: Budget): number => atWork.get(budget) ?? 0;
const count = (budget: Budget, by: 1 | -1): void => void atWork.set(budget, readersOf(budget) + by);

/** Pages read ahead of what is complete from the window's end down: what a crash can repeat. */
const AHEAD_PAGES = 256;

/** Fetched pages that wait to be landed; more would only take memory. */
const WAITING_PAGES = 2;

type Context = ReadContext<HubspotEmailEventsArrival>;

export const hubspotEmailEvents: Reader<HubspotEmailEventsArrival> = {
  // More than fill the limit: a window that is being landed asks for nothing meanwhile.
  parallel: 14,

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

interface Fetched {
  readonly stretch: Stretch;
  readonly to: number;
  readonly done: boolean;
  readonly page: Page;
}

async function* pages(window: Window, context: Context): AsyncGenerator<Page> {
  const from = Date.parse(window.from);
  const end = Date.parse(window.to);
  if (end <= from) {
    yield { payload: Buffer.alloc(0), records: 0, meta: {}, remaining: null };
    return;
  }
  const stretches = [stretchFrom(end, from)];
  const reading: Reading = { window, from, context, stretches, throttled: false, stopped: false };
  // Pages of different stretches arrive in any order.
  for await (const { stretch, to, done, page } of fetchAll(reading)) {
    stretch.handedTo = to;
    stretch.handedDone = done;
    const open = stretches.find((one) => !one.handedDone);
    if (open === undefined) yield { ...page, remaining: null };
    // Reading down to the same instant again would be the same run: it cannot stop here.
    else if (open.handedTo >= end) yield page;
    else yield { ...page, remaining: { ...window, to: iso(open.handedTo) } };
  }
}

/** Reads a window with several readers; hands pages over as they come. */
async function* fetchAll(reading: Reading): AsyncGenerator<Fetched> {
  const { stretches } = reading;
  const waiting: Fetched[] = [];
  let failure: { readonly error: unknown } | null = null;
  let working = 0;
  let sleepers: (() => void)[] = [];
  const change = (): Promise<void> => new Promise((resume) => sleepers.push(resume));
  const changed = (): void => {
    const all = sleepers;
    sleepers = [];
    for (const resume of all) resume();
  };
  const read = async (): Promise<void> => {
    while (!reading.stopped && stretches.some((one) => !one.done)) {
      const stretch = nextStretch(reading);
      if (stretch === null) {
        await change();
        continue;
      }
      count(reading.context.budget, 1);
      try {
        while (!stretch.done && !reading.stopped) {
          if (waiting.length >= WAITING_PAGES) {
            await change();
            continue;
          }
          const page = await fetchPage(stretch, reading, floorOf(stretch, reading));
          if (stretch.to <= floorOf(stretch, reading)) stretch.done = true;
          waiting.push({ stretch, to: stretch.to, done: stretch.done, page });
          changed();
        }
      } finally {
        count(reading.context.budget, -1);
      }
    }
  };
  const readers = Array.from({ length: READERS }, async () => {
    working += 1;
    try {
      await read();
    } catch (error) {
      failure ??= { error };
      reading.stopped = true;
    } finally {
      working -= 1;
      changed();
    }
  });
  try {
    for (;;) {
      const next = waiting.shift();
      if (next !== undefined) {
        changed();
        yield next;
      } else if (working === 0) {
        break;
      } else {
        await change();
      }
    }
    if (failure !== null) throw (failure as { readonly error: unknown }).error;
  } finally {
    // Nothing of this window goes on behind the back of whoever stopped reading it.
    reading.stopped = true;
    changed();
    await Promise.allSettled(readers);
  }
}

/** Where the next older reader began, or the window's begin. */
function floorOf(stretch: Stretch, { stretches, from }: Reading): number {
  return stretches[stretches.indexOf(stretch) + 1]?.start ?? from;
}

/** The lower part of the stretch with most left to read; null = nothing worth a reader now. */
function nextStretch(reading: Reading): Stretch | null {
  const { stretches } = reading;
  const [only] = stretches;
  if (only !== undefined && !only.taken) {
    only.taken = true;
    return only;
  }
  if (reading.throttled || readersOf(reading.context.budget) >= ENOUGH_AT_WORK) return null;
  const first = stretches.findIndex((one) => !one.done);
  const ahead = stretches.slice(first + 1).reduce((sum, one) => sum + one.pages, 0);
  let chosen = -1;
  let most = WORTH_SHARING;
  for (const [i, one] of stretches.entries()) {
    if (one.done || one.pageMs === null || (ahead >= AHEAD_PAGES && i !== first)) continue;
    const left = (one.to - floorOf(one, reading)) / one.pageMs;
    if (left < most) continue;
    most = left;
    chosen = i;
  }
  const victim = stretches[chosen];
  if (victim === undefined || victim.pageMs === null) return null;
  const floor = floorOf(victim, reading);
  const start = Math.floor(
    victim.to - Math.min((victim.to - floor) / 2, JUMP_PAGES * victim.pageMs),
  );
  if (start <= floor || start >= victim.to) return null;
  // How dense it is there is not known before its first page: a burst may have ended above.
  const stretch = { ...stretchFrom(start, reading.from), taken: true };
  stretches.splice(chosen + 1, 0, stretch);
  return stretch;
}
