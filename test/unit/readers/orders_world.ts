import { expect } from 'vitest';
import {
  type Checkpoint,
  emptyCheckpoint,
  finished,
  planned,
} from '../../../functions/checkpoint.ts';
import { restBudget } from '../../../functions/clients/rest_budget.ts';
import type { Page, ReadContext } from '../../../functions/readers/reader.ts';
import { restList } from '../../../functions/readers/rest_list.ts';
import type { Window } from '../../../functions/window.ts';
import { keyOf, type OrderRow } from '../../../local/outside/orders/book.ts';
import { Orders, type OrdersOptions } from '../../../local/outside/orders/state.ts';
import type { RestListArrival } from '../../../schemas/contract.ts';
import { catalog } from '../../../schemas/rendered/catalog.ts';
import { iso, UNTIL, virtualClock, worldOf } from './virtual_world.ts';

export const TOKEN = 'tok-4711-secret/+=';
export const MINUTE = 60_000;
export const DAY = 86_400_000;

/** The contract's own declaration. */
export const declared = catalog.sources['commerce.orders']?.arrives as RestListArrival;

export const order = (id: string | number, at: number, more: Partial<OrderRow> = {}): OrderRow => ({
  order_id: `o${id}`,
  product_id: 'p1',
  user_id: 'u1',
  date: iso(at),
  updated_at: iso(at),
  quantity: 1,
  price: 9.99,
  status: 'placed',
  ...more,
});

/** The stand-in, a virtual clock and what a reader is given. */
export function ordersWorld(options: Partial<OrdersOptions> = {}) {
  const clock = virtualClock(UNTIL);
  const orders = new Orders({ clock: clock.now, token: TOKEN, ...options });
  const { world, logged } = worldOf(orders, clock);
  const tokens = { current: TOKEN };
  const budget = restBudget(world, { requestsPerMinute: 1e6 });
  const context = (arrival: Partial<RestListArrival> = {}): ReadContext<RestListArrival> => ({
    world,
    arrival: { ...declared, ...arrival },
    domain: 'commerce',
    source: 'orders',
    controlBucket: 'control',
    baseUrl: 'http://orders.test',
    token: async () => tokens.current,
    budget,
    deadline: Number.MAX_SAFE_INTEGER,
  });
  return { orders, clock, world, budget, logged, tokens, context };
}

export const isRaw = (page: Page): boolean => page.meta['unreadable'] === true;

/** Orders of pages that can be read, as they came. */
export const rowsOf = (pages: readonly Page[]): readonly OrderRow[] =>
  pages
    .filter((page) => page.records > 0 && !isRaw(page))
    .flatMap((page) => (JSON.parse(page.payload.toString()) as { orders: OrderRow[] }).orders);

const version = (row: OrderRow): string => `${keyOf(row)} ${row.updated_at}`;

export const versions = (rows: readonly OrderRow[]): readonly string[] =>
  [...new Set(rows.map(version))].sort();

/**
 * Reads a window to its end, with a slice that is over after every `stopAfter` pages.
 * @param between what happens outside after each page
 */
export async function readWhole(
  window: Window,
  context: ReadContext<RestListArrival>,
  options: { readonly stopAfter?: number; readonly between?: (page: Page) => void } = {},
): Promise<{ readonly pages: readonly Page[]; readonly slices: number }> {
  const { stopAfter = Number.POSITIVE_INFINITY, between } = options;
  const pages: Page[] = [];
  let left: Window | null = window;
  let slices = 0;
  const stood = new Set<string>();
  while (left !== null) {
    slices += 1;
    // A run that is landed is not read again: coming back to its window would go in circles.
    expect(stood).not.toContain(JSON.stringify(left));
    stood.add(JSON.stringify(left));
    if (slices > 2_000) throw new Error('never ends');
    let here = 0;
    let remaining: Window | null | undefined;
    for await (const page of restList.pages(left, context)) {
      pages.push(page);
      between?.(page);
      here += 1;
      if (page.remaining === undefined) continue;
      if (page.remaining !== null && JSON.stringify(page.remaining) === JSON.stringify(left)) {
        continue;
      }
      remaining = page.remaining;
      if (remaining === null || here >= stopAfter) break;
    }
    if (remaining === undefined) throw new Error('the pages ended without saying what remains');
    left = remaining;
  }
  return { pages, slices };
}

/** One tick after the other, as the pull does it: plans, reads what is open, moves the checkpoint. */
export async function tick(
  checkpoint: Checkpoint | null,
  now: number,
  context: ReadContext<RestListArrival>,
  options: Parameters<typeof readWhole>[2] = {},
): Promise<{ readonly checkpoint: Checkpoint; readonly pages: readonly Page[] }> {
  let held = checkpoint ?? emptyCheckpoint('commerce', 'orders');
  held = planned(held, restList.plan(held, now, context.arrival));
  const pages: Page[] = [];
  for (const window of held.open) {
    const read = await readWhole(window, context, options);
    pages.push(...read.pages);
    held = finished(held, { window, remaining: null, run: 'r', records: 0, at: iso(now) });
  }
  expect(held.open).toEqual([]);
  return { checkpoint: held, pages };
}
