/** A REST list while its orders come and change: whatever it does, the latest version is landed. */
import { afterEach, describe, expect, test } from 'vitest';
import { type Checkpoint, finished, planned } from '../../../functions/checkpoint.ts';
import { wholeFetch } from '../../../functions/clients/fetch.ts';
import type { Page } from '../../../functions/readers/reader.ts';
import { restList } from '../../../functions/readers/rest_list.ts';
import type { OrderRow } from '../../../local/outside/orders/book.ts';
import { type RunningOrders, startOrders } from '../../../local/outside/orders/server.ts';
import type { OrdersOptions } from '../../../local/outside/orders/state.ts';
import type { RestListArrival } from '../../../schemas/contract.ts';
import {
  DAY,
  declared,
  MINUTE,
  order,
  ordersWorld,
  readWhole,
  rowsOf,
  TOKEN,
  tick,
  versions,
} from './orders_world.ts';
import { checkpointWith, iso, span, UNTIL } from './virtual_world.ts';

const noSince = ({ since: _, ...rest }: RestListArrival): Partial<RestListArrival> => ({
  ...rest,
  since: undefined as never,
});
const sized = (records: number): Partial<RestListArrival> => ({
  page_size: { parameter: 'limit', records },
});
const pagings: readonly (readonly [string, Partial<RestListArrival>, Partial<OrdersOptions>])[] = [
  ['cursors that remember a line', {}, { paging: 'cursor' }],
  ['cursors that only count', {}, { paging: 'cursor', cursors: 'offset' }],
  ['pages by number', { paging: { by: 'page', parameter: 'page', first: 1 } }, { paging: 'page' }],
  ['links', { paging: { by: 'link' } }, { paging: 'link', cursors: 'offset' }],
];
/** How else a list may say that it is over. */
const byNumber = { paging: { by: 'page', parameter: 'page', first: 1 } } as const;
const endings: typeof pagings = [
  ['a page behind the last is not found', byNumber, { paging: 'page', pastEnd: 404 }],
  ['a page behind the last is refused', byNumber, { paging: 'page', pastEnd: 400 }],
  ['a page behind the last is the last', byNumber, { paging: 'page', pastEnd: 'last' }],
];
/** One order a minute, each with another. */
const many = (count: number, end = UNTIL): readonly OrderRow[] =>
  Array.from({ length: count }, (_, i) => order(i, end - (count - i) * MINUTE));

