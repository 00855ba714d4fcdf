/** An order that makes every page with it unreadable: everything around it is read all the same. */
import { describe, expect, test } from 'vitest';
import type { Breakage } from '../../../local/outside/http/faults.ts';
import type { OrderRow } from '../../../local/outside/orders/book.ts';
import type { Fault } from '../../../local/outside/orders/faults.ts';
import type { OrdersOptions } from '../../../local/outside/orders/state.ts';
import type { RestListArrival } from '../../../schemas/contract.ts';
import {
  DAY,
  declared,
  isRaw,
  MINUTE,
  order,
  ordersWorld,
  readWhole,
  rowsOf,
  versions,
} from './orders_world.ts';
import { span, UNTIL } from './virtual_world.ts';

const broken = (id: string, how: Breakage): Fault => ({
  trouble: { kind: 'broken_record', id, how },
});
const month = Array.from({ length: 300 }, (_, i) => order(i, UNTIL - (300 - i) * MINUTE));
const pagings: readonly (readonly [string, Partial<RestListArrival>, Partial<OrdersOptions>])[] = [
  ['cursor', {}, { cursors: 'offset' }],
  ['page', { paging: { by: 'page', parameter: 'page', first: 1 } }, { paging: 'page' }],
  ['link', { paging: { by: 'link' } }, { paging: 'link' }],
];

async function read(
  rows: readonly OrderRow[],
  faults: readonly Fault[],
  options: Partial<OrdersOptions> = {},
  arrival: Partial<RestListArrival> = {},
  stopAfter = Number.POSITIVE_INFINITY,
) {
  const world = ordersWorld({ ...options, rows, faults, latencyMs: 50 });
  const context = world.context({ page_size: { parameter: 'limit', records: 50 }, ...arrival });
  const { pages } = await readWhole(span(UNTIL - DAY, UNTIL), context, { stopAfter });
  const warned = world.logged.filter(({ severity }) => severity === 'WARNING');
  return { ...world, pages, raw: pages.filter(isRaw), events: warned.map(({ event }) => event) };
}
const without = (rows: readonly OrderRow[], ...ids: readonly string[]): readonly string[] =>
  versions(rows.filter(({ order_id }) => !ids.includes(order_id)));

describe('an order that breaks its pages', () => {
  test.each(
    pagings.flatMap(([name, arrival, options]) =>
      (['garbled', 'cut', 'not_utf8', 'replaced'] as const).map(
        (how) => [name, how, arrival, options] as const,
      ),
    ),
  )('is landed as it came, and all others are read: %s, %s', async (_, how, arrival, options) => {
    const { pages, raw, orders, events } = await read(
      month,
      [broken('o177', how)],
      options,
      arrival,
    );
    expect(versions(rowsOf(pages))).toEqual(without(month, 'o177'));
    expect(raw).toHaveLength(1);
    expect(raw[0]).toMatchObject({ records: 1, meta: { unreadable: true, status: 200 } });
    const body = raw[0]?.payload.toString('latin1') ?? '';
    expect(body).toContain(how === 'replaced' ? '<html>' : '"order_id":"o177"');
    expect(events).toEqual(['rest_page_unreadable']);
    expect(orders.stats().requests).toBeLessThan(120);
  });

  test.each([1, 3])('also when every slice ends after %i pages', async (stopAfter) => {
    const { pages } = await read(month, [broken('o177', 'garbled')], {}, {}, stopAfter);
    expect(versions(rowsOf(pages))).toEqual(without(month, 'o177'));
  });

  test('may be the first, the last, and next to another one', async () => {
    const ids = ['o0', 'o100', 'o101', 'o103', 'o299'];
    const faults = ids.map((id, i) => broken(id, i % 2 === 0 ? 'cut' : 'garbled'));
    const { pages, raw } = await read(month, faults);
    expect(versions(rowsOf(pages))).toEqual(without(month, ...ids));
    const bodies = raw.map(({ payload }) => payload.toString()).join('\n');
    for (const id of ids) expect(bodies).toContain(`"order_id":"${id}"`);
  });

  test('is passed where the API takes no size of pages', async () => {
    const arrival = { page_size: undefined as never };
    const { pages, raw } = await read(
      month,
      [broken('o177', 'garbled')],
      { mostOnPage: 50 },
      arrival,
    );
    const seen = rowsOf(pages);
    // What shares every page with it is in the bronze of that page.
    const bodies = raw.map(({ payload }) => payload.toString()).join('\n');
    const lost = without(month, 'o177').filter((key) => !versions(seen).includes(key));
    for (const key of lost) expect(bodies).toContain(`"order_id":"${key.split(':')[0]}"`);
    expect(bodies).toContain('"order_id":"o177"');
    expect(lost.length).toBeLessThan(50);
  });

  test.each(pagings)(
    'is passed among hundreds of one instant: %s',
    async (name, arrival, options) => {
      const at = UNTIL - 10 * MINUTE;
      const flood = Array.from({ length: 240 }, (_, i) =>
        order(`f${String(i).padStart(3, '0')}`, at),
      );
      const rows = [order('before', at - 1), ...flood, order('after', at + 1)];
      for (const id of ['of000', 'of049', 'of050', 'of177', 'of239']) {
        const { pages, raw } = await read(rows, [broken(id, 'garbled')], options, arrival);
        const bodies = raw.map(({ payload }) => payload.toString()).join('\n');
        expect(bodies).toContain(`"order_id":"${id}"`);
        const seen = versions(rowsOf(pages));
        // By cursor it is closed in on; else the page it stands on stays what it is.
        const lost = without(rows, id).filter((key) => !seen.includes(key));
        if (name === 'cursor') expect(lost).toEqual([]);
        for (const key of lost) expect(bodies).toContain(`"order_id":"${key.split(':')[0]}"`);
      }
    },
  );

  test('that leaves no way on within its instant ends the instant with a warning', async () => {
    const at = UNTIL - 10 * MINUTE;
    const flood = Array.from({ length: 120 }, (_, i) =>
      order(`f${String(i).padStart(3, '0')}`, at),
    );
    const rows = [...flood, order('after', at + 1)];
    const { pages, raw, events } = await read(rows, [broken('of060', 'replaced')]);
    expect(raw.length).toBeGreaterThan(0);
    const seen = new Set(rowsOf(pages).map(({ order_id }) => order_id));
    expect(seen).toContain('of059');
    expect(seen).toContain('oafter');
    expect(events).toContain('rest_records_behind_unreadable');
  });

  test('stands in a list that cannot be narrowed, or keeps no order', async () => {
    for (const since of [undefined as never, declared.since as never]) {
      const { pages, raw } = await read(
        month,
        [broken('o177', 'garbled')],
        { listing: 'id' },
        { since },
      );
      expect(versions(rowsOf(pages))).toEqual(without(month, 'o177'));
      expect(raw.length).toBeGreaterThan(0);
    }
  });

  test.each([1, 4, 7, 11])('that can be read after %i times was none', async (times) => {
    const { pages, raw } = await read(month, [{ ...broken('o177', 'garbled'), times }]);
    expect(versions(rowsOf(pages))).toEqual(versions(month));
    expect(raw).toEqual([]);
  });
});

test('a gateway that answers everything with a page of its own gives the window back', async () => {
  const faults: readonly Fault[] = [{ times: 1e9, trouble: { kind: 'gateway_page' } }];
  const reading = read(month, faults);
  await expect(reading).rejects.toMatchObject({ name: 'Transient', code: 'api_unavailable' });
});
