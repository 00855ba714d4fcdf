/** What the simulated shop is made of, and what is planted in it. Times are ms, UTC. */
import { DAY, dayOf, historyUntil } from '../history.ts';
import type { ProductRow, UserRow } from '../postgres/shop.ts';
import { between, draws, hash, pick } from '../random.ts';

/** Days of history before `until`. */
export const DAYS = 28;
/** What a visit brings on average; measured over the seeds of the tests. */
const EVENTS_PER_VISIT = 3.3;

/** About how many events a world has. */
export const scales = { small: 600, default: 60_000, large: 1_000_000 } as const;
export type Scale = keyof typeof scales | number;

/** A thing worth finding again in the tables. Days are `YYYY-MM-DD`, both ends included. */
export interface Planted {
  /** For two days one product, otherwise hardly seen, is looked at and bought more than any other. */
  readonly viral: { readonly productId: string; readonly from: string; readonly to: string };
  /** Most orders of this product, which sells well, come back. */
  readonly returnWave: { readonly productId: string; readonly from: string; readonly to: string };
  /** For three days nobody on a phone gets through the checkout. */
  readonly checkoutBug: {
    /** Ids of sessions on phones begin so. */
    readonly sessions: typeof MOBILE;
    readonly from: string;
    readonly to: string;
  };
}

export const MOBILE = 'm-';
export const DESK = 'w-';

export interface Plan {
  readonly seed: number;
  /** Begin of the first day. */
  readonly start: number;
  readonly until: number;
  readonly users: readonly UserRow[];
  readonly products: readonly ProductRow[];
  /** Visits that begin on each day, `until` left aside. */
  readonly visits: number;
  readonly planted: Planted;
}

const categories = [
  ['Kitchen', 'Kettle', 'Pan', 'Mug', 'Knife'],
  ['Garden', 'Spade', 'Hose', 'Planter', 'Parasol'],
  ['Light', 'Lamp', 'Lantern', 'Bulb', 'Chandelier'],
  ['Office', 'Desk', 'Chair', 'Shelf', 'Notebook'],
  ['Sport', 'Racket', 'Mat', 'Helmet', 'Bottle'],
  ['Toys', 'Puzzle', 'Kite', 'Train', 'Blocks'],
] as const;
const finishes = ['red', 'blue', 'oak', 'steel', 'small', 'large', 'classic', 'folding'] as const;
const firstNames = [
  'Ada',
  'Ben',
  'Cleo',
  'Dana',
  'Emil',
  'Fay',
  'Gus',
  'Hana',
  'Ivo',
  'Jo',
] as const;
const lastNames = ['Adler', 'Brook', 'Castel', 'Dorn', 'Ekman', 'Frost', 'Grau', 'Holm'] as const;
const countries = ['DE', 'FR', 'US', 'IN', 'BR', 'SE'] as const;

const of = <T>(values: readonly T[], n: number): T => values[n % values.length] as T;

function plannedProduct(seed: number, n: number): ProductRow {
  const draw = draws(hash(seed, n, 41));
  const [category, ...things] = of(categories, between(draw, 0, categories.length - 1));
  const thing = of(things, between(draw, 0, things.length - 1));
  // Some things are given away.
  const cents = n % 97 === 13 ? 0 : between(draw, 150, 24_000);
  return {
    product_id: `p-${n + 1}`,
    product_name: `${thing}, ${of(finishes, between(draw, 0, finishes.length - 1))} no. ${n + 1}`,
    category: n % 211 === 40 ? null : category,
    price: (cents / 100).toFixed(2),
    date: '2024-03-01',
  };
}

function plannedUser(seed: number, n: number): UserRow {
  const draw = draws(hash(seed, n, 43));
  const first = of(firstNames, between(draw, 0, firstNames.length - 1));
  const last = of(lastNames, between(draw, 0, lastNames.length - 1));
  return {
    user_id: `u-${n + 1}`,
    user_name: `${first} ${last}`,
    date: dayOf(Date.UTC(2024, 0, 1) + between(draw, 0, 600) * DAY),
    email: n % 9 === 4 ? null : `${first}.${last}.${n + 1}@example.com`.toLowerCase(),
    country: pick(draw, [
      ...countries.map((value, at) => ({ weight: 10 - at, value })),
      { weight: 3, value: null },
    ]),
  };
}

/** The world's outline, from three values alone. */
export function planShop(options: {
  readonly seed: number;
  readonly scale: Scale;
  readonly until: number;
}): Plan {
  const { seed, scale, until } = options;
  const events = typeof scale === 'number' ? scale : scales[scale];
  const { start, day, share } = historyUntil(until, DAYS);
  const days = DAYS - 1 + share(DAYS - 1);
  const products = Array.from({ length: Math.max(40, Math.ceil(events / 29)) }, (_, n) =>
    plannedProduct(seed, n),
  );
  const users = Array.from({ length: Math.max(30, Math.ceil(events / 55)) }, (_, n) =>
    plannedUser(seed, n),
  );
  return {
    seed,
    start,
    until,
    users,
    products,
    visits: Math.ceil(events / EVENTS_PER_VISIT / days),
    planted: {
      // Nobody looks that far down the list otherwise.
      viral: { productId: (products.at(-2) as ProductRow).product_id, from: day(9), to: day(10) },
      returnWave: { productId: 'p-3', from: day(14), to: day(18) },
      checkoutBug: { sessions: MOBILE, from: day(20), to: day(22) },
    },
  };
}