describe('a window', () => {
  test.each(pagings)('is read whole over many pages: %s', async (_, arrival, options) => {
    const { orders, context } = ordersWorld({ ...options, rows: many(1_000) });
    const window = span(UNTIL - DAY, UNTIL);
    const { pages } = await readWhole(window, context({ ...arrival, ...sized(100) }));
    expect(versions(rowsOf(pages))).toEqual(versions(orders.book.rows()));
    // A quarter of each page is read again.
    expect(orders.stats().requests).toBeLessThan(18);
    expect(orders.stats().by_status).toEqual({ '200': orders.stats().requests });
  });

  test.each(endings)('is read to its end where %s', async (_, arrival, options) => {
    for (const stopAfter of [1, 2, 100]) {
      for (const rows of [many(0), many(3), many(45), many(40)]) {
        const { orders, context } = ordersWorld({ ...options, rows });
        const declared = { ...arrival, ...sized(20) };
        const read = await readWhole(span(UNTIL - DAY, UNTIL), context(declared), { stopAfter });
        expect(versions(rowsOf(read.pages))).toEqual(versions(orders.book.rows()));
        expect(read.pages.at(-1)?.remaining).toBe(null);
      }
    }
  });

  test.each(endings)('of a list without times too, where %s', async (_, arrival, options) => {
    for (const stopAfter of [1, 2, 100]) {
      // A full last page is told from others by the page behind it, in the same slice; refused with
      // 400 it may as well be as deep as the API goes.
      const full = options.pastEnd === 404 || (options.pastEnd === 'last' && stopAfter > 1);
      for (const count of [0, 3, 45, ...(full ? [40] : [])]) {
        const { orders, context } = ordersWorld({ ...options, rows: many(count) });
        const given = context({ ...noSince(context().arrival), ...arrival, ...sized(20) });
        const read = await readWhole(span(UNTIL - DAY, UNTIL), given, { stopAfter });
        expect(versions(rowsOf(read.pages))).toEqual(versions(orders.book.rows()));
        expect(orders.stats().requests).toBeLessThan(30);
      }
    }
  });

  test('an API that is gone for a moment has not come to its end', async () => {
    const { context } = ordersWorld({ paging: 'page', rows: many(45) });
    const given = context({ ...noSince(context().arrival), ...byNumber, ...sized(20) });
    let asked = 0;
    const fetch: typeof given.world.fetch = async (request) => {
      asked += 1;
      const answer = await given.world.fetch(request);
      return asked === 2 || asked === 3
        ? { ...answer, status: 404, body: Buffer.from('{}') }
        : answer;
    };
    const world = { ...given.world, fetch };
    const { pages } = await readWhole(span(UNTIL - DAY, UNTIL), { ...given, world });
    expect(new Set(rowsOf(pages).map(({ order_id }) => order_id)).size).toBe(45);
  });

  test('lands pages byte for byte, with what was asked for', async () => {
    const { orders, context } = ordersWorld({ rows: many(3) });
    const asked = { method: 'GET', headers: { authorization: `Bearer ${TOKEN}` } };
    const from = iso(UNTIL - DAY);
    const target = `/orders?updated_since=${encodeURIComponent(from)}&limit=500`;
    const { pages } = await readWhole(span(UNTIL - DAY, UNTIL), context());
    expect(pages).toHaveLength(1);
    expect(pages[0]?.payload.toString()).toBe(orders.answer({ ...asked, target }).body);
    expect(pages[0]?.meta).toEqual({ request: target, status: 200 });
    expect(pages[0]).toMatchObject({ records: 3, askedAt: UNTIL, remaining: null });
  });

  test('that is empty takes one request', async () => {
    for (const [, arrival, options] of pagings) {
      const { orders, context } = ordersWorld(options);
      const { pages } = await readWhole(span(UNTIL - DAY, UNTIL), context(arrival));
      expect(pages.map(({ records }) => records)).toEqual([0]);
      expect(orders.stats().requests).toBe(1);
    }
  });

  test.each([1, 2, 7])('loses nothing when every slice ends after %i pages', async (stopAfter) => {
    for (const [, arrival, options] of pagings) {
      const { orders, context } = ordersWorld({ ...options, rows: many(400) });
      const read = await readWhole(
        span(UNTIL - DAY, UNTIL),
        context({ ...arrival, ...sized(20) }),
        { stopAfter },
      );
      expect(versions(rowsOf(read.pages))).toEqual(versions(orders.book.rows()));
      expect(read.slices).toBeGreaterThan(1);
    }
  });

  test('stops behind its end where the API has none, and tells the API where it has one', async () => {
    const { orders, context } = ordersWorld({ rows: many(5_000) });
    const window = span(UNTIL - 3 * DAY, UNTIL - 2 * DAY, 'backfill-1');
    const inside = versions(
      orders.book
        .rows()
        .filter(({ updated_at }) => updated_at >= window.from && updated_at < window.to),
    );
    const { pages } = await readWhole(window, context(sized(100)));
    expect(versions(rowsOf(pages))).toEqual(expect.arrayContaining([...inside]));
    // A day is 1440 orders, 75 new ones a page; and one page that shows the end.
    expect(orders.stats().requests).toBeLessThan(23);

    const since = {
      ...(declared.since as NonNullable<typeof declared.since>),
      until: 'updated_until',
    };
    const exact = await readWhole(window, context({ ...sized(100), since }));
    expect(versions(rowsOf(exact.pages))).toEqual(inside);
  });

  test.each(pagings)(
    'passes an instant with more orders than a page: %s',
    async (_, arrival, options) => {
      const at = UNTIL - 5 * MINUTE;
      const flood = Array.from({ length: 237 }, (_, i) => order(`f${i}`, at));
      const rows = [
        ...many(30, at),
        ...flood,
        ...many(30).map((row) => ({ ...row, product_id: 'p2' })),
      ];
      for (const stopAfter of [1, 1_000]) {
        const { orders, context, logged } = ordersWorld({ ...options, rows });
        const window = span(UNTIL - DAY, UNTIL);
        const read = await readWhole(window, context({ ...arrival, ...sized(20) }), { stopAfter });
        expect(versions(rowsOf(read.pages))).toEqual(versions(orders.book.rows()));
        expect(orders.stats().requests).toBeLessThan(stopAfter === 1 ? 60 : 45);
        if (stopAfter > 1) expect(logged.filter(({ severity }) => severity !== 'INFO')).toEqual([]);
      }
    },
  );

  test('goes on where the API gives fewer than were asked for', async () => {
    for (const [, arrival, options] of pagings) {
      const { orders, context } = ordersWorld({ ...options, rows: many(500), mostOnPage: 50 });
      const { pages } = await readWhole(span(UNTIL - DAY, UNTIL), context(arrival));
      expect(versions(rowsOf(pages))).toEqual(versions(orders.book.rows()));
      expect(orders.stats().requests).toBeLessThan(20);
    }
  });

  test('takes times in seconds, milliseconds and other zones', async () => {
    const rows = many(200).map((row, i) => ({
      ...row,
      changed: Math.floor(Date.parse(row.updated_at) / 1_000),
      zoned: new Date(Date.parse(row.updated_at) + 2 * 3_600_000)
        .toISOString()
        .replace('Z', '+0200'),
      local: row.updated_at.replace('T', ' ').replace('Z', ''),
      nested: { ms: String(Date.parse(row.updated_at) + (i % 2) / 2) },
    }));
    for (const since of [
      { as: 'epoch_s', changed: 'changed' },
      { as: 'iso', changed: 'zoned' },
      { as: 'iso', changed: 'local' },
      { as: 'epoch_ms', changed: 'nested.ms' },
    ] as const) {
      const { orders, context, logged } = ordersWorld({ rows });
      const arrival = { ...sized(30), since: { parameter: 'updated_since', ...since } };
      const { pages } = await readWhole(span(UNTIL - DAY, UNTIL), context(arrival));
      expect(versions(rowsOf(pages))).toEqual(versions(orders.book.rows()));
      expect(orders.stats().requests).toBeLessThan(12);
      expect(logged).toEqual([]);
    }
  });
});

