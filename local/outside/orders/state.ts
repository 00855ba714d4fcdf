import { type Answer, type Request, unanswered } from '../http/answer.ts';
import { Faults } from '../http/faults.ts';
import { Requests, type Stats } from '../http/requests.ts';
import type { HttpService } from '../http/service.ts';
import { spoiltPage } from '../http/spoilt_page.ts';
import { refusal, text } from './answer.ts';
import { type Line, type Listing, OrderBook, type OrderRow } from './book.ts';
import type { Fault, OrdersTrouble, Trouble } from './faults.ts';

/** How the list goes on from page to page. */
export type Paging =
  /** `next_cursor` in the body, asked for as `cursor`. */
  | 'cursor'
  /** `page` counts from 1; one without orders is the end. */
  | 'page'
  /** A `Link` header; it repeats every parameter of the request. */
  | 'link';

type Auth = 'bearer' | { readonly header: string } | { readonly parameter: string };

export interface OrdersOptions {
  /** Versions of order lines; each appears at its `updated_at`. */
  readonly rows?: readonly OrderRow[];
  /** Now, in ms. */
  readonly clock: () => number;
  /** The only token that is accepted; absent = any. */
  readonly token?: string;
  readonly auth?: Auth;
  readonly paging?: Paging;
  /** What a cursor remembers: the last line given, or only how many. */
  readonly cursors?: 'line' | 'offset';
  readonly listing?: Listing;
  /** What a page behind the last one is answered with: nothing, a refusal, or the last one. */
  readonly pastEnd?: 'empty' | 400 | 404 | 'last';
  /** Every page but the first begins with so many lines of the one before. */
  readonly repeats?: number;
  /** Most orders on a page, however many are asked for. */
  readonly mostOnPage?: number;
  /** Requests in any minute; more are refused with 429. */
  readonly perMinute?: number;
  readonly cursorTtlMs?: number;
  /** Time from request to answer. */
  readonly latencyMs?: number;
  readonly faults?: readonly Fault[];
}

const MINUTE_MS = 60_000;
const DEFAULT_ON_PAGE = 100;

interface Place {
  readonly since: string | null;
  readonly until: string | null;
  readonly offset: number;
  /** The last line given. */
  readonly after?: readonly [place: number, key: string];
  readonly issued: number;
}

/** What the orders API knows and refuses, without sockets: each request is answered by a value. */
export class Orders implements HttpService {
  readonly faults = new Faults<OrdersTrouble>();
  readonly requests = new Requests();
  readonly book: OrderBook;
  latencyMs: number;
  token: string | null;
  perMinute: number;
  readonly #options: OrdersOptions;
  readonly #clock: () => number;
  #granted: number[] = [];

  constructor(options: OrdersOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.latencyMs = options.latencyMs ?? 0;
    this.token = options.token ?? null;
    this.perMinute = options.perMinute ?? Number.POSITIVE_INFINITY;
    this.book = new OrderBook(options.listing);
    this.book.add(options.rows ?? [], this.#clock());
    this.faults.add(options.faults ?? []);
  }

  now(): number {
    return this.#clock();
  }

  /** @param visibleAt when they appear, ms; default: at their `updated_at` */
  insert(rows: readonly OrderRow[], visibleAt?: number): void {
    this.book.add(rows, this.now(), visibleAt);
  }

  /**
   * Changes a line; its `updated_at` becomes now unless one is given.
   * @param key `<order_id>:<order_line_id or product_id>`
   */
  update(key: string, changes: Partial<OrderRow>): void {
    this.book.advance(this.now());
    const row = this.book.get(key);
    if (row === undefined) throw new RangeError(`no order line is called ${key}`);
    const updated = { ...row, updated_at: new Date(this.now()).toISOString(), ...changes };
    this.book.add([updated as OrderRow], this.now());
  }

  nextLatencyMs(): number {
    return this.latencyMs;
  }

  stats(): Stats {
    return this.requests.stats();
  }

  answer(request: Request): Answer {
    const answer = this.#answer(request);
    this.requests.count(request, answer);
    return answer;
  }

  #answer({ method, target, headers }: Request): Answer {
    this.book.advance(this.now());
    const url = new URL(target, 'http://orders');
    const trouble = this.faults.strike(`${method} ${target}`);
    const token = this.#tokenIn(url, headers);
    const wrong = token === undefined || (this.token !== null && token !== this.token);
    if (wrong || trouble?.kind === 'bad_token') {
      return refusal(401, 'The token is missing or not valid.');
    }
    if (trouble?.kind === 'forbidden') return refusal(403, `${token} may not read orders.`);
    const early = trouble === undefined ? undefined : troubled(trouble);
    if (early !== undefined) return early;
    const wait = this.#waitMs();
    if (wait > 0) {
      const seconds = String(Math.ceil(wait / 1_000));
      return refusal(429, 'Too many requests.', { 'Retry-After': seconds });
    }
    if (method !== 'GET' || url.pathname !== '/orders') return refusal(404, 'Not found.');
    const page = this.#page(url, trouble);
    if (trouble?.kind === 'half_body') return { ...page, ending: 'half' };
    if (trouble?.kind === 'broken_json') {
      return { ...page, body: `${String(page.body).slice(0, -30)}\u0000<!-- upstream` };
    }
    if (trouble?.kind === 'echoed_token') {
      return { ...page, body: String(page.body).replace('{', `{"for":"${token}",`) };
    }
    return page;
  }

