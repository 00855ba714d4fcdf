/** Every folder of test/cases/bigquery: a query as an analyst types it, and the answer worked out by hand. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BigQuery } from '@google-cloud/bigquery';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bigqueryClient } from '../../../functions/clients/warehouse.ts';
import { type RunningBigquery, startBigquery } from '../../../local/bigquery/server.ts';

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

let server: RunningBigquery;
let bigquery: BigQuery;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bigquery-cases-'));
  server = await startBigquery({
    projectId: 'local-project',
    resolve: (uri) => [join(folder, uri.slice('gs://cases/'.length))],
  });
  bigquery = await bigqueryClient({
    projectId: 'local-project',
    location: 'EU',
    apiEndpoint: server.url,
  });
  const tables = JSON.parse(await readFile(new URL('tables.json', CASES), 'utf8')) as Record<
    string,
    TableCase
  >;
  for (const dataset of new Set(Object.keys(tables).map((name) => name.split('.')[0] as string)))
    await bigquery.createDataset(dataset);
  for (const [name, { schema, partition, requirePartitionFilter, rows }] of Object.entries(
    tables,
  )) {
    const [datasetId = '', tableId = ''] = name.split('.');
    const fields = schema.map((text) => {
      const [column, type, mode = 'NULLABLE'] = text.split(' ');
      return { name: column as string, type: type as string, mode };
    });
    await bigquery.dataset(datasetId).createTable(tableId, {
      schema: { fields },
      ...(partition !== undefined && { timePartitioning: { type: 'DAY', field: partition } }),
      ...(requirePartitionFilter && { requirePartitionFilter }),
    });
    await writeFile(
      join(folder, `${name}.json`),
      rows.map((row) => JSON.stringify(row)).join('\n'),
    );
    const [job] = await bigquery.createJob({
      configuration: {
        load: {
          destinationTable: { projectId: 'local-project', datasetId, tableId },
          sourceUris: [`gs://cases/${name}.json`],
          sourceFormat: 'NEWLINE_DELIMITED_JSON',
          writeDisposition: 'WRITE_APPEND',
        },
      },
    });
    await new Promise((resolve, reject) => job.on('complete', resolve).on('error', reject));
  }
});

afterAll(async () => {
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});

/** What the client made of a value, as JSON: dates, times and NUMERICs as their text. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== 'object') return value;
  if (value.constructor.name === 'Big') return (value as { toFixed(): string }).toFixed();
  if (value.constructor.name.startsWith('BigQuery')) return (value as { value: unknown }).value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
}

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