describe('the list moves while it is read', () => {
  test.each(pagings)(
    'an order of a page that was read moves to the end: %s',
    async (_, arrival, options) => {
      const { orders, clock, context } = ordersWorld({ ...options, rows: many(400) });
      let next = 0;
      const between = (page: Page): void => {
        clock.advance(1_000);
        // One from the page that was just read, and a new one.
        orders.update(`o${next}:p1`, { status: 'paid' });
        next = Number(rowsOf([page]).at(0)?.order_id.slice(1) ?? next) + 1;
        orders.insert([order(`n${clock.now()}`, clock.now())]);
      };
      const window = span(UNTIL - DAY, UNTIL);
      const { pages } = await readWhole(window, context({ ...arrival, ...sized(20) }), { between });
      const seen = new Set(rowsOf(pages).map(({ order_id }) => order_id));
      for (const { order_id } of many(400)) expect(seen).toContain(order_id);
    },
  );

  test('new orders on the first page while the second is read', async () => {
    const { orders, clock, context } = ordersWorld({ rows: many(300) });
    let late = 0;
    const between = (): void => {
      clock.advance(500);
      // They commit late, and stand before what has been read.
      orders.insert([order(`late${late++}`, UNTIL - 10 * MINUTE)], clock.now());
    };
    const first = await tick(null, UNTIL, context(sized(20)), { between });
    clock.advance(10 * MINUTE);
    const second = await tick(first.checkpoint, clock.now(), context(sized(20)));
    const pages = [...first.pages, ...second.pages];
    expect(versions(rowsOf(pages))).toEqual(versions(orders.book.rows()));
    expect(late).toBeGreaterThan(10);
  });

  test('orders of one instant leave it while it is read, under pages that count', async () => {
    const at = UNTIL - 5 * MINUTE;
    const flood = Array.from({ length: 90 }, (_, i) => order(`f${String(i).padStart(3, '0')}`, at));
    const { orders, clock, context } = ordersWorld({ cursors: 'offset', rows: flood });
    let moved = 0;
    const between = (): void => {
      clock.advance(100);
      if (moved < 3) orders.update(`of00${moved++}:p1`, { status: 'paid' });
    };
    const { pages } = await readWhole(span(at - MINUTE, UNTIL), context(sized(20)), { between });
    const seen = new Set(rowsOf(pages).map(({ order_id }) => order_id));
    expect(seen.size).toBe(90);
  });

  test('what stands behind a flood of one instant is read by time, however it moved', async () => {
    const at = UNTIL - 60 * MINUTE;
    const flood = Array.from({ length: 50 }, (_, i) => order(`f${100 + i}`, at));
    const later = Array.from({ length: 20 }, (_, i) => order(`l${i}`, at + (i + 1) * MINUTE));
    const { orders, clock, context, logged } = ordersWorld({
      cursors: 'offset',
      rows: [...flood, ...later],
    });
    let rounds = 0;
    // Each time the flood is walked past, all behind it move up by one before the next page.
    const between = (page: Page): void => {
      clock.advance(100);
      const ids = rowsOf([page]).map(({ order_id }) => order_id);
      if (ids.includes('of139') && rounds === 1) orders.insert([order('n', at + 30_000)]);
      if (!ids.includes('of149')) return;
      rounds += 1;
      if (rounds === 1) orders.update('ol0:p1', { status: 'paid' });
      if (rounds === 2) orders.update('on:p1', { status: 'paid' });
    };
    const { pages } = await readWhole(span(at - MINUTE, UNTIL), context(sized(20)), { between });
    expect(rounds).toBe(2);
    const seen = new Set(rowsOf(pages).map(({ order_id }) => order_id));
    for (const { order_id } of [...flood, ...later]) expect(seen).toContain(order_id);
    expect(logged).toEqual([]);
  });

  test('a flood of one instant among which later orders stand is read whole', async () => {
    const at = UNTIL - 60 * MINUTE;
    const flood = Array.from({ length: 90 }, (_, i) => order(`f${i}`, at));
    const later = Array.from({ length: 60 }, (_, i) => order(`l${i}`, at + (i + 1) * 100));
    const { orders, context } = ordersWorld({
      listing: { roughly: 1_000 },
      rows: [...flood, ...later],
    });
    const { pages } = await readWhole(span(at - MINUTE, UNTIL), context(sized(20)));
    expect(versions(rowsOf(pages))).toEqual(versions(orders.book.rows()));
  });

  test.each<[string, Partial<OrdersOptions>]>([
    ['newest first', { listing: 'newest' }],
    ['by id', { listing: 'id' }],
    ['an hour out of order', { listing: { roughly: 60 * MINUTE } }],
    ['by id, by count, with repeats', { listing: 'id', cursors: 'offset', repeats: 3 }],
  ])('a list that does not keep its order is read to its end: %s', async (_, options) => {
    const { orders, context, logged } = ordersWorld({ ...options, rows: many(400) });
    const { pages } = await readWhole(span(UNTIL - DAY, UNTIL), context(sized(20)));
    expect(versions(rowsOf(pages))).toEqual(versions(orders.book.rows()));
    expect(logged.some(({ event }) => event === 'rest_list_disorder')).toBe(true);
  });

  test('a list a little out of order is read by time all the same', async () => {
    // Up to three places in pages of forty: where pages meet, some stand on the wrong side.
    const { orders, context, logged } = ordersWorld({
      listing: { roughly: 100_000 },
      rows: many(1_200),
    });
    const { pages } = await readWhole(span(UNTIL - DAY, UNTIL), context(sized(40)));
    expect(versions(rowsOf(pages))).toEqual(versions(orders.book.rows()));
    expect(logged).toEqual([]);
    expect(orders.stats().requests).toBeLessThan(45);
  });

  test('an order without a time of change among others is kept', async () => {
    const { orders, context, world } = ordersWorld({ rows: many(100) });
    const answers = world.fetch;
    const fetch: typeof answers = async (request) => {
      const answer = await answers(request);
      const body = answer.body
        .toString()
        .replace(/"updated_at":"[^"]*",("quantity":1,"price":9.99,"status":"x")/, '$1');
      return { ...answer, body: Buffer.from(body) };
    };
    orders.insert([order('x', UNTIL - 50 * MINUTE, { status: 'x' })]);
    const inner = { ...context(sized(20)), world: { ...world, fetch } };
    const { pages } = await readWhole(span(UNTIL - DAY, UNTIL), inner);
    expect(new Set(rowsOf(pages).map(({ order_id }) => order_id)).size).toBe(101);
  });
});

