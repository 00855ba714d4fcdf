/** When the numbers of transactions tell which rows are younger, and when they do not. */
import { expect, test } from 'vitest';
import { writtenSince } from '../../../functions/readers/postgres_horizon.ts';
import type { PostgresSession } from '../../../functions/world.ts';

const at = (xmax: bigint) =>
  ({ query: async () => [{ xmax: String(xmax) }] }) as unknown as PostgresSession;
const horizon = (xmin: bigint) => ({ at: 0, since: null, xmin: String(xmin) });

test('rows are younger by the age of their transaction', async () => {
  expect(await writtenSince(at(1_200n), horizon(1_000n), 't')).toBe(
    "pg_catalog.age(t.xmin) <= pg_catalog.age('1000'::xid)",
  );
  // Of the 64 bits that are kept, rows carry the lower 32.
  const wrapped = 3n * 2n ** 32n + 17n;
  expect(await writtenSince(at(wrapped + 5n), horizon(wrapped), 't')).toBe(
    "pg_catalog.age(t.xmin) <= pg_catalog.age('17'::xid)",
  );
});

test('once the numbers have come around, any row may be younger', async () => {
  const half = 2n ** 31n;
  expect(await writtenSince(at(1_000n + half - 1n), horizon(1_000n), 't')).not.toBe('true');
  expect(await writtenSince(at(1_000n + half), horizon(1_000n), 't')).toBe('true');
});
