import type { Answer } from '../http/answer.ts';
import type { Spoilt } from '../http/faults.ts';
import { spoiltPage } from '../http/spoilt_page.ts';
import { hash } from '../random.ts';
import { invalid, json, notFound, text } from './answer.ts';
import { type EventMeta, type EventSource, firstFrom } from './event_source.ts';

/** An event given afterwards, through the control endpoint. */
interface Late {
  readonly created: number;
  readonly visibleAt: number;
  readonly number: number;
  readonly meta: EventMeta;
  readonly text: string;
}

/** A place in the order newest first: late ones before the account's own of the same millisecond. */
interface Place {
  readonly created: number;
  readonly late: boolean;
  readonly number: number;
}

interface Query {
  readonly start: number;
  readonly end: number;
  readonly limit: number;
  readonly matches: (meta: EventMeta) => boolean;
  /** No filter but time: metadata need not be looked at. */
  readonly everything: boolean;
  readonly signature: number;
  readonly offset: string | undefined;
}

/** What goes wrong with a page. */
interface PageTrouble {
  readonly paging?: 'same_offset' | 'empty_page' | undefined;
  /** The event that makes a page with these ids unreadable. */
  readonly spoils?: (ids: readonly string[]) => Spoilt | undefined;
}

/** Where a query without an offset begins. */
const BEFORE_ALL: Place = {
  created: Number.MAX_SAFE_INTEGER,
  late: false,
  number: Number.MAX_SAFE_INTEGER,
};

const DEFAULT_LIMIT = 10;
const MAX_LIMIT = 1_000;

/** `/email/public/v1/events`: newest first, both ends inclusive, an opaque offset that expires. */
export class EmailEvents {
  readonly #source: EventSource;
  #late: readonly Late[] = [];
  #added = 0;
  /** Offsets of earlier generations are refused. */
  #generation = 0;
  offsetTtlMs: number;
  /** An offset is good only for pages of the size it was given with. */
  offsetsBindLimit = false;

  constructor(source: EventSource, offsetTtlMs: number) {
    this.#source = source;
    this.offsetTtlMs = offsetTtlMs;
  }

  expireOffsets(): void {
    this.#generation++;
  }