describe('the list misbehaves', () => {
  test('an answer that holds more than was asked for is the whole list', async () => {
    const { orders, context, world } = ordersWorld({ rows: many(100) });
    const fetch: typeof world.fetch = ({ url, ...rest }) =>
      world.fetch({ ...rest, url: url.replace('limit=20', 'limit=500') });
    const given = { ...context(sized(20)), world: { ...world, fetch } };
    const { pages } = await readWhole(span(UNTIL - DAY, UNTIL), given);
    expect(versions(rowsOf(pages))).toEqual(versions(orders.book.rows()));
    expect(orders.stats().requests).toBe(1);
  });

  test('a full page is not believed to be the last: the contract may name no cursor', async () => {
    const { orders, context } = ordersWorld({ rows: many(100) });
    const paging = { by: 'cursor', parameter: 'cursor', at: 'meta.next' } as const;
    const given = context({ ...sized(20), paging });
    const { pages } = await readWhole(span(UNTIL - DAY, UNTIL), given);
    expect(versions(rowsOf(pages))).toEqual(versions(orders.book.rows()));
  });

  test.each(['expired_cursor', 'same_cursor', 'empty_page'] as const)(
    '%s on the way through a flood',
    async (kind) => {
      const at = UNTIL - 5 * MINUTE;
      const rows = Array.from({ length: 150 }, (_, i) => order(`f${i}`, at));
      const faults = [
        { where: ['cursor='], skip: 2, times: 2, trouble: { kind } },
        { where: ['cursor='], skip: 3, times: 1, trouble: { kind } },
      ];
      for (const [, arrival, options] of pagings.filter(([, , { paging }]) => paging !== 'page')) {
        const { orders, context } = ordersWorld({ ...options, rows, faults });
        const window = span(at - MINUTE, UNTIL);
        const { pages } = await readWhole(window, context({ ...arrival, ...sized(20) }));
        expect(versions(rowsOf(pages))).toEqual(versions(orders.book.rows()));
      }
    },
  );

  test('a cursor that always expires or comes back gives the window back, with what was read', async () => {
    for (const kind of ['expired_cursor', 'same_cursor', 'empty_page'] as const) {
      const at = UNTIL - 5 * MINUTE;
      const rows = Array.from({ length: 150 }, (_, i) => order(`f${i}`, at));
      const faults = [{ where: ['cursor='], times: 1e9, trouble: { kind } }];
      const { orders, context } = ordersWorld({ rows, faults });
      const reading = readWhole(span(at - MINUTE, UNTIL), context(sized(20)));
      await expect(reading).rejects.toMatchObject({ name: 'Transient', code: 'api_no_progress' });
      expect(orders.stats().requests).toBeLessThan(80);
    }
  });

  test('a walk whose cursor has expired overnight begins again', async () => {
    const { orders, context } = ordersWorld({ rows: many(100) });
    const window = { ...span(UNTIL - DAY, UNTIL), cursor: 'whole:1:7:bm9uc2Vuc2U' };
    const { pages } = await readWhole(window, context(sized(20)));
    expect(versions(rowsOf(pages))).toEqual(versions(orders.book.rows()));
  });

  test('an answer without its list stops the window and says so', async () => {
    const faults = [{ trouble: { kind: 'status', status: 200, body: '{"data":[]}' } as const }];
    const { context } = ordersWorld({ faults });
    const reading = readWhole(span(UNTIL - DAY, UNTIL), context());
    await expect(reading).rejects.toMatchObject({
      name: 'Permanent',
      code: 'api_shape',
      message: expect.stringMatching(/without "orders", but with data/),
    });
  });

  test('a link that leads out of the API is refused; one below another host stays here', async () => {
    const { context, orders } = ordersWorld({ paging: 'link', rows: many(60) });
    const based = {
      ...context({ ...sized(20), paging: { by: 'link' } }),
      baseUrl: 'http://orders.test/v2',
    };
    await expect(readWhole(span(UNTIL - DAY, UNTIL), based)).rejects.toMatchObject({
      code: expect.stringMatching(/api_shape|api_not_found/),
    });
    expect(orders.stats().requests).toBe(1);
  });
});

