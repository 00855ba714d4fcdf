/**
 * Reading a REST list by its own paging, to its end: where no time tells its records apart, where
 * more of them changed at one instant than a page holds, and where it does not keep its order.
 *
 * While pages are followed records may move from one that is still to come to one that has been
 * read. A walk over several pages is therefore repeated until one brings nothing that has not been
 * seen: only a record that moves past the reader in each of them is left for a later window.
 */
import { createHash } from 'node:crypto';
import { Transient } from '../errors.ts';
import type { Window } from '../window.ts';
import type { Page } from './reader.ts';
import { granuleOf, nextBehind } from './rest_page.ts';
import { assertAnswers, endsBefore, noPage, type Read, type Reading } from './rest_reading.ts';

/** Walks over the same records; the list may be too lively to stand still. */
const ROUNDS = 3;

/** Restarts within one walk, because a cursor has expired or comes back, until the slice gives up. */
const PATIENCE = 4;

/** Pages without records, one after the other, until the slice gives up. */
const EMPTY_PAGES = 50;

/** Digests kept to know records again: some 30 MB. */
const MOST_SEEN = 300_000;

/** Where a walk stands; kept in the window's cursor. */
export interface Walk {
  /**
   * `instant`: the records that changed at the window's begin, to be read by time behind it;
   * `whole`: everything since the window's begin; `list`: a list that cannot be narrowed by time.
   */
  readonly kind: 'instant' | 'whole' | 'list';
  /** Counts from 1. */
  readonly round: number;
  /**
   * Pages and restarts so far: a window that stands at the same cursor once more is another run, for
   * a run that is landed is not read again.
   */
  readonly step: number;
  /** Where the query goes on; null = at its beginning. */
  readonly at: string | null;
}

/** A walk that is begun. */
export const walkOf = (kind: Walk['kind']): Walk => ({ kind, round: 1, step: 0, at: null });

export const windowAt = (window: Window, { kind, round, step, at }: Walk): Window => ({
  ...window,
  cursor: `${kind}:${round}:${step}:${at ?? ''}`,
});

/** The walk that a window is read by; null = it is read by time. */
export function walkAt({ cursor }: Window): Walk | null {
  const found = /^(instant|whole|list):(\d+):(\d+):(.*)$/s.exec(cursor ?? '');
  if (found === null) return null;
  const [, kind, round, step, at] = found as unknown as readonly [
    string,
    Walk['kind'],
    ...string[],
  ];
  return { kind, round: Number(round), step: Number(step), at: at || null };
}

/** @returns what remains of the window; null = nothing */
export async function* walked(
  window: Window,
  reading: Reading,
  walk: Walk,
): AsyncGenerator<Page, Window | null> {
  const { kind } = walk;
  const seen = new Set<string>();
  for (let here = walk; ; ) {
    const { round } = here;
    const outcome = yield* oneRound(window, reading, here, seen);
    const still = outcome.fromBegin && (outcome.pages <= 1 || outcome.fresh === 0);
    const last = outcome.stopped || round >= ROUNDS || seen.size > MOST_SEEN;
    const enough = kind === 'list' || still || last;
    if (enough && kind !== 'list' && !still) {
      const source = `${reading.context.domain}.${reading.context.source}`;
      reading.context.world.log('WARNING', 'rest_list_moves', { source, window, round });
    }
    here = { kind, round: round + 1, step: outcome.step, at: null };
    const left = enough ? behind(window, reading, kind, outcome) : windowAt(window, here);
    yield { ...outcome.last, remaining: left };
    if (enough) return left;
  }
}

/** What is still to be read when a walk has seen everything it can. */
function behind(
  window: Window,
  { arrival }: Reading,
  kind: Walk['kind'],
  { ended, pages }: Round,
): Window | null {
  if (kind !== 'instant') return null;
  // Of several pages only the instant itself was read more than once.
  if (ended && pages <= 1) return null;
  const from = instantOf(window, arrival) + granuleOf(arrival);
  if (from >= Date.parse(window.to)) return null;
  const { cursor: _, ...rest } = window;
  return { ...rest, from: new Date(from).toISOString() };
}

function instantOf(window: Window, arrival: Reading['arrival']): number {
  const from = Date.parse(window.from);
  return from - (from % granuleOf(arrival));
}

