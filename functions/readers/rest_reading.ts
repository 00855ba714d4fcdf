/** One answer of a REST list, as the ways of reading the list see it. */
import type { RestListArrival } from '../../schemas/contract.ts';
import { catalog } from '../../schemas/rendered/catalog.ts';
import { ask, type RestAnswer, UnreadableBody } from '../clients/rest_api.ts';
import { classified, Transient } from '../errors.ts';
import type { Page, ReadContext } from './reader.ts';
import { changedAt, type ListQuery, nextIn, recordsIn, targetOf } from './rest_page.ts';

/** How often a page that is no JSON is asked for before it counts as unreadable. */
const TRIES = 4;

const DAY_MS = 86_400_000;

export type Read = ReadPage | ReadUnreadable | ReadExpired;

/** The API refuses a place in the list that it gave itself, or that was counted on to. */
export interface ReadExpired {
  readonly kind: 'expired';
  /** It says that there is nothing (404). */
  readonly absent: boolean;
}

export interface ReadPage {
  readonly kind: 'page';
  /** To be landed; what remains is for the way of reading to say. */
  readonly page: Page;
  readonly records: readonly unknown[];
  /** The records' times of change as they were served, ms; null = none that can be read. */
  readonly times: readonly (number | null)[];
  /** Where the query goes on; null = it ends here. */
  readonly next: string | null;
}

export interface ReadUnreadable {
  readonly kind: 'unreadable';
  /** To be landed for Spark to refuse by name. */
  readonly page: Page;
  readonly answer: UnreadableBody['answer'];
}

/** One window while it is read. */
export interface Reading {
  readonly arrival: RestListArrival;
  readonly context: ReadContext<RestListArrival>;
  /** Records of a page, where the API can be asked for so many. */
  readonly limit: number | null;
  /** Records that the API has shown to be a full page, which may be fewer than were asked for. */
  full: number | null;
  /** @param options.tries how often an answer that is no JSON is asked for in all */
  fetch(query: ListQuery, options?: { readonly tries: number }): Promise<Read>;
}

export function readingOf(context: ReadContext<RestListArrival>): Reading {
  const { arrival, baseUrl } = context;
  const limit = arrival.page_size?.records ?? null;
  const contract = catalog.sources[`${context.domain}.${context.source}`];
  return {
    arrival,
    context,
    limit,
    full: limit,
    async fetch(query, options = { tries: TRIES }) {
      const target = targetOf(arrival, query);
      let answer: RestAnswer;
      try {
        answer = await ask(context, { target, unreadableTries: options.tries });
      } catch (error) {
        if (error instanceof UnreadableBody) {
          // How many records it holds, nobody knows; there is one at least.
          const page = pageOf(target, error.answer, 1, { unreadable: true });
          return { kind: 'unreadable', page, answer: error.answer };
        }
        const { code } = classified(error);
        const gone = code === 'api_request' || code === 'api_not_found';
        if (query.at !== null && gone) return { kind: 'expired', absent: code === 'api_not_found' };
        throw error;
      }
      const records =
        answer.status === 204 ? [] : recordsIn(answer.value, contract?.records ?? null, arrival);
      const next = nextIn(arrival, { ...answer, records: records.length }, query, baseUrl);
      return {
        kind: 'page',
        page: pageOf(target, answer, records.length),
        records,
        times: records.map((record) => changedAt(record, arrival)),
        next,
      };
    },
  };
}

/** No list has so many pages more. */
const FAR_BEHIND = 1_000_000;

/**
 * Whether a list that is read by the numbers of its pages ends before this one: there is always a
 * next number. Some APIs answer a number too high with nothing, some with 404 (Django's REST
 * framework) or 400 (WordPress), some with their last page once more (Magento).
 *
 * @param before records of the page before; null = not known
 */
export async function endsBefore(
  reading: Reading,
  query: ListQuery,
  read: ReadPage | ReadExpired,
  before: readonly unknown[] | null,
): Promise<boolean> {
  const { arrival, full } = reading;
  const { at } = query;
  if (arrival.paging.by !== 'page' || at === null) return false;
  const isShort = (records: readonly unknown[]): boolean => full !== null && records.length < full;
  const recordsAt = async (page: number): Promise<readonly unknown[]> => {
    const asked = await reading.fetch({ ...query, at: String(page) });
    return asked.kind === 'page' ? asked.records : [];
  };
  if (read.kind === 'page') {
    const { records } = read;
    // A full page that is the last one again shows with the next one.
    if (records.length === 0 || (before === null && !isShort(records))) return false;
    if (!same(records, before ?? (await recordsAt(Number(at) - 1)))) return false;
    // As many new ones at the front as a page holds give the same picture, but not far behind.
    return same(records, await recordsAt(Number(at) + FAR_BEHIND));
  }
  if (before !== null && isShort(before)) return true;
  // The page before, once more: the list may not be there at all just now, or go no deeper.
  const again = await recordsAt(Number(at) - 1);
  return again.length > 0 && (read.absent || isShort(again));
}

const same = (a: readonly unknown[], b: readonly unknown[]): boolean =>
  JSON.stringify(a) === JSON.stringify(b);

/** Nothing to be landed: a list has ended. */
export const noPage: Page = { payload: Buffer.alloc(0), records: 0, meta: {} };

const pageOf = (
  request: string,
  answer: Omit<RestAnswer, 'value'>,
  records: number,
  more: Page['meta'] = {},
): Page => ({
  payload: answer.body,
  askedAt: answer.askedAt,
  records,
  meta: {
    request,
    status: answer.status,
    ...(answer.redacted ? { redacted: true } : {}),
    ...more,
  },
});

/** The smallest page that the API can be asked for; null = it takes no size. */
export const smallest = ({ limit }: Reading): number | null => (limit === null ? null : 1);

/**
 * Asks for a time that has no records yet. What answers this with something else than JSON is no
 * API with a broken record, but a gateway in trouble: nothing may be taken for broken then.
 */
export async function assertAnswers(reading: Reading): Promise<void> {
  const { arrival, context } = reading;
  if (arrival.since === undefined) return;
  const since = context.world.clock.now() + DAY_MS;
  const read = await reading.fetch({ since, until: null, limit: smallest(reading), at: null });
  if (read.kind !== 'unreadable') return;
  throw new Transient({
    code: 'api_unavailable',
    message: `the ${arrival.api} API answers with something that is no JSON, whatever it is asked for; pulling goes on by itself with the next tick`,
  });
}