describe('a list that cannot be narrowed', () => {
  test.each([
    '<$1> ; title="first, last" ; rel="next"',
    '<https://api.example/help>; rel="help", <$1>;title=";,";rel=next',
    '<$1>; rel="last next"',
  ])('goes on by a link however it is written: %s', async (written) => {
    const { context, orders, world } = ordersWorld({ paging: 'link', rows: many(60) });
    const fetch: typeof world.fetch = async (request) => {
      const answer = await world.fetch(request);
      const link = answer.headers['link']?.replace(/^<([^>]*)>.*$/, written);
      return link === undefined ? answer : { ...answer, headers: { ...answer.headers, link } };
    };
    const given = context({ ...noSince(declared), ...sized(20), paging: { by: 'link' } });
    const all = span(0, UNTIL, 'full');
    const { pages } = await readWhole(all, { ...given, world: { ...world, fetch } });
    expect(versions(rowsOf(pages))).toEqual(versions(orders.book.rows()));
  });

  test.each(pagings)('is read whole with every tick: %s', async (_, arrival, options) => {
    const { orders, clock, context } = ordersWorld({ ...options, rows: many(130), listing: 'id' });
    const inner = context({ ...noSince(declared), ...arrival, ...sized(20) });
    const first = await tick(null, UNTIL, inner, { stopAfter: 2 });
    expect(versions(rowsOf(first.pages))).toEqual(versions(orders.book.rows()));
    clock.advance(10 * MINUTE);
    orders.update('o5:p1', { status: 'paid' });
    const second = await tick(first.checkpoint, clock.now(), inner);
    expect(versions(rowsOf(second.pages))).toEqual(versions(orders.book.rows()));
    // Seven full pages; counted ones end with an empty one.
    expect(second.pages.length).toBeLessThanOrEqual(8);
  });
});

