/** One visit to the shop: what is published, what the orders API gives, and what truly happened. */

import { DAY, dayOf } from '../history.ts';
import type { OrderRow } from '../orders/book.ts';
import type { ProductRow } from '../postgres/shop.ts';
import { between, type Draw, draws, hash, pick, uuid } from '../random.ts';
import { DESK, MOBILE, type Plan } from './plan.ts';

/** A message of the topic behavior-events. */
export interface BehaviorEvent {
  readonly event_id: string;
  readonly event_name: string;
  readonly product_id: string;
  readonly user_id: string | null;
  readonly order_id: string | null;
  readonly order_line_id?: string;
  readonly price: number | null;
  /** ISO 8601 */
  readonly date: string;
  readonly session_id?: string;
}

/** One thing that was done, once, however many messages and order lines tell of it. */
export interface Deed {
  readonly at: number;
  readonly name: string;
  readonly productId: string;
  readonly userId: string | null;
  readonly orderId: string | null;
  /** What an order line cost, in cents; of a return what it had cost. */
  readonly cents: number;
  /** The session it is part of, unique over the world; null = of nobody known. */
  readonly session: string | null;
}

/** A line as the orders API knows it in the end. */
interface OrderLine {
  readonly at: number;
  readonly orderId: string;
  readonly userId: string;
  readonly productId: string;
  readonly quantity: number;
  readonly cents: number;
  readonly isReturned: boolean;
}

export interface Visit {
  readonly events: readonly { readonly at: number; readonly event: BehaviorEvent }[];
  /** Versions of order lines, in the order of their updates. */
  readonly orders: readonly OrderRow[];
  readonly deeds: readonly Deed[];
  readonly lines: readonly OrderLine[];
}

const MINUTE = 60_000;
/** Visits of a user begin in different windows, so that half an hour lies between any two. */
export const WINDOW = DAY / 8;
/** Returned things are brought back in this window, in which nobody else comes. */
const RETURNS = 5;
export const windows = [0, 1, 2, 3, 4, 6, 7] as const;

const iso = (ms: number): string => new Date(ms).toISOString();

/**
 * The n-th visit of a day.
 * @param user index of the visitor; one behind the users is known to nobody
 * @param window which eighth of the day it begins in
 */