interface Round {
  readonly step: number;
  /** Not yet handed over: what remains behind it is for the caller to say. */
  readonly last: Page;
  /** It began at the query's beginning, within this reading. */
  readonly fromBegin: boolean;
  readonly pages: number;
  /** Records that no walk of this reading had seen. */
  readonly fresh: number;
  /** The list has no more; else only the instant has. */
  readonly ended: boolean;
  /** Something that cannot be read bars the way. */
  readonly stopped: boolean;
}

async function* oneRound(
  window: Window,
  reading: Reading,
  walk: Walk,
  seen: Set<string>,
): AsyncGenerator<Page, Round> {
  const { arrival, context } = reading;
  const { kind, round } = walk;
  const since = kind === 'list' ? null : Date.parse(window.from);
  const until = kind === 'list' ? null : Date.parse(window.to);
  const instant = instantOf(window, arrival);
  let { at, step } = walk;
  let fromBegin = at === null;
  let limit = reading.limit;
  let pages = 0;
  let fresh = 0;
  let empty = 0;
  let restarts = 0;
  let before: readonly unknown[] | null = null;
  const given = new Set<string>();
  const restart = (reason: string): void => {
    restarts += 1;
    step += 1;
    if (restarts > PATIENCE) throw noProgress(reading, `${reason}, ${restarts} times`);
    context.world.log('INFO', 'rest_list_restart', { api: arrival.api, reason });
    at = null;
    fromBegin = true;
    limit = reading.limit;
    pages = 0;
    fresh = 0;
    before = null;
    given.clear();
  };
  for (;;) {
    const query = { since, until, limit, at };
    const read: Read = await reading.fetch(query);
    if (read.kind !== 'unreadable' && (await endsBefore(reading, query, read, before))) {
      return { step: step + 1, last: noPage, fromBegin, pages, fresh, ended: true, stopped: false };
    }
    if (read.kind === 'expired') {
      restart('the API refuses the place in its list that it gave');
      continue;
    }
    step += 1;
    before = read.kind === 'page' ? read.records : null;
    let next: string | null;
    let past = false;
    if (read.kind === 'unreadable') {
      // Cursors take a smaller page on from where they are; the numbers of pages would not.
      if (arrival.paging.by === 'cursor' && limit !== null && limit > 1) {
        limit = Math.floor(limit / 2);
        continue;
      }
      await assertAnswers(reading);
      next = nextBehind(arrival, read.answer, query, context.baseUrl);
      limit = reading.limit;
      const event = next === null ? 'rest_records_behind_unreadable' : 'rest_page_unreadable';
      const source = `${context.domain}.${context.source}`;
      context.world.log('WARNING', event, { source, bytes: read.answer.body.length });
    } else {
      next = read.next;
      past =
        kind === 'instant' &&
        read.times.length > 0 &&
        read.times.every((ms) => ms !== null && ms >= instant + granuleOf(arrival));
      for (const [i, record] of read.records.entries()) {
        if (seen.size > MOST_SEEN || kind === 'list') break;
        const ms = read.times[i] ?? null;
        if (kind === 'instant' && ms !== null && ms >= instant + granuleOf(arrival)) continue;
        const digest = createHash('sha1').update(JSON.stringify(record)).digest('base64');
        if (!seen.has(digest)) fresh += 1;
        seen.add(digest);
      }
      if (read.records.length > 0) pages += 1;
      empty = read.records.length > 0 ? 0 : empty + 1;
      if (empty > EMPTY_PAGES) throw noProgress(reading, `${empty} pages hold nothing`);
    }
    if (next === null || past) {
      const stopped = read.kind === 'unreadable';
      const ended = next === null && !stopped;
      return { step, last: read.page, fromBegin, pages, fresh, ended, stopped };
    }
    if (next === at || given.has(next)) {
      // Handed over all the same: the next walk may not meet these records.
      yield { ...read.page, remaining: windowAt(window, { kind, round, step, at }) };
      restart('a cursor comes back');
      continue;
    }
    given.add(next);
    at = next;
    yield { ...read.page, remaining: windowAt(window, { kind, round, step, at }) };
  }
}

const noProgress = ({ arrival }: Reading, reason: string): Transient =>
  new Transient({
    code: 'api_no_progress',
    message: `${arrival.path} of the ${arrival.api} API cannot be read to its end: ${reason}; pulling goes on by itself with the next tick`,
  });
