import { DAY, isWeekend } from '../history.ts';
import type { OrderRow } from '../orders/book.ts';
import type { ProductRow, UserRow } from '../postgres/shop.ts';
import { between, draws, hash } from '../random.ts';
import { type ShopFacts, shopFacts } from './facts.ts';
import { DAYS, type Planted, planShop, type Scale } from './plan.ts';
import { type BehaviorEvent, type Visit, visit, windows } from './visit.ts';

export interface ShopWorld {
  readonly from: number;
  readonly until: number;
  readonly planted: Planted;
  /** The database's tables; some visitors and buyers are in none. */
  readonly users: readonly UserRow[];
  readonly products: readonly ProductRow[];
  /** Every event once, in the order they happened. A few days of them are held in memory. */
  events(): Generator<BehaviorEvent>;
  /** As the shop publishes them: now and then one twice, or up to a week late. */
  published(): Generator<BehaviorEvent>;
  /** Versions of order lines as the orders API comes to show them, day by day. */
  orders(): Generator<OrderRow>;
  /** What the tables must say, counted from what was done and not from what was sent. */
  facts(): ShopFacts;
}

/**
 * A made-up shop over four weeks, a pure function of `seed`, `scale` (about how many events) and
 * `until` (ms): visitors with and without sessions of their own, orders that the stream, the books
 * or both know, at prices and on days that do not always agree, and returns.
 */
export function shopWorld(options: {
  readonly seed: number;
  readonly scale: Scale;
  readonly until: number;
}): ShopWorld {
  const plan = planShop(options);

  function* visits(day: number): Generator<Visit> {
    const draw = draws(hash(plan.seed, day, 59));
    const weekend = isWeekend(plan.start + day * DAY);
    const number = Math.ceil(plan.visits * (weekend ? 1.3 : 0.88));
    // A fiftieth is not registered.
    const people = Math.ceil(plan.users.length * 1.02);
    const taken = new Set<number>();
    for (let n = 0; n < number; n++) {
      let place = 0;
      do {
        place = between(draw, 0, people * windows.length - 1);
      } while (taken.has(place));
      taken.add(place);
      const user = Math.floor(place / windows.length);
      yield visit(plan, day, n, user, windows[place % windows.length] as number);
    }
  }

  function* events(): Generator<BehaviorEvent> {
    let found: { readonly at: number; readonly event: BehaviorEvent }[] = [];
    for (let day = 0; day < DAYS; day++) {
      for (const { events } of visits(day)) found.push(...events);
      found = found.filter(({ at }) => at <= plan.until);
      found.sort((a, b) => a.at - b.at || (a.event.event_id < b.event.event_id ? -1 : 1));
      const end = plan.start + (day + 1) * DAY;
      // Visits go on past midnight, and things come back after days.
      const later = found.findIndex(({ at }) => at >= end);
      const due = later < 0 || day === DAYS - 1 ? found.length : later;
      for (const { event } of found.splice(0, due)) yield event;
    }
  }

  function* published(): Generator<BehaviorEvent> {
    const draw = draws(hash(plan.seed, 61));
    const late: { readonly due: number; readonly event: BehaviorEvent }[] = [];
    for (const event of events()) {
      const at = Date.parse(event.date);
      for (let i = late.length - 1; i >= 0; i--) {
        const one = late[i];
        if (one === undefined || one.due > at) continue;
        yield one.event;
        late.splice(i, 1);
      }
      const odd = draw();
      // 2 % twice, 2 % minutes late, 0.5 % days late.
      if (odd >= 0.025) yield event;
      if (odd < 0.02) late.push({ due: at + between(draw, 1, 90) * 60_000, event });
      else if (odd < 0.025) late.push({ due: at + between(draw, 1, 7) * DAY, event });
      else if (odd < 0.045) late.push({ due: at + between(draw, 0, 600) * 1000, event });
    }
    for (const { event } of late) yield event;
  }

  function* orders(): Generator<OrderRow> {
    for (let day = 0; day < DAYS; day++) {
      const versions = [...visits(day)].flatMap(({ orders }) => orders);
      versions.sort((a, b) => (a.updated_at < b.updated_at ? -1 : 1));
      yield* versions;
    }
  }

  return {
    from: plan.start,
    until: plan.until,
    planted: plan.planted,
    users: plan.users,
    products: plan.products,
    events,
    published,
    orders,
    facts: () =>
      shopFacts(
        plan,
        (function* () {
          for (let day = 0; day < DAYS; day++) yield* visits(day);
        })(),
      ),
  };
}