describe('what is planned', () => {
  const arrival = { ...declared, first_days: 45, overlap_minutes: 15 };

  test('first as far back as the contract says, newest first', () => {
    const { windows, edges } = restList.plan(checkpointWith({}), UNTIL, arrival);
    expect(windows).toEqual([
      span(UNTIL - 30 * DAY, UNTIL),
      span(UNTIL - 45 * DAY, UNTIL - 30 * DAY),
    ]);
    expect(edges).toEqual({ hot: iso(UNTIL) });
  });

  test('then from the last edge minus the overlap to now', () => {
    const held = checkpointWith({ hot: iso(UNTIL) });
    const { windows, edges } = restList.plan(held, UNTIL + 10 * MINUTE, arrival);
    expect(windows).toEqual([span(UNTIL - 15 * MINUTE, UNTIL + 10 * MINUTE)]);
    expect(edges).toEqual({ hot: iso(UNTIL + 10 * MINUTE) });
    expect(restList.plan(held, UNTIL - 1, arrival)).toEqual({ windows: [], edges: {} });
  });

  test('a range of updated_at is what a person asks for', () => {
    const [from, to] = ['2026-01-01', '2026-03-15'];
    const days = (one: { from: string; to: string }) => [
      one.from.slice(0, 10),
      one.to.slice(0, 10),
    ];
    expect(restList.range(from, to, 'backfill-1', arrival).map(days)).toEqual([
      ['2026-02-13', '2026-03-15'],
      ['2026-01-01', '2026-02-13'],
    ]);
    const since = { ...(arrival.since as NonNullable<typeof arrival.since>), until: 'before' };
    expect(restList.range(from, to, 'backfill-1', { ...arrival, since }).map(days)).toEqual([
      ['2026-02-13', '2026-03-15'],
      ['2026-01-14', '2026-02-13'],
      ['2026-01-01', '2026-01-14'],
    ]);
    expect(restList.range(from, to, 'b', noSince(arrival) as RestListArrival)).toHaveLength(1);
  });

  test('an outage of days leaves one window, not one for every tick of it', () => {
    let held: Checkpoint = checkpointWith({ hot: iso(UNTIL) });
    const trouble = {
      code: 'api_unavailable',
      message: '503',
      at: iso(UNTIL),
      needs_person: false,
    };
    for (let tick = 1; tick <= 500; tick += 1) {
      held = planned(held, restList.plan(held, UNTIL + tick * 10 * MINUTE, arrival));
      held = { ...held, trouble };
    }
    const first = span(UNTIL - 15 * MINUTE, UNTIL + 10 * MINUTE);
    expect(held.open).toEqual([first]);
    const done = { window: first, remaining: null, run: 'r', records: 0, at: iso(UNTIL) };
    held = { ...finished(held, done), trouble: null };
    const back = UNTIL + 600 * 10 * MINUTE;
    held = planned(held, restList.plan(held, back, arrival));
    expect(held.open).toEqual([span(UNTIL - 5 * MINUTE, back)]);
    // One that is read for longer than a tick keeps today's from no one.
    const later = restList.plan(held, back + 10 * MINUTE, arrival);
    expect(later.windows).toEqual([span(back - 15 * MINUTE, back + 10 * MINUTE)]);
  });

  test('a listing that is not finished is not begun again', () => {
    const whole = noSince(arrival) as RestListArrival;
    const { windows, edges } = restList.plan(checkpointWith({}), UNTIL, whole);
    expect(windows).toEqual([{ pass: 'full', from: iso(0), to: iso(UNTIL) }]);
    const held = { ...checkpointWith(edges), open: windows };
    expect(restList.plan(held, UNTIL + DAY, whole).windows).toEqual([]);
  });
});

