/**
 * How a contract's REST list is asked for and what one of its answers says: its records' times of
 * change, and where the list goes on. Pure.
 */
import type { RestListArrival } from '../../schemas/contract.ts';
import { Permanent } from '../errors.ts';

/** One request for a list. */
export interface ListQuery {
  /** Records changed since, epoch ms, inclusive; null = the list cannot be narrowed. */
  readonly since: number | null;
  /** Exclusive end, epoch ms; sent where the API has one. */
  readonly until: number | null;
  /** Records asked for; null = the API decides. */
  readonly limit: number | null;
  /** A cursor, a page's number or a link's target; null = the query's first page. */
  readonly at: string | null;
}

/** Path and query of a request, without the credential. */
export function targetOf(arrival: RestListArrival, query: ListQuery): string {
  const { paging, since, page_size } = arrival;
  if (paging.by === 'link' && query.at !== null) return query.at;
  const params = new URLSearchParams(arrival.query);
  if (since !== undefined && query.since !== null) {
    params.set(since.parameter, encoded(query.since, since.as));
    if (since.until !== undefined && query.until !== null) {
      params.set(since.until, encoded(query.until, since.as));
    }
  }
  if (page_size !== undefined && query.limit !== null) {
    params.set(page_size.parameter, String(query.limit));
  }
  if (paging.by === 'page') params.set(paging.parameter, query.at ?? String(paging.first));
  else if (paging.by === 'cursor' && query.at !== null) params.set(paging.parameter, query.at);
  const text = params.toString();
  return text === '' ? arrival.path : `${arrival.path}?${text}`;
}

/** The smallest step of `since` that the API can be asked for, ms. */
export const granuleOf = ({ since }: RestListArrival): number =>
  since?.as === 'epoch_s' ? 1_000 : 1;

function encoded(ms: number, as: 'iso' | 'epoch_s' | 'epoch_ms'): string {
  if (as === 'iso') return new Date(ms).toISOString();
  return String(as === 'epoch_ms' ? ms : Math.floor(ms / 1_000));
}

/** Value at a dotted path; undefined where there is none. */
export function valueAt(value: unknown, path: string): unknown {
  let here = value;
  for (const name of path.split('.')) {
    if (typeof here !== 'object' || here === null) return undefined;
    here = (here as Readonly<Record<string, unknown>>)[name];
  }
  return here;
}

/**
 * The records of an answer, at the contract's `records`.
 * @throws Permanent `api_shape`: an answer without its list is no empty list
 */
export function recordsIn(
  value: unknown,
  records: string | null,
  { api, path }: RestListArrival,
): readonly unknown[] {
  const found = records === null ? value : valueAt(value, records);
  // Some servers write an empty list so.
  if (found === null) return [];
  if (Array.isArray(found)) return found;
  if (records === null) return [found];
  const there = typeof value === 'object' && value !== null ? Object.keys(value).join(', ') : '';
  throw new Permanent({
    code: 'api_shape',
    message: `${path} of the ${api} API answered without "${records}", but with ${there || 'nothing'}: the contract is wrong, or the API has changed`,
  });
}

/** A record's time of change, whole ms; null = it names none that can be read. */
export function changedAt(record: unknown, { since }: RestListArrival): number | null {
  if (since === undefined) return null;
  const value = valueAt(record, since.changed);
  if (typeof value === 'number' || (typeof value === 'string' && /^\d+(\.\d+)?$/.test(value))) {
    const ms = Math.floor(Number(value) * (since.as === 'epoch_s' ? 1_000 : 1));
    return Number.isSafeInteger(ms) ? ms : null;
  }
  if (typeof value !== 'string') return null;
  const text = value.trim().replace(' ', 'T');
  // What names no zone is UTC, as Spark reads it.
  const zoned = /T.*(Z|[+-]\d\d(:?\d\d)?)$/i.test(text) || !text.includes('T');
  const ms = Date.parse((zoned ? text : `${text}Z`).replace(/([+-]\d\d)(\d\d)?$/, zoneOf));
  return Number.isNaN(ms) ? null : Math.floor(ms);
}

