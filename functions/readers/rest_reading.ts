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

export type Read =
  | ReadPage
  | ReadUnreadable
  /** The API refuses a place in the list that it gave itself. */
  | { readonly kind: 'expired' };

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
        if (query.at !== null && gone) return { kind: 'expired' };
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
