/** What the commerce tables must say about a simulated shop. Money in cents. */
import { dayOf } from '../history.ts';
import type { Plan } from './plan.ts';
import type { Deed, Visit } from './visit.ts';

/** As in the tables `daily_traffic`, `spend_per_session`, `unique_visitors`, `orders_by_date`. */
interface DayFacts {
  readonly date: string;
  /** By event_name. */
  readonly events: Readonly<Record<string, number>>;
  readonly visitors: number;
  readonly new_visitors: number;
  /** Of the day they began. */
  readonly sessions: number;
  readonly buying_sessions: number;
  readonly spent_cents: number;
  /** By what the orders API knows. */
  readonly orders: number;
  readonly order_lines: number;
  readonly buyers: number;
  readonly ordered_cents: number;
  readonly returns: number;
}

/** One product and name of event on one day, as in `top_products`. */
interface ProductDay {
  readonly date: string;
  readonly event_name: string;
  readonly product_id: string;
  readonly events: number;
  readonly users: number;
  /** Negative for returns. */
  readonly cents: number;
}

export interface ShopFacts {
  /** Rows of `user_behavior`. */
  readonly rows: number;
  readonly days: readonly DayFacts[];
  /** By date, name of event and product. */
  readonly product_days: readonly ProductDay[];
  /** The planted product on its first day. */
  readonly viral: { readonly product_id: string; readonly date: string; readonly views: number };
  /** Returns of the planted product, and of all others. */
  readonly return_wave: {
    readonly product_id: string;
    readonly order_lines: number;
    readonly returns: number;
    readonly other_order_lines: number;
    readonly other_returns: number;
  };
  /** Sessions on phones and those with an order, on the days of the bug and on all others. */
  readonly checkout_bug: {
    readonly sessions: number;
    readonly buying_sessions: number;
    readonly other_sessions: number;
    readonly other_buying_sessions: number;
  };
}

interface Session {
  began: number;
  hasOrder: boolean;
  cents: number;
}

/** Counts what was done up to the plan's `until`. */
export function shopFacts(plan: Plan, visits: Iterable<Visit>): ShopFacts {
  const days = new Map<string, ReturnType<typeof emptyDay>>();
  const dayAt = (date: string): ReturnType<typeof emptyDay> => {
    const found = days.get(date) ?? emptyDay();
    days.set(date, found);
    return found;
  };
  const products = new Map<string, { events: number; users: Set<string>; cents: number }>();
  const sessions = new Map<string, Session>();
  const firstSeen = new Map<string, string>();
  const { viral, returnWave, checkoutBug } = plan.planted;
  let rows = 0;

  const count = (deed: Deed): void => {
    const date = dayOf(deed.at);
    const day = dayAt(date);
    rows += 1;
    day.events[deed.name] = (day.events[deed.name] ?? 0) + 1;
    if (deed.userId !== null) {
      day.visitors.add(deed.userId);
      const first = firstSeen.get(deed.userId);
      if (first === undefined || date < first) firstSeen.set(deed.userId, date);
    }
    const key = `${date}\t${deed.name}\t${deed.productId}`;
    const product = products.get(key) ?? { events: 0, users: new Set(), cents: 0 };
    products.set(key, product);
    product.events += 1;
    if (deed.userId !== null) product.users.add(deed.userId);
    product.cents += deed.name === 'return' ? -deed.cents : deed.cents;
    if (deed.session === null) return;
    const session = sessions.get(deed.session) ?? { began: deed.at, hasOrder: false, cents: 0 };
    sessions.set(deed.session, session);
    session.began = Math.min(session.began, deed.at);
    if (deed.name === 'order') {
      session.hasOrder = true;
      session.cents += deed.cents;
    }
  };

  for (const { deeds, lines } of visits) {
    for (const deed of deeds) if (deed.at <= plan.until) count(deed);
    for (const line of lines) {
      const day = dayAt(dayOf(line.at));
      day.orders.add(line.orderId);
      day.buyers.add(line.userId);
      day.orderLines += 1;
      day.orderedCents += line.cents;
      if (line.isReturned) day.returns += 1;
    }
  }
  for (const { began, hasOrder, cents } of sessions.values()) {
    const day = dayAt(dayOf(began));
    day.sessions += 1;
    if (hasOrder) day.buyingSessions += 1;
    day.spentCents += cents;
  }
  for (const date of firstSeen.values()) dayAt(date).newVisitors += 1;

  const product_days = [...products].map(([key, { events, users, cents }]) => {
    const [date = '', event_name = '', product_id = ''] = key.split('\t');
    return { date, event_name, product_id, events, users: users.size, cents };
  });
  product_days.sort((a, b) => (order(a) < order(b) ? -1 : 1));
  const sumOf = (name: string, isWave: boolean): number =>
    product_days
      .filter((one) => one.event_name === name)
      .filter((one) => (one.product_id === returnWave.productId) === isWave)
      .reduce((sum, one) => sum + one.events, 0);
  const phones = [...sessions].filter(([id]) => id.startsWith(checkoutBug.sessions));
  const during = phones.filter(([, { began }]) => {
    const date = dayOf(began);
    return checkoutBug.from <= date && date <= checkoutBug.to;
  });
  const buying = (of: typeof phones): number => of.filter(([, one]) => one.hasOrder).length;
  return {
    rows,
    days: [...days]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([date, day]) => ({
        date,
        events: day.events,
        visitors: day.visitors.size,
        new_visitors: day.newVisitors,
        sessions: day.sessions,
        buying_sessions: day.buyingSessions,
        spent_cents: day.spentCents,
        orders: day.orders.size,
        order_lines: day.orderLines,
        buyers: day.buyers.size,
        ordered_cents: day.orderedCents,
        returns: day.returns,
      })),
    product_days,
    viral: {
      product_id: viral.productId,
      date: viral.from,
      views: products.get(`${viral.from}\tview\t${viral.productId}`)?.events ?? 0,
    },
    return_wave: {
      product_id: returnWave.productId,
      order_lines: sumOf('order', true),
      returns: sumOf('return', true),
      other_order_lines: sumOf('order', false),
      other_returns: sumOf('return', false),
    },
    checkout_bug: {
      sessions: during.length,
      buying_sessions: buying(during),
      other_sessions: phones.length - during.length,
      other_buying_sessions: buying(phones) - buying(during),
    },
  };
}

const order = (one: ProductDay): string => `${one.date}\t${one.event_name}\t${one.product_id}`;

const emptyDay = () => ({
  events: {} as Record<string, number>,
  visitors: new Set<string>(),
  newVisitors: 0,
  sessions: 0,
  buyingSessions: 0,
  spentCents: 0,
  orders: new Set<string>(),
  buyers: new Set<string>(),
  orderLines: 0,
  orderedCents: 0,
  returns: 0,
});
