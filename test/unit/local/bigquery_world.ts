/** A local BigQuery as its official client sees it, and files for it to load. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import type { BigQuery } from '@google-cloud/bigquery';
import { afterAll, beforeAll, beforeEach, expect } from 'vitest';
import { bigqueryClient, bigqueryWarehouse } from '../../../functions/clients/warehouse.ts';
import type { BigQueryField, JobState, Warehouse } from '../../../functions/world.ts';
import { type RunningBigquery, startBigquery } from '../../../local/bigquery/server.ts';

export const PROJECT = 'local-project';

export const field = (
  name: string,
  type: string,
  mode: 'NULLABLE' | 'REPEATED' = 'NULLABLE',
): BigQueryField => ({ name, type, mode });
export const SCHEMA = [field('day', 'DATE'), field('id', 'STRING'), field('n', 'INT64')];

/** What a job that was refused says. */
export const refused = (message: RegExp, reason = 'invalid') => ({
  state: 'failed',
  reason,
  message: expect.stringMatching(message),
});

/** Waits for the end of a job. */
export async function ended(jobId: string, of: Warehouse): Promise<JobState> {
  for (;;) {
    const state = await of.job(jobId);
    if (state.state !== 'running') return state;
    await new Promise((next) => setTimeout(next, 10));
  }
}

/** Files below a folder, named as objects of `gs://bucket`. */
export function filesIn(folder: () => string) {
  /** The files behind a URI, for the server. */
  const resolve = (uri: string): readonly string[] =>
    uri.includes('absent') ? [] : [join(folder(), uri.slice('gs://bucket/'.length))];

  /** Writes a Parquet file from DuckDB's own SQL; answers its URI. */
  async function parquet(select: string): Promise<string> {
    const name = `f${Math.random().toString(36).slice(2)}.parquet`;
    const instance = await DuckDBInstance.create(':memory:');
    const connection = await instance.connect();
    await connection.run(`COPY (${select}) TO '${join(folder(), name)}' (FORMAT parquet)`);
    connection.closeSync();
    instance.closeSync();
    return `gs://bucket/${name}`;
  }

  async function ndjson(...rows: readonly unknown[]): Promise<string> {
    const name = `f${Math.random().toString(36).slice(2)}.json`;
    await writeFile(
      join(folder(), name),
      rows.map((row) => (typeof row === 'string' ? row : JSON.stringify(row))).join('\n'),
    );
    return `gs://bucket/${name}`;
  }

  return { resolve, parquet, ndjson };
}

/** One server for the tests of a file, with a dataset of its own per test. */
export function bigqueryWorld() {
  let folder = '';
  let server: RunningBigquery;
  let bigquery: BigQuery;
  let warehouse: Warehouse;
  let dataset = '';
  let datasets = 0;
  let jobs = 0;
  const { resolve, parquet, ndjson } = filesIn(() => folder);

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bigquery-'));
    server = await startBigquery({
      projectId: PROJECT,
      file: join(folder, 'warehouse.db'),
      resolve,
    });
    const options = { projectId: PROJECT, location: 'EU', apiEndpoint: server.url };
    bigquery = await bigqueryClient(options);
    warehouse = bigqueryWarehouse(options);
  });

  afterAll(async () => {
    await server?.close();
    await rm(folder, { recursive: true, force: true });
  });

  beforeEach(async () => {
    datasets += 1;
    dataset = `d${datasets}`;
    await bigquery.createDataset(dataset);
    await bigquery
      .dataset(dataset)
      .createTable('fence', { schema: [field('domain', 'STRING'), field('sequence', 'INT64')] });
  });

  /** Loads with the raw configuration of the API. */
  async function load(configuration: Record<string, unknown>, table = 't'): Promise<JobState> {
    jobs += 1;
    const jobId = `raw_${jobs}`;
    await bigquery.createJob({
      jobId,
      location: 'EU',
      configuration: {
        load: {
          sourceFormat: 'PARQUET',
          destinationTable: { projectId: PROJECT, datasetId: dataset, tableId: table },
          ...configuration,
        },
      },
    });
    return ended(jobId, warehouse);
  }

  async function staged(
    uris: readonly string[],
    schema: readonly BigQueryField[] = SCHEMA,
    format: 'PARQUET' | 'NEWLINE_DELIMITED_JSON' = 'PARQUET',
    table = 't',
  ): Promise<JobState> {
    jobs += 1;
    const jobId = `load_${jobs}`;
    expect(await warehouse.load({ jobId, dataset, table, uris, format, schema })).toBe('started');
    return ended(jobId, warehouse);
  }

  return {
    parquet,
    ndjson,
    load,
    staged,
    ended: (jobId: string) => ended(jobId, warehouse),
    rows: (table = 't', order = '1'): Promise<readonly unknown[]> =>
      warehouse.rows(`SELECT * FROM ${dataset}.${table} ORDER BY ${order}`),
    /** Writes a file of the folder. */
    write: (name: string, text: string) => writeFile(join(folder, name), text),
    get bigquery() {
      return bigquery;
    },
    get warehouse() {
      return warehouse;
    },
    get dataset() {
      return dataset;
    },
  };
}
