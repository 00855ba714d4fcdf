/** The stand-in for the orders API: its pages, limits and refusals, and a shop that goes on living. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { OrderBook, type OrderRow } from '../../../local/outside/orders/book.ts';
import { type RunningOrders, startOrders } from '../../../local/outside/orders/server.ts';
import { Orders, type OrdersOptions } from '../../../local/outside/orders/state.ts';

const NOON = Date.parse('2026-11-20T12:00:00.000Z');
const iso = (ms: number): string => new Date(ms).toISOString();
const row = (id: number, at = NOON - 3_600_000 + id * 1_000, more = {}): OrderRow => ({
  order_id: `o${id}`,
  product_id: 'p1',
  user_id: 'u1',
  date: iso(at),
  updated_at: iso(at),
  quantity: 1,
  price: '9.99',
  status: 'placed',
  ...more,
});
const rows = (count: number): readonly OrderRow[] =>
  Array.from({ length: count }, (_, i) => row(i));

interface Body {
  readonly orders: readonly OrderRow[];
  readonly next_cursor?: string | null;
}

function shop(options: Partial<OrdersOptions> = {}) {
  const clock = { now: NOON };
  const orders = new Orders({ clock: () => clock.now, ...options });
  const get = (target: string, headers: Record<string, string> = { authorization: 'Bearer t' }) => {
    const answer = orders.answer({ method: 'GET', target, headers });
    return { ...answer, body: JSON.parse(String(answer.body)) as Body };
  };
  const ids = (target: string) => get(target).body.orders.map(({ order_id }) => order_id);
  return { orders, clock, get, ids };
}

describe('a page of orders', () => {
  test('holds the oldest updates first, from an inclusive instant on', () => {
    const { get, ids } = shop({ rows: rows(10) });
    const since = encodeURIComponent(row(4).updated_at);
    expect(ids(`/orders?updated_since=${since}&limit=3`)).toEqual(['o4', 'o5', 'o6']);
    expect(ids('/orders')).toHaveLength(10);
    expect(get('/orders').body.orders[0]).toEqual(row(0));
    expect(get('/orders').body.next_cursor).toBeNull();
  });

  test('leads to the next by a cursor that is bound to its query and expires', () => {
    const { get, clock } = shop({ rows: rows(10), cursorTtlMs: 60_000 });
    const { next_cursor } = get('/orders?limit=4').body;
    const next = get(`/orders?limit=4&cursor=${next_cursor}`);
    expect(next.body.orders.map(({ order_id }) => order_id)).toEqual(['o4', 'o5', 'o6', 'o7']);
    expect(get(`/orders?updated_since=2026-01-01T00%3A00%3A00Z&cursor=${next_cursor}`).status).toBe(
      400,
    );
    clock.now += 60_001;
    expect(get(`/orders?limit=4&cursor=${next_cursor}`).status).toBe(400);
    expect(get('/orders?cursor=nonsense').status).toBe(400);
  });

  test('never holds more than the API gives', () => {
    const { ids } = shop({ rows: rows(600) });
    expect(ids('/orders?limit=5000')).toHaveLength(500);
    expect(ids('/orders')).toHaveLength(100);
    expect(shop().get('/orders?limit=0').status).toBe(400);
    expect(shop().get('/orders?updated_since=yesterday').status).toBe(400);
  });

  test('by number ends with an empty one; by link names the next, with every parameter', () => {
    const numbered = shop({ paging: 'page', rows: rows(5) });
    expect(numbered.ids('/orders?limit=2&page=3')).toEqual(['o4']);
    expect(numbered.ids('/orders?limit=2&page=4')).toEqual([]);
    const linked = shop({ paging: 'link', auth: { parameter: 'key' }, rows: rows(5) });
    const { headers } = linked.get('/orders?limit=2&key=t', {});
    const target = /<[^>]*?(\/orders\?[^>]*)>; title="more"; rel="next"/.exec(
      headers['Link'] ?? '',
    )?.[1];
    expect(target).toContain('key=t');
    expect(linked.get(target as string, {}).body.orders.map(({ order_id }) => order_id)).toEqual([
      'o2',
      'o3',
    ]);
  });

  test('comes only to the token, wherever it is expected', () => {
    const bearer = shop({ token: 'right' });
    expect(bearer.get('/orders').status).toBe(401);
    expect(bearer.get('/orders', {}).status).toBe(401);
    expect(bearer.get('/orders', { authorization: 'Bearer right' }).status).toBe(200);
    const header = shop({ token: 'right', auth: { header: 'X-Key' } });
    expect(header.get('/orders', { 'x-key': 'right' }).status).toBe(200);
    expect(header.get('/orders', { authorization: 'Bearer right' }).status).toBe(401);
  });

  test('is refused over the limit, with the seconds to wait', () => {
    const { get, clock } = shop({ perMinute: 2 });
    expect([get('/orders').status, get('/orders').status]).toEqual([200, 200]);
    clock.now += 20_000;
    const refused = get('/orders');
    expect(refused.status).toBe(429);
    expect(refused.headers['Retry-After']).toBe('40');
    clock.now += 40_000;
    expect(get('/orders').status).toBe(200);
  });
});

describe('a living shop', () => {
  test('moves an order to the end when it changes: cursors that count pass one over, others do not', () => {
    for (const [cursors, third] of [
      ['offset', 'o3'],
      ['line', 'o2'],
    ] as const) {
      const { orders, get } = shop({ cursors, rows: rows(6) });
      const { next_cursor } = get('/orders?limit=2').body;
      orders.update('o0:p1', { status: 'paid' });
      const page = get(`/orders?limit=2&cursor=${next_cursor}`).body;
      expect(page.orders[0]?.order_id).toBe(third);
      expect(get('/orders').body.orders.at(-1)).toMatchObject({
        order_id: 'o0',
        status: 'paid',
        updated_at: iso(NOON),
      });
    }
  });

  test('shows versions when their time has come, and late ones later', () => {
    const versions = [row(1, NOON - 5_000), row(1, NOON + 5_000, { status: 'paid' })];
    const { orders, clock, get } = shop({ rows: versions });
    orders.insert([row(2, NOON - 60_000)], NOON + 30_000);
    const seen = () =>
      get('/orders').body.orders.map(({ order_id, status }) => `${order_id} ${status}`);
    expect(seen()).toEqual(['o1 placed']);
    clock.now += 5_000;
    expect(seen()).toEqual(['o1 paid']);
    clock.now += 30_000;
    expect(seen()).toEqual(['o2 placed', 'o1 paid']);
  });

  test('never goes back to an older version of a line; lines of an order are apart', () => {
    const { orders, get } = shop({ rows: [row(1, NOON - 1_000, { order_line_id: 'a' })] });
    orders.insert([row(1, NOON - 9_000, { order_line_id: 'a', status: 'old' })]);
    orders.insert([row(1, NOON - 500, { order_line_id: 'b' })]);
    expect(
      get('/orders').body.orders.map(({ order_line_id, status }) => [order_line_id, status]),
    ).toEqual([
      ['a', 'placed'],
      ['b', 'placed'],
    ]);
  });

  test('lists in other orders, and repeats lines, on request', () => {
    expect(shop({ listing: 'newest', rows: rows(3) }).ids('/orders')).toEqual(['o2', 'o1', 'o0']);
    const rough = shop({ listing: { roughly: 5_000 }, rows: rows(50) });
    const ids = rough.ids('/orders');
    expect(ids).not.toEqual(rows(50).map(({ order_id }) => order_id));
    for (const [at, id] of ids.entries())
      expect(Math.abs(Number(id.slice(1)) - at)).toBeLessThan(11);
    const repeating = shop({ repeats: 1, rows: rows(4) });
    const { next_cursor } = repeating.get('/orders?limit=2').body;
    expect(repeating.ids(`/orders?limit=2&cursor=${next_cursor}`)).toEqual(['o1', 'o2', 'o3']);
  });

  test('a book that is filled at once is the one that is filled line by line', () => {
    const all = Array.from({ length: 700 }, (_, i) =>
      row(i % 300, NOON - ((i * 7_919) % 5_000) * 1_000),
    );
    const [once, singly] = [new OrderBook(), new OrderBook()];
    once.add(all, NOON);
    for (const one of all) singly.add([one], NOON);
    expect(once.listed(0, NOON + 1)).toEqual(singly.listed(0, NOON + 1));
    expect(once.listed(0, NOON + 1)).toHaveLength(300);
  });
});

describe('the server', () => {
  let running: RunningOrders | undefined;
  let folder: string | undefined;
  afterEach(async () => {
    await running?.close();
    running = undefined;
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
    folder = undefined;
  });
  const get = async (path = '/orders'): Promise<Body> => {
    const answer = await fetch(running?.url + path, { headers: { authorization: 'Bearer t' } });
    return (await answer.json()) as Body;
  };
  const post = (path: string, body: unknown): Promise<Response> =>
    fetch(`${running?.url}/_stand-in/${path}`, { method: 'POST', body: JSON.stringify(body) });

  test('is filled, changed and made to fail from another process', async () => {
    running = await startOrders({ clock: () => NOON });
    expect((await post('orders', { rows: rows(2) })).status).toBe(200);
    await post('update', { key: 'o0:p1', changes: { price: 1 } });
    expect((await get()).orders.map(({ order_id, price }) => [order_id, price])).toEqual([
      ['o1', '9.99'],
      ['o0', 1],
    ]);
    await post('faults', { faults: [{ trouble: { kind: 'half_body' } }] });
    await expect(get()).rejects.toThrow();
    await post('remove', { key: 'o0:p1' });
    expect((await get()).orders).toHaveLength(1);
    expect((await post('update', { key: 'nobody', changes: {} })).status).toBe(400);
    const stats = (await (await fetch(`${running.url}/_stand-in/stats`)).json()) as object;
    expect(stats).toMatchObject({ requests: 3, by_status: { '200': 2, half: 1 } });
  });

  test('keeps what came in beside its file, also behind a line that was cut off', async () => {
    folder = await mkdtemp(join(tmpdir(), 'orders-'));
    const file = join(folder, 'state', 'orders.ndjson');
    running = await startOrders({ file, clock: () => NOON });
    running.insert(rows(3));
    running.update('o1:p1', { status: 'paid' });
    const before = await get();
    await running.close();
    await writeFile(file, '{"order_id":"o9","upd', { flag: 'a' });
    running = await startOrders({ file, clock: () => NOON });
    expect(await get()).toEqual(before);
    running.insert([row(5)]);
    await running.close();
    running = await startOrders({ file, clock: () => NOON });
    expect((await get()).orders).toHaveLength(4);
  });
});
