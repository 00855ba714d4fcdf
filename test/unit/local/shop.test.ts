/** The simulated shop: large enough, the same each time, and what is planted in it stands out. */
import { expect, test } from 'vitest';
import { keyOf } from '../../../local/outside/orders/book.ts';
import { shopWorld } from '../../../local/outside/shop/world.ts';

const until = Date.parse('2026-11-20T18:00:00Z');
const shop = shopWorld({ seed: 3, scale: 'default', until });
const events = [...shop.events()];
const orders = [...shop.orders()];
const facts = shop.facts();

test('a shop of the default scale is as large as a demo needs', () => {
  expect(events.length).toBeGreaterThanOrEqual(50_000);
  expect(new Set(orders.map((row) => row.order_id)).size).toBeGreaterThanOrEqual(5_000);
  expect(shop.products.length).toBeGreaterThanOrEqual(2_000);
  expect(shop.users.length).toBeGreaterThanOrEqual(1_000);
});

test('the same three values give the same shop, another seed another', () => {
  const small = (seed: number) => {
    const { users, products, published, orders, facts } = shopWorld({
      seed,
      scale: 'small',
      until,
    });
    return JSON.stringify([users, products, [...published()], [...orders()], facts()]);
  };
  expect(small(4)).toBe(small(4));
  expect(small(4)).not.toBe(small(5));
});

test('everything is published at least once, some of it twice, late or out of order', () => {
  const published = [...shop.published()];
  const ids = published.map((event) => event.event_id);
  expect(new Set(ids)).toEqual(new Set(events.map((event) => event.event_id)));
  expect(ids.length).toBeGreaterThan(events.length * 1.01);
  let newest = '';
  let daysLate = 0;
  for (const { date } of published) {
    if (Date.parse(date) < Date.parse(newest) - 86_400_000) daysLate += 1;
    if (date > newest) newest = date;
  }
  expect(daysLate).toBeGreaterThan(events.length / 1_000);
});

test('nothing happens after the given time, and days hold what they are said to', () => {
  expect(events.every(({ date }) => Date.parse(date) <= until)).toBe(true);
  expect(orders.every(({ updated_at }) => Date.parse(updated_at) <= until)).toBe(true);
  const views = new Map<string, number>();
  for (const { date, event_name } of events) {
    if (event_name !== 'view') continue;
    const day = date.slice(0, 10);
    views.set(day, (views.get(day) ?? 0) + 1);
  }
  expect(Object.fromEntries(views)).toEqual(
    Object.fromEntries(
      facts.days.flatMap((day) => (day.events.view ? [[day.date, day.events.view]] : [])),
    ),
  );
});

test('orders are known to both sides, to one, at odd prices, and for users nobody knows', () => {
  const streamed = new Set(
    events.filter((one) => one.event_name === 'order').map((one) => one.order_id),
  );
  const booked = new Set(orders.map((row) => row.order_id));
  expect([...streamed].filter((id) => id !== null && booked.has(id)).length).toBeGreaterThan(4_000);
  expect([...streamed].filter((id) => id !== null && !booked.has(id)).length).toBeGreaterThan(100);
  expect([...booked].filter((id) => !streamed.has(id)).length).toBeGreaterThan(100);
  expect(orders.some(({ price }) => Number(price) < 0)).toBe(true);
  expect(orders.some(({ price }) => Number(price) === 0)).toBe(true);
  const users = new Set(shop.users.map((user) => user.user_id));
  expect(orders.some(({ user_id }) => !users.has(user_id as string))).toBe(true);
  expect(events.some(({ user_id }) => user_id === null)).toBe(true);
  const versions = new Map<string, number>();
  for (const row of orders) versions.set(keyOf(row), (versions.get(keyOf(row)) ?? 0) + 1);
  expect(Math.max(...versions.values())).toBe(4);
});

test('what is planted stands out', () => {
  const { viral, return_wave, checkout_bug } = facts;
  const views = facts.product_days.filter(
    (one) => one.date === viral.date && one.event_name === 'view',
  );
  const [best, next] = views.map((one) => one.events).sort((a, b) => b - a);
  expect(best).toBe(viral.views);
  expect(viral.views).toBeGreaterThan(5 * (next as number));
  expect(return_wave.returns / return_wave.order_lines).toBeGreaterThan(0.4);
  expect(return_wave.other_returns / return_wave.other_order_lines).toBeLessThan(0.05);
  expect(checkout_bug.sessions).toBeGreaterThan(300);
  expect(checkout_bug.buying_sessions).toBe(0);
  expect(checkout_bug.other_buying_sessions / checkout_bug.other_sessions).toBeGreaterThan(0.3);
});