  #tokenIn(url: URL, headers: Request['headers']): string | undefined {
    const { auth = 'bearer' } = this.#options;
    if (auth === 'bearer') return /^Bearer (\S+)$/.exec(headers['authorization'] ?? '')?.[1];
    if ('header' in auth) return headers[auth.header.toLowerCase()];
    return url.searchParams.get(auth.parameter) ?? undefined;
  }

  /** How long until one more request is granted; grants it when it is now. */
  #waitMs(): number {
    const now = this.now();
    this.#granted = this.#granted.filter((at) => now - at < MINUTE_MS);
    if (this.#granted.length >= this.perMinute) {
      return (this.#granted[0] ?? now) + MINUTE_MS - now;
    }
    this.#granted.push(now);
    return 0;
  }

  #page(url: URL, trouble: Trouble | undefined): Answer {
    const { paging = 'cursor', pastEnd = 'empty', repeats = 0, mostOnPage = 500 } = this.#options;
    const params = url.searchParams;
    const since = params.get('updated_since');
    const until = params.get('updated_until');
    const [from, to] = [instant(since, 0), instant(until, Number.MAX_SAFE_INTEGER)];
    if (from === null || to === null) return refusal(400, 'updated_since is no instant.');
    const asked = params.get('limit') === null ? DEFAULT_ON_PAGE : Number(params.get('limit'));
    if (!Number.isInteger(asked) || asked < 1) return refusal(400, 'limit is no count.');
    const limit = Math.min(asked, mostOnPage);

    const lines = this.book.listed(from, to);
    let begin = 0;
    const cursor = params.get('cursor');
    if (paging === 'page') {
      begin = (Number(params.get('page') ?? 1) - 1) * limit;
      if (begin > 0 && begin >= lines.length && pastEnd !== 'empty') {
        if (pastEnd !== 'last') return refusal(pastEnd, 'Invalid page.');
        begin = Math.max(0, Math.ceil(lines.length / limit) - 1) * limit;
      }
    } else if (cursor !== null) {
      const place = this.#placeIn(cursor);
      const fits = place !== null && place.since === since && place.until === until;
      if (!fits || trouble?.kind === 'expired_cursor') {
        return refusal(400, 'The cursor is not valid, or has expired.');
      }
      begin = this.#beginOf(place, lines);
    }
    const end = Math.min(lines.length, begin + limit);
    const empty = trouble?.kind === 'empty_page';
    const found = empty ? [] : lines.slice(begin === 0 ? 0 : Math.max(0, begin - repeats), end);
    const last = lines[(empty ? begin : end) - 1];
    const at: Place = {
      since,
      until,
      offset: empty ? begin : end,
      ...(last === undefined ? {} : { after: [last.place, last.key] }),
      issued: this.now(),
    };
    const more = empty || end < lines.length;
    const again = trouble?.kind === 'same_cursor' ? cursor : null;
    const next = more ? (again ?? written(at)) : null;
    const body = this.#body(found, paging === 'cursor' ? { next_cursor: next } : {});
    if (paging !== 'link' || next === null) return text(body);
    const link = new URL(url);
    link.searchParams.set('cursor', next);
    return text(body, 200, {
      Link: `<${url.pathname}>; rel="first", <https://orders.example${link.pathname}${link.search}>; title="more"; rel="next"`,
    });
  }

  #placeIn(cursor: string): Place | null {
    try {
      const place = JSON.parse(Buffer.from(cursor, 'base64url').toString()) as Place;
      const young = this.now() - place.issued <= (this.#options.cursorTtlMs ?? 15 * MINUTE_MS);
      return young ? place : null;
    } catch {
      return null;
    }
  }

  #beginOf(place: Place, lines: readonly Line[]): number {
    if (this.#options.cursors === 'offset' || place.after === undefined) return place.offset;
    const [last, key] = place.after;
    const at = lines.findIndex(
      (line) => line.place > last || (line.place === last && line.key > key),
    );
    return at < 0 ? lines.length : at;
  }

  #body(lines: readonly Line[], paging: Readonly<Record<string, unknown>>): string | Buffer {
    const rows = lines.map(({ row }) => JSON.stringify(row));
    const page = (records: readonly string[]): string => {
      const tail = JSON.stringify(paging).slice(1);
      return `{"orders":[${records.join(',')}]${tail === '}' ? tail : `,${tail}`}`;
    };
    const spoilt = this.faults.spoils(lines.map(({ row }) => row.order_id));
    return spoilt === undefined ? page(rows) : spoiltPage(rows, spoilt, page);
  }
}

const instant = (value: string | null, absent: number): number | null => {
  if (value === null) return absent;
  const ms = /^\d+$/.test(value)
    ? Number(value) * (value.length > 11 ? 1 : 1_000)
    : Date.parse(value);
  return Number.isNaN(ms) ? null : ms;
};

const written = (place: Place): string => Buffer.from(JSON.stringify(place)).toString('base64url');

/** Troubles that leave no page at all. */
function troubled(trouble: Trouble): Answer | undefined {
  switch (trouble.kind) {
    case 'status':
      return text(
        trouble.body ?? JSON.stringify({ error: { message: `status ${trouble.status}` } }),
        trouble.status,
        trouble.retryAfter === undefined ? {} : { 'Retry-After': trouble.retryAfter },
      );
    case 'no_answer':
      return unanswered('none');
    case 'hang':
      return unanswered('hang');
    case 'gateway_page':
      return text('<html><body>We will be back soon.</body></html>', 200, {
        'Content-Type': 'text/html',
      });
    default:
      return undefined;
  }
}
