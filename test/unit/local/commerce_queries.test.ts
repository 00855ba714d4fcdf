/** The commerce queries over a few hand-made rows, worked out by hand, on the local BigQuery. */
import { readFile } from 'node:fs/promises';
import type { BigQuery } from '@google-cloud/bigquery';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { user_behavior } from '../../../schemas/commerce/tables/user_behavior.ts';
import { user_profile } from '../../../schemas/commerce/tables/user_profile.ts';
import type { TableContract } from '../../../schemas/contract.ts';
import { bigqueryColumns } from '../../../schemas/derive/bigquery.ts';
import { type FilledBigquery, plain, startFilled } from './filled_bigquery.ts';

let filled: FilledBigquery;
let bigquery: BigQuery;

type Row = readonly [
  day: string,
  user: string | null,
  name: string,
  product: string | null,
  amount?: string,
];

const MARCH: readonly Row[] = [
  // ada comes on three days, ben on two, cy only once and long known.
  ['2024-03-01', 'ada', 'view', 'kettle'],
  ['2024-03-01', 'ada', 'view', 'kettle'],
  ['2024-03-01', 'cy', 'view', 'lamp'],
  ['2024-03-02', 'ada', 'order', 'kettle', '19.99'],
  ['2024-03-02', 'ben', 'view', 'lamp'],
  ['2024-03-02', null, 'view', 'mug'],
  ['2024-03-03', 'ada', 'order', 'kettle', '0.01'],
  ['2024-03-03', 'ben', 'order', 'lamp', '50.00'],
  ['2024-03-03', 'ben', 'order', 'mug', '4.50'],
  ['2024-03-03', 'ben', 'return', 'lamp', '-50.00'],
  ['2024-03-03', 'ben', 'search', null],
  ['2024-03-09', 'dan', 'view', 'kettle'],
];

const FIRST_SEEN = { ada: '2024-03-01', ben: '2024-03-02', cy: '2024-01-15', dan: '2024-03-09' };

const tables: Readonly<Record<string, { readonly of: TableContract; readonly rows: object[] }>> = {
  user_behavior: {
    of: user_behavior,
    rows: MARCH.map(([date, user_id, event_name, product_id, amount], i) => ({
      date,
      event_id: `e${i}`,
      event_name,
      product_id,
      product_name: product_id?.toUpperCase() ?? null,
      user_id,
      event_at: `${date}T12:00:00Z`,
      category: product_id === null ? null : 'Home',
      amount: amount ?? null,
    })),
  },
  user_profile: {
    of: user_profile,
    rows: Object.entries(FIRST_SEEN).map(([user_id, first_seen_date]) => ({
      user_id,
      first_seen_date,
    })),
  },
};

beforeAll(async () => {
  filled = await startFilled(
    Object.fromEntries(
      Object.entries(tables).map(([name, { of, rows }]) => [
        `commerce.${name}`,
        { fields: bigqueryColumns(of), partition: of.partition, rows },
      ]),
    ),
  );
  bigquery = filled.bigquery;
});

afterAll(() => filled?.close());

async function asked(query: string, from: string, to: string): Promise<readonly unknown[][]> {
  const file = new URL(`../../../functions/queries/commerce/${query}.sql`, import.meta.url);
  const [rows] = await bigquery.query({
    query: await readFile(file, 'utf8'),
    location: 'EU',
    params: {
      from: (bigquery.constructor as typeof BigQuery).date(from),
      to: (bigquery.constructor as typeof BigQuery).date(to),
    },
  });
  return (rows as Record<string, unknown>[]).map((row) => Object.values(row).map(plain));
}

test('unique visitors of a range count everyone once, and of each day', async () => {
  expect(await asked('unique_visitors', '2024-03-01', '2024-03-03')).toEqual([
    [null, 3, 2, 1],
    ['2024-03-01', 2, 1, 1],
    ['2024-03-02', 2, 1, 1],
    ['2024-03-03', 2, 0, 2],
  ]);
});

test('who came before the range is no new visitor of it', async () => {
  expect(await asked('unique_visitors', '2024-03-02', '2024-03-09')).toEqual([
    [null, 3, 2, 1],
    ['2024-03-02', 2, 1, 1],
    ['2024-03-03', 2, 0, 2],
    ['2024-03-09', 1, 1, 0],
  ]);
});

test('top products of a range by name of event, users counted once', async () => {
  expect(await asked('top_products', '2024-03-01', '2024-03-03')).toEqual([
    ['order', 1, 'kettle', 'KETTLE', 'Home', 2, 1, '20'],
    ['order', 2, 'lamp', 'LAMP', 'Home', 1, 1, '50'],
    ['order', 3, 'mug', 'MUG', 'Home', 1, 1, '4.5'],
    ['return', 1, 'lamp', 'LAMP', 'Home', 1, 1, '-50'],
    // Of two views each, two people's come before one's.
    ['view', 1, 'lamp', 'LAMP', 'Home', 2, 2, '0'],
    ['view', 2, 'kettle', 'KETTLE', 'Home', 2, 1, '0'],
    ['view', 3, 'mug', 'MUG', 'Home', 1, 0, '0'],
  ]);
});

test('a single day is a range too', async () => {
  expect(await asked('top_products', '2024-03-09', '2024-03-09')).toEqual([
    ['view', 1, 'kettle', 'KETTLE', 'Home', 1, 1, '0'],
  ]);
});