/** Small, seeded, repeatable (mulberry32). */
function draws(seed: number): (below: number) => number {
  let state = seed | 0;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4_294_967_296) * below);
  };
}

describe('a shop that never stands still', () => {
  /**
   * Orders come, change (several in one instant, too) and commit late while each page is read, and
   * between ticks; slices end anywhere; requests fail. Then the shop closes and two more ticks pass.
   */
  async function live(seed: number): Promise<void> {
    const draw = draws(seed);
    const [, arrival, options] = pagings[draw(pagings.length)] as (typeof pagings)[number];
    const size = 16 + draw(30);
    const listing = ([{}, {}, { listing: { roughly: 20_000 } }, { listing: 'id' }] as const)[
      draw(4)
    ];
    const { orders, clock, context } = ordersWorld({
      ...options,
      ...listing,
      repeats: draw(3),
      latencyMs: draw(400),
      rows: many(draw(300)),
    });
    let id = 10_000;
    const happen = (): void => {
      for (let n = draw(6); n > 0; n--) {
        const keys = orders.book.keys();
        const what = draw(10);
        if (what < 4 || keys.length === 0) {
          const at = clock.now() - draw(2) * draw(20_000);
          orders.insert([order(id++, at)]);
        } else if (what < 8) {
          orders.update(keys[draw(keys.length)] as string, { price: draw(1_000) / 100 });
        } else if (what < 9) {
          // Committed up to five minutes late.
          orders.insert([order(id++, clock.now())], clock.now() + draw(5 * MINUTE));
        } else {
          const updated_at = iso(clock.now());
          for (let k = draw(2 * size); k > 0; k--) {
            orders.update(keys[draw(keys.length)] as string, { updated_at, status: 'shipped' });
          }
        }
        clock.advance(draw(3) * draw(2_000));
      }
    };
    const inner = context({ ...arrival, ...sized(size), overlap_minutes: 10 });
    const landed: OrderRow[] = [];
    let checkpoint = null;
    for (let n = 0; n < 6; n++) {
      const open = n < 4;
      if (open) {
        for (let k = draw(20); k > 0; k--) happen();
        const kinds = [
          'half_body',
          'no_answer',
          'broken_json',
          'expired_cursor',
          'same_cursor',
        ] as const;
        orders.faults.clear();
        orders.faults.add([
          { skip: draw(8), times: 1 + draw(2), trouble: { kind: kinds[draw(5)] as 'half_body' } },
          { skip: draw(8), trouble: { kind: 'status', status: 503 } },
          { skip: draw(8), trouble: { kind: 'status', status: 429, retryAfter: '2' } },
        ]);
      }
      const outcome: Awaited<ReturnType<typeof tick>> = await tick(checkpoint, clock.now(), inner, {
        stopAfter: 1 + draw(6),
        ...(open ? { between: happen } : {}),
      });
      landed.push(...rowsOf(outcome.pages));
      checkpoint = outcome.checkpoint;
      clock.advance(10 * MINUTE);
    }
    const seen = new Set(versions(landed));
    const lost = versions(orders.book.rows()).filter((one) => !seen.has(one));
    expect(lost, `seed ${seed}`).toEqual([]);
  }

  test.each([0, 1, 2, 3])('at rest every order is landed as it is (%i)', async (block) => {
    for (let seed = block * 12 + 1; seed <= (block + 1) * 12; seed++) await live(seed);
  });
});