/** `+02` and `+0200` as `Date.parse` wants them; a date's last part stays. */
const zoneOf = (
  all: string,
  hours: string,
  minutes: string | undefined,
  at: number,
  whole: string,
): string => (whole.slice(0, at).includes('T') ? `${hours}:${minutes ?? '00'}` : all);

/** Where the list goes on behind an answer that could be read; null = it ends here. */
export function nextIn(
  arrival: RestListArrival,
  answer: {
    readonly value: unknown;
    readonly body: Buffer;
    readonly headers: Readonly<Record<string, string>>;
    readonly records: number;
  },
  query: ListQuery,
  baseUrl: string,
): string | null {
  const { paging } = arrival;
  switch (paging.by) {
    case 'page':
      return answer.records === 0 ? null : pageAfter(query, paging.first);
    case 'link':
      return linkIn(arrival, answer.headers['link'], targetOf(arrival, query), baseUrl);
    case 'cursor': {
      const found = valueAt(answer.value, paging.at);
      if (typeof found === 'string') return found === '' ? null : found;
      if (typeof found !== 'number') return null;
      return Number.isSafeInteger(found) ? String(found) : digitsOf(answer.body, paging.at);
    }
  }
}

/** The same where the body cannot be read as a whole; null = not to be found. */
export function nextBehind(
  arrival: RestListArrival,
  answer: { readonly body: Buffer; readonly headers: Readonly<Record<string, string>> },
  query: ListQuery,
  baseUrl: string,
): string | null {
  const { paging } = arrival;
  if (paging.by === 'page') return pageAfter(query, paging.first);
  if (paging.by === 'link') {
    return linkIn(arrival, answer.headers['link'], targetOf(arrival, query), baseUrl);
  }
  const text = answer.body.toString('utf8');
  // Only before or behind the records: one of them may have a field of that name.
  const outside = [text.slice(text.lastIndexOf(']') + 1), text.slice(0, text.indexOf('[') + 1)];
  const leaf = (paging.at.split('.').at(-1) as string).replace(/[^\w]/g, '\\$&');
  for (const part of outside) {
    const found = new RegExp(`"${leaf}"\\s*:\\s*(?:"([^"\\\\]+)"|(\\d+))`).exec(part);
    if (found !== null) return (found[1] ?? found[2]) as string;
  }
  return null;
}

const pageAfter = ({ at }: ListQuery, first: number): string => String(Number(at ?? first) + 1);

/** A cursor beyond 2^53 is digits, not a number: one digit off is another place. */
function digitsOf(body: Buffer, at: string): string | null {
  const leaf = at.split('.').at(-1) as string;
  let digits: string | null = null;
  JSON.parse(body.toString('utf8'), (name, value, context?: { readonly source?: string }) => {
    if (name === leaf && typeof value === 'number') digits = context?.source ?? String(value);
    return value;
  });
  return digits;
}

/** One link of a header: its target, and its parameters, in whose quotes commas may stand. */
const LINK = /<([^>]*)>((?:[^,"]|"(?:[^"\\]|\\.)*")*)/g;

/**
 * The target of `rel="next"` (RFC 8288), below the base URL and without the credential: only path
 * and query count, so that the token goes nowhere but to the host that was declared.
 */
function linkIn(
  { auth, api }: RestListArrival,
  header: string | undefined,
  asked: string,
  baseUrl: string,
): string | null {
  for (const [, target = '', params = ''] of (header ?? '').matchAll(LINK)) {
    const rel = /;\s*rel\s*=\s*(?:"([^"]*)"|([^;\s]+))/i.exec(params);
    const names = (rel?.[1] ?? rel?.[2] ?? '').toLowerCase().split(/\s+/);
    if (!names.includes('next')) continue;
    const base = new URL(baseUrl);
    const url = URL.canParse(target, baseUrl + asked) ? new URL(target, baseUrl + asked) : null;
    const prefix = base.pathname.replace(/\/$/, '');
    if (url === null || !`${url.pathname}/`.startsWith(`${prefix}/`)) {
      throw new Permanent({
        code: 'api_shape',
        message: `the ${api} API links its next page outside of ${prefix}/: its address in the configuration is not the one that it knows itself by`,
      });
    }
    if (typeof auth === 'object' && 'parameter' in auth) url.searchParams.delete(auth.parameter);
    return url.pathname.slice(prefix.length) + url.search;
  }
  return null;
}
