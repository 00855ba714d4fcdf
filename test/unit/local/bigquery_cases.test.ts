/** Every folder of test/cases/bigquery: a query as an analyst types it, and the answer worked out by hand. */
import { readdir, readFile } from 'node:fs/promises';
import type { BigQuery } from '@google-cloud/bigquery';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type FilledBigquery, plain, startFilled } from './filled_bigquery.ts';

const CASES = new URL('../../cases/bigquery/', import.meta.url);
const folders = (await readdir(CASES, { withFileTypes: true }))
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);

interface TableCase {
  readonly schema: readonly string[];
  readonly partition?: string;
  readonly requirePartitionFilter?: boolean;
  readonly rows: readonly unknown[];
}

interface Expectation {
  readonly rows?: readonly unknown[];
  readonly columns?: readonly string[];
  readonly params?: Record<string, unknown> | unknown[];
  readonly error?: string;
  readonly integers?: 'text';
}

let filled: FilledBigquery;
let bigquery: BigQuery;

beforeAll(async () => {
  const text = await readFile(new URL('tables.json', CASES), 'utf8');
  const tables = Object.entries(JSON.parse(text) as Record<string, TableCase>);
  filled = await startFilled(
    Object.fromEntries(
      tables.map(([name, { schema, ...table }]) => {
        const fields = schema.map((column) => {
          const [name = '', type = '', mode = 'NULLABLE'] = column.split(' ');
          return { name, type, mode };
        });
        return [name, { ...table, fields }];
      }),
    ),
  );
  bigquery = filled.bigquery;
});

afterAll(() => filled?.close());

describe('golden queries', () => {
  test.each(folders)('%s', async (name) => {
    const sql = await readFile(new URL(`${name}/query.sql`, CASES), 'utf8');
    const expected = JSON.parse(
      await readFile(new URL(`${name}/expect.json`, CASES), 'utf8'),
    ) as Expectation;
    const asked = bigquery.query(
      {
        query: sql,
        location: 'EU',
        ...(expected.params !== undefined && { params: expected.params }),
        ...(expected.integers === 'text' && { wrapIntegers: false }),
      },
      expected.integers === 'text'
        ? {
            wrapIntegers: {
              integerTypeCastFunction: (text: string) => (text.length > 15 ? text : Number(text)),
            },
          }
        : {},
    );
    if (expected.error !== undefined) {
      await expect(asked).rejects.toThrow(expected.error);
      return;
    }
    const answer = (await asked) as unknown as [
      Record<string, unknown>[],
      unknown,
      { schema?: { fields: { name: string; type: string }[] } },
    ];
    expect(answer[0].map((row) => Object.values(row).map(plain))).toEqual(expected.rows);
    if (expected.columns !== undefined) {
      const [job] = await bigquery.createQueryJob({ query: sql, location: 'EU' });
      const [, , response] = await job.getQueryResults();
      expect(response?.schema?.fields?.map((field) => `${field.name} ${field.type}`)).toEqual(
        expected.columns,
      );
    }
  });
});