describe('over a real connection', () => {
  let running: RunningOrders | undefined;
  afterEach(async () => {
    await running?.close();
    running = undefined;
  });

  test.each<[string, RestListArrival['auth']]>([
    ['bearer', 'bearer'],
    ['a header', { header: 'X-Api-Key' }],
    ['a parameter', { parameter: 'api_key' }],
  ])('the token goes out by %s and stays nowhere', async (_, auth) => {
    for (const [, arrival, options] of pagings) {
      const { world, clock, context, logged } = ordersWorld();
      running = await startOrders({
        ...options,
        auth,
        token: TOKEN,
        clock: clock.now,
        rows: many(200),
      });
      running.fail([
        { skip: 1, trouble: { kind: 'half_body' } },
        { skip: 2, trouble: { kind: 'status', status: 429, retryAfter: '1' } },
        { skip: 3, trouble: { kind: 'echoed_token' } },
      ]);
      const inner = {
        ...context({ ...arrival, ...sized(20), auth }),
        world: { ...world, fetch: wholeFetch },
        baseUrl: running.url,
      };
      // Half of them at one instant, so that links and cursors are followed.
      const updated_at = iso(UNTIL - MINUTE);
      for (let i = 0; i < 100; i++) running.update(`o${i}:p1`, { updated_at });
      const { pages } = await readWhole(span(UNTIL - DAY, UNTIL), inner, { stopAfter: 3 });
      expect(versions(rowsOf(pages))).toEqual(versions(running.orders.book.rows()));
      const kept = JSON.stringify([
        logged,
        pages.map(({ payload, ...rest }) => [payload.toString(), rest]),
      ]);
      expect(kept).toContain('"redacted":true');
      for (const secret of [TOKEN, encodeURIComponent(TOKEN)]) expect(kept).not.toContain(secret);
      await running.close();
    }
  });
});