export function visit(plan: Plan, day: number, n: number, user: number, window: number): Visit {
  const draw = draws(hash(plan.seed, day, n, 47));
  const begin = plan.start + day * DAY;
  const date = dayOf(begin);
  const on = (what: { readonly from: string; readonly to: string }): boolean =>
    what.from <= date && date <= what.to;

  const isAnonymous = draw() < 0.05;
  // A third of the visitors let nothing be kept that would tell their sessions.
  const isTracked = isAnonymous || draw() < 0.67;
  const prefix = draw() < 0.55 ? MOBILE : DESK;
  const code = hash(plan.seed, day, n, 53).toString(36);
  const ownId = `${prefix}${day}-${n}-${code}`;
  const userId = isAnonymous
    ? null
    : (plan.users[user]?.user_id ?? `guest-${user - plan.users.length + 1}`);

  // Some sessions that are kept go on past midnight.
  const isLate = isTracked && window === windows.length && draw() < 0.3;
  let at =
    begin + window * WINDOW + (isLate ? between(draw, 168, 179) : between(draw, 0, 79)) * MINUTE;
  const events: { at: number; event: BehaviorEvent }[] = [];
  const orders: OrderRow[] = [];
  const deeds: Deed[] = [];
  const lines: OrderLine[] = [];
  const session = isTracked ? ownId : `${userId} ${day} ${window}`;
  let count = 0;

  const publish = (
    name: string,
    product: ProductRow,
    when: number,
    more: Partial<BehaviorEvent> & { readonly price: number | null },
    sessionId: string | null = isTracked ? ownId : null,
  ): void => {
    count += 1;
    const event: BehaviorEvent = {
      event_id: uuid(hash(plan.seed, day), n, count),
      event_name: name,
      product_id: product.product_id,
      user_id: userId,
      order_id: null,
      date: iso(when),
      ...more,
      ...(sessionId !== null && { session_id: sessionId }),
    };
    events.push({ at: when, event });
  };

  const wanted: ProductRow[] = [];
  const views = between(draw, 1, 4);
  for (let i = 0; i < views; i++) {
    const product = chosen(plan, draw, on);
    const price = draw() < 0.1 ? null : Number(product.price);
    publish('view', product, at, { price });
    deeds.push(deed('view', product, at));
    wanted.push(product);
    at += between(draw, 20, 420) * 1000;
    if (draw() < 0.12) {
      publish('wishlist', product, at, { price: Number(product.price) });
      deeds.push(deed('wishlist', product, at));
      at += between(draw, 5, 90) * 1000;
    }
  }
  // Something that no contract ever named.
  if (draw() < 0.01) {
    const product = wanted[0] as ProductRow;
    publish('compare', product, at, { price: null });
    deeds.push(deed('compare', product, at));
    at += 30_000;
  }

  const isBroken = isTracked && prefix === MOBILE && on(plan.planted.checkoutBug);
  if (userId !== null && !isBroken && draw() < 0.43) order(userId);
  return { events, orders, deeds, lines };

  function deed(name: string, product: ProductRow, when: number, more: Partial<Deed> = {}): Deed {
    return {
      at: when,
      name,
      productId: product.product_id,
      userId,
      orderId: null,
      cents: 0,
      session: userId === null && !isTracked ? null : session,
      ...more,
    };
  }

  function order(buyer: string): void {
    const orderId = `o-${day}-${n}-${code}`;
    const odds = pick(draw, [
      { weight: 86, value: 'both' },
      { weight: 7, value: 'stream' },
      { weight: 7, value: 'api' },
    ] as const);
    // A visit past midnight may come near the next day's first one, which shares no session with it.
    const seenBy = isLate ? 'both' : odds;
    const bought = [...new Set(wanted)].slice(
      -pick(draw, [
        { weight: 75, value: 1 },
        { weight: 20, value: 2 },
        { weight: 5, value: 3 },
      ]),
    );
    // Two pieces of one thing are now and then two lines, which then have numbers.
    const isNumbered = draw() < 0.15;
    if (isNumbered) bought.push(bought[0] as ProductRow);
    // Now and then the books are a little ahead, or a day or more behind.
    const booked =
      at +
      pick(draw, [
        { weight: 90, value: between(draw, 0, 5_000) },
        { weight: 5, value: -2_000 },
        { weight: seenBy === 'both' ? 5 : 0, value: 3 * DAY },
      ]);
    const inStream = seenBy !== 'api';
    const inApi = seenBy !== 'stream' && booked + 1_000 <= plan.until;
    if (!inStream && !inApi) return;
    bought.forEach((product, i) => {
      const lineId = isNumbered ? { order_line_id: String(i + 1) } : {};
      const list = Math.round(Number(product.price) * 100);
      const odd = draw();
      // A voucher worth more than the thing; a gift; a discount that only the books know.
      const cents =
        odd < 0.004 ? -list : odd < 0.01 ? 0 : odd < 0.2 ? Math.floor(list * 0.9) : list;
      const quantity = pick(draw, [
        { weight: 85, value: 1 },
        { weight: 12, value: 2 },
        { weight: 3, value: 5 },
      ]);
      const when = at + i * 1_000;
      const paid = inApi ? cents * quantity : list;
      const happenedAt = inStream ? when : booked;
      if (inStream)
        publish('order', product, when, { order_id: orderId, ...lineId, price: list / 100 });
      deeds.push(
        deed('order', product, happenedAt, {
          orderId,
          cents: paid,
          // What only the books know is part of no session that is kept.
          ...(!inStream && isTracked && { session: `${buyer} ${orderId}` }),
        }),
      );
      const returnedAt = returned(product, i, happenedAt);
      if (inApi) {
        const known: OrderRow = {
          order_id: orderId,
          ...lineId,
          product_id: product.product_id,
          user_id: buyer,
          date: iso(booked),
          updated_at: '',
          quantity,
          price: (cents / 100).toFixed(2),
        };
        const states: readonly (readonly [string, number])[] = [
          ['placed', booked + 1_000],
          ['paid', booked + 10 * MINUTE],
          ['shipped', booked + DAY],
          ...(returnedAt === null ? [] : [['returned', returnedAt + 60 * MINUTE] as const]),
        ];
        const past = states.filter(([, time]) => time <= plan.until);
        for (const [status, time] of past) orders.push({ ...known, updated_at: iso(time), status });
        lines.push({
          at: booked,
          orderId,
          userId: buyer,
          productId: product.product_id,
          quantity,
          cents: paid,
          isReturned: past.at(-1)?.[0] === 'returned',
        });
      }
      if (returnedAt !== null) {
        const back = `${DESK}r-${orderId}-${i}`;
        publish(
          'return',
          product,
          returnedAt,
          { order_id: orderId, ...lineId, price: list / 100 },
          back,
        );
        deeds.push(deed('return', product, returnedAt, { orderId, cents: list, session: back }));
      }
    });
  }

  /** When the line comes back, null = it stays. */
  function returned(product: ProductRow, i: number, orderedAt: number): number | null {
    const wave = plan.planted.returnWave;
    const share = product.product_id === wave.productId && on(wave) ? 0.8 : 0.03;
    if (draw() >= share) return null;
    const days = between(draw, 2, 5);
    return (
      Math.floor(orderedAt / DAY) * DAY +
      days * DAY +
      RETURNS * WINDOW +
      (i * 60 + between(draw, 0, 50)) * MINUTE
    );
  }
}

/** A product as visitors choose it: few are looked at by many. */
function chosen(
  plan: Plan,
  draw: Draw,
  on: (what: { readonly from: string; readonly to: string }) => boolean,
): ProductRow {
  const { viral, returnWave } = plan.planted;
  const odd = draw();
  if (on(viral) && odd < 0.35) return byId(plan, viral.productId);
  if (on(returnWave) && odd < 0.15) return byId(plan, returnWave.productId);
  const tail = plan.products.length - 2;
  return plan.products[Math.floor(tail * draw() ** 2)] as ProductRow;
}

const byId = (plan: Plan, id: string): ProductRow =>
  plan.products[Number(id.slice('p-'.length)) - 1] as ProductRow;