  /** Adds v1 events, given as JSON texts; they are shown from `visibleAt` (ms) on. */
  add(events: readonly string[], visibleAt: number): void {
    const added = events.map((raw): Late => {
      const event = JSON.parse(raw) as Readonly<Record<string, unknown>>;
      return {
        created: Number(event['created']),
        visibleAt,
        number: this.#added++,
        meta: metaOf(event),
        text: raw,
      };
    });
    this.#late = [...this.#late, ...added].sort(
      (a, b) => a.created - b.created || a.number - b.number,
    );
  }

  /** Late events that are visible, for counters and facts. */
  *lateEvents(now: number): Iterable<{ readonly meta: EventMeta; readonly text: string }> {
    for (const one of this.#late) if (one.visibleAt <= now && one.created <= now) yield one;
  }

  list(params: URLSearchParams, now: number, trouble: PageTrouble = {}): Answer {
    const query = queryOf(params, this.offsetsBindLimit ? [...FILTERS, 'limit'] : FILTERS);
    if (typeof query === 'string') return invalid(query);
    let from: Place | undefined;
    if (query.offset !== undefined) {
      const offset = readOffset(query.offset);
      const wrong =
        offset === undefined ||
        offset.signature !== query.signature ||
        offset.generation !== this.#generation ||
        now - offset.issuedAt > this.offsetTtlMs;
      // HubSpot documents no body for this; a 400 is what its validation answers.
      if (wrong) return invalid('The offset is invalid or has expired for this query.');
      from = offset.place;
    }
    if (trouble.paging === 'empty_page') {
      const place = from ?? BEFORE_ALL;
      return text(page([], true, this.#offset(query, place, now)));
    }
    const texts: string[] = [];
    const ids: string[] = [];
    let last: Place | undefined;
    let hasMore = false;
    for (const found of this.#newestFirst(query, from, now)) {
      if (texts.length === query.limit) {
        hasMore = true;
        break;
      }
      const late = found.late ? this.#late.find((one) => one.number === found.number) : undefined;
      texts.push(late?.text ?? this.#source.text(found.number, now));
      // Making up an account's event takes time: not twice for nothing.
      if (trouble.spoils !== undefined)
        ids.push((late?.meta ?? this.#source.meta(found.number)).id);
      last = found;
    }
    const offset =
      trouble.paging === 'same_offset' && query.offset !== undefined
        ? query.offset
        : last === undefined
          ? ''
          : this.#offset(query, last, now);
    const written = (events: readonly string[]): string => page(events, hasMore, offset);
    const spoilt = trouble.spoils?.(ids);
    return text(spoilt === undefined ? written(texts) : spoiltPage(texts, spoilt, written));
  }

  one(created: number, id: string, now: number): Answer {
    for (
      let i = firstFrom(this.#source, created);
      i < this.#source.size && this.#source.created(i) === created;
      i++
    ) {
      if (this.#source.visibleAt(i) <= now && this.#source.meta(i).id === id)
        return text(this.#source.text(i, now));
    }
    const late = this.#late.find(
      (one) => one.created === created && one.meta.id === id && one.visibleAt <= now,
    );
    return late === undefined ? notFound(`no event ${id} at ${created}`) : text(late.text);
  }

  #offset(query: Query, place: Place, issuedAt: number): string {
    const parts = [
      query.signature,
      this.#generation,
      Math.floor(issuedAt),
      place.created,
      place.late ? 1 : 0,
      place.number,
    ];
    return Buffer.from(parts.join('.')).toString('base64url');
  }

  *#newestFirst(query: Query, from: Place | undefined, now: number): Iterable<Place> {
    // Nothing has happened yet that happens later than now.
    const end = Math.min(query.end, now);
    const source = this.#source;
    let own = Math.min(firstFrom(source, end + 1), source.size) - 1;
    if (from !== undefined) {
      own = Math.min(own, from.late ? firstFrom(source, from.created + 1) - 1 : from.number - 1);
    }
    const late = this.#late.filter(
      (one) =>
        one.created >= query.start &&
        one.created <= end &&
        one.visibleAt <= now &&
        (from === undefined ||
          one.created < from.created ||
          (one.created === from.created && from.late && one.number < from.number)),
    );
    let next = late.length - 1;
    for (;;) {
      const ownCreated = own >= 0 ? source.created(own) : Number.NEGATIVE_INFINITY;
      const lateOne = late[next];
      if (lateOne !== undefined && lateOne.created >= ownCreated) {
        next--;
        if (query.matches(lateOne.meta))
          yield { created: lateOne.created, late: true, number: lateOne.number };
        continue;
      }
      if (own < 0 || ownCreated < query.start) return;
      if (source.visibleAt(own) <= now && (query.everything || query.matches(source.meta(own)))) {
        yield { created: ownCreated, late: false, number: own };
      }
      own--;
    }
  }
}

export function metaOf(event: Readonly<Record<string, unknown>>): EventMeta {
  const textOf = (value: unknown): string | undefined =>
    value === undefined || value === null ? undefined : String(value);
  return {
    id: String(event['id']),
    type: textOf(event['type']),
    campaignId: textOf(event['emailCampaignId']),
    appId: textOf(event['appId']),
    recipient: textOf(event['recipient']),
    filtered: event['filteredEvent'] === true,
  };
}

function page(texts: readonly string[], hasMore: boolean, offset: string): string {
  return `{"hasMore":${hasMore},"offset":${JSON.stringify(offset)},"events":[${texts.join(',')}]}`;
}

const FILTERS = [
  'appId',
  'campaignId',
  'recipient',
  'eventType',
  'excludeFilteredEvents',
  'startTimestamp',
  'endTimestamp',
];

function queryOf(params: URLSearchParams, bound: readonly string[]): Query | string {
  const number = (name: string, otherwise: number): number => {
    const value = params.get(name);
    return value === null ? otherwise : /^-?\d+$/.test(value) ? Number(value) : Number.NaN;
  };
  const start = number('startTimestamp', 0);
  const end = number('endTimestamp', Number.MAX_SAFE_INTEGER);
  const limit = number('limit', DEFAULT_LIMIT);
  if (Number.isNaN(start) || Number.isNaN(end))
    return 'startTimestamp and endTimestamp are ms since 1970';
  if (!(limit >= 1 && limit <= MAX_LIMIT)) return `limit must be between 1 and ${MAX_LIMIT}`;
  const wanted = {
    appId: params.get('appId'),
    campaignId: params.get('campaignId'),
    recipient: params.get('recipient'),
    type: params.get('eventType'),
  };
  const noFiltered = params.get('excludeFilteredEvents') === 'true';
  const fits = (asked: string | null, has: string | undefined): boolean =>
    asked === null || asked === has;
  return {
    start,
    end,
    limit,
    everything: !noFiltered && Object.values(wanted).every((one) => one === null),
    matches: (meta) =>
      fits(wanted.appId, meta.appId) &&
      fits(wanted.campaignId, meta.campaignId) &&
      fits(wanted.recipient, meta.recipient) &&
      fits(wanted.type, meta.type) &&
      !(noFiltered && meta.filtered),
    signature: hash(
      ...Buffer.from(bound.map((name) => `${name}=${params.get(name) ?? ''}`).join('&')),
    ),
    offset: params.get('offset') ?? undefined,
  };
}

interface Offset {
  readonly signature: number;
  readonly generation: number;
  readonly issuedAt: number;
  readonly place: Place;
}

function readOffset(offset: string): Offset | undefined {
  const parts = Buffer.from(offset, 'base64url').toString().split('.').map(Number);
  if (parts.length !== 6 || parts.some(Number.isNaN)) return undefined;
  const [signature, generation, issuedAt, created, late, number] = parts as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  return { signature, generation, issuedAt, place: { created, late: late === 1, number } };
}

/** Campaign ids, `/campaigns/by-id` (unordered) and `/campaigns` (recent first). */
export function pageOf<T>(all: readonly T[], params: URLSearchParams, name: string): Answer {
  const limit = Number(params.get('limit') ?? DEFAULT_LIMIT);
  if (!(limit >= 1 && limit <= MAX_LIMIT))
    return invalid(`limit must be between 1 and ${MAX_LIMIT}`);
  const offset = params.get('offset');
  const from = offset === null ? 0 : Number(Buffer.from(offset, 'base64url').toString().slice(2));
  if (!Number.isInteger(from)) return invalid('The offset is invalid.');
  const end = Math.min(all.length, from + limit);
  return json({
    hasMore: end < all.length,
    offset: Buffer.from(`c:${end}`).toString('base64url'),
    [name]: all.slice(from, end),
  });
}
