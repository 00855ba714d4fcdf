/** Days of a shop that are all alike: what a day costs then depends on what lies before it. */
import { newestDay } from './email_days.ts';

const DAY_MS = 86_400_000;
const PRODUCTS = 200;
const PAGE = 500;

/** What one day brings, by source; with the first days also the shop's tables. */
export function landingsOf(
  backs: readonly number[],
  events: number,
  begins: boolean,
): readonly { readonly source: string; readonly payloads: readonly Buffer[] }[] {
  const happened = backs.flatMap((back) => eventsOf(back, events));
  const landings = [
    { source: 'behavior_events', payloads: happened.map((event) => json(event)) },
    { source: 'orders', payloads: pagesOf(backs.flatMap((back) => ordersOf(back, events))) },
  ];
  if (!begins) return landings;
  const updated_at = '2019-10-30T03:30:17Z';
  return [
    ...landings,
    {
      source: 'products',
      payloads: Array.from({ length: PRODUCTS }, (_, i) =>
        json({
          product_id: `p${i}`,
          product_name: `Product ${i}`,
          category: `c${i % 10}`,
          price: price(i),
          date: '2019-01-01',
          updated_at,
        }),
      ),
    },
    {
      source: 'users',
      payloads: Array.from({ length: buyers(events) }, (_, i) =>
        json({ user_id: `u${i}`, user_name: `Person ${i}`, date: '2019-01-01', updated_at }),
      ),
    },
  ];
}

const json = (value: object): Buffer => Buffer.from(JSON.stringify(value));
const buyers = (events: number): number => Math.ceil(events / 10);
const price = (i: number): string => (((i * 37) % 10_000) / 100 + 1).toFixed(2);
const at = (back: number, seconds: number): string =>
  new Date(newestDay - back * DAY_MS + seconds * 1_000).toISOString();

/** Ten things per buyer, in one session: eight views, a wish, an order. */
function eventsOf(back: number, events: number): readonly object[] {
  return Array.from({ length: events }, (_, i) => {
    const buyer = i % buyers(events);
    const step = Math.floor(i / buyers(events));
    const product = (buyer * 7 + step) % PRODUCTS;
    const order = step === 9 ? { order_id: `o${back}-${buyer}`, price: price(product) } : {};
    return {
      event_id: `e${back}-${i}`,
      event_name: step === 9 ? 'order' : step === 8 ? 'wishlist' : 'view',
      product_id: `p${product}`,
      user_id: `u${buyer}`,
      date: at(back, 36_000 + buyer + step * 60),
      session_id: `s${back}-${buyer}`,
      ...order,
    };
  });
}

function ordersOf(back: number, events: number): readonly object[] {
  return Array.from({ length: buyers(events) }, (_, buyer) => {
    const product = (buyer * 7 + 9) % PRODUCTS;
    return {
      order_id: `o${back}-${buyer}`,
      product_id: `p${product}`,
      user_id: `u${buyer}`,
      date: at(back, 36_000 + buyer + 540),
      updated_at: at(back, 36_000 + buyer + 600),
      quantity: 1 + (buyer % 3),
      price: price(product),
      status: 'paid',
    };
  });
}

function pagesOf(orders: readonly object[]): readonly Buffer[] {
  const pages: Buffer[] = [];
  for (let from = 0; from < orders.length; from += PAGE) {
    pages.push(json({ orders: orders.slice(from, from + PAGE), next_cursor: null }));
  }
  return pages;
}
