/** The local BigQuery as the official client sees it: loads, the load transaction, refusals, restarts. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import type { BigQuery } from '@google-cloud/bigquery';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { bigqueryClient, bigqueryWarehouse } from '../../../functions/clients/warehouse.ts';
import { Permanent } from '../../../functions/errors.ts';
import type { BigQueryField, JobState, Warehouse } from '../../../functions/world.ts';
import { type RunningBigquery, startBigquery } from '../../../local/bigquery/server.ts';

const PROJECT = 'local-project';
let folder: string;
let server: RunningBigquery;
let bigquery: BigQuery;
let warehouse: Warehouse;
let number = 0;
/** A dataset of its own per test. */
let dataset: string;

const field = (
  name: string,
  type: string,
  mode: 'NULLABLE' | 'REPEATED' = 'NULLABLE',
): BigQueryField => ({ name, type, mode });
const SCHEMA = [field('day', 'DATE'), field('id', 'STRING'), field('n', 'INT64')];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bigquery-'));
  server = await startBigquery({ projectId: PROJECT, file: join(folder, 'warehouse.db'), resolve });
  const options = { projectId: PROJECT, location: 'EU', apiEndpoint: server.url };
  bigquery = await bigqueryClient(options);
  warehouse = bigqueryWarehouse(options);
});

afterAll(async () => {
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});

beforeEach(async () => {
  number += 1;
  dataset = `d${number}`;
  await bigquery.createDataset(dataset);
  await bigquery
    .dataset(dataset)
    .createTable('fence', { schema: [field('domain', 'STRING'), field('sequence', 'INT64')] });
});

function resolve(uri: string): readonly string[] {
  return uri.includes('absent') ? [] : [join(folder, uri.slice('gs://bucket/'.length))];
}

/** Writes a Parquet file from DuckDB's own SQL; answers its URI. */
async function parquet(select: string): Promise<string> {
  const name = `f${Math.random().toString(36).slice(2)}.parquet`;
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  await connection.run(`COPY (${select}) TO '${join(folder, name)}' (FORMAT parquet)`);
  connection.closeSync();
  instance.closeSync();
  return `gs://bucket/${name}`;
}

async function ndjson(...rows: readonly unknown[]): Promise<string> {
  const name = `f${Math.random().toString(36).slice(2)}.json`;
  await writeFile(
    join(folder, name),
    rows.map((row) => (typeof row === 'string' ? row : JSON.stringify(row))).join('\n'),
  );
  return `gs://bucket/${name}`;
}

async function ended(jobId: string, of: Warehouse = warehouse): Promise<JobState> {
  for (;;) {
    const state = await of.job(jobId);
    if (state.state !== 'running') return state;
    await new Promise((next) => setTimeout(next, 10));
  }
}

let jobs = 0;
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
  return ended(jobId);
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
  return ended(jobId);
}

const rows = (table = 't', order = '1'): Promise<readonly unknown[]> =>
  warehouse.rows(`SELECT * FROM ${dataset}.${table} ORDER BY ${order}`);
const refused = (message: RegExp, reason = 'invalid') => ({
  state: 'failed',
  reason,
  message: expect.stringMatching(message),
});

describe('load jobs', () => {
  test('Parquet is read by column name, all types arrive', async () => {
    const uri =
      await parquet(`SELECT ['x', NULL, 'y'][1:1] AS tags, TIMESTAMPTZ '2026-01-01 12:00:00.123456+02' AS at, 12.5::DECIMAL(10,2) AS cost, 1::INTEGER AS n,
      'é' AS id, DATE '2026-01-01' AS day, TRUE AS flag, 0.5::DOUBLE AS f`);
    const schema = [
      ...SCHEMA,
      field('cost', 'NUMERIC'),
      field('f', 'FLOAT64'),
      field('flag', 'BOOL'),
      field('at', 'TIMESTAMP'),
      field('tags', 'STRING', 'REPEATED'),
      field('gone', 'STRING'),
    ];
    expect(await staged([uri], schema)).toEqual({ state: 'done', outputRows: 1 });
    const [row] = (await rows()) as Record<string, { value?: string; toFixed?: () => string }>[];
    expect(row).toMatchObject({
      day: { value: '2026-01-01' },
      id: 'é',
      n: 1,
      f: 0.5,
      flag: true,
      tags: ['x'],
      gone: null,
    });
    expect(row?.['cost']?.toFixed?.()).toBe('12.5');
    expect(row?.['at']?.value).toBe('2026-01-01T10:00:00.123456000Z');
  });

  test('several files land together or not at all', async () => {
    const good = await parquet(`SELECT DATE '2026-01-01' AS day, 'a' AS id, 1::BIGINT AS n`);
    const bad = await parquet(`SELECT DATE '2026-01-02' AS day, 'b' AS id, 'text' AS n`);
    expect(await staged([good, good])).toEqual({ state: 'done', outputRows: 2 });
    expect(await staged([good, bad])).toEqual(
      refused(/Parquet column 'n' has type VARCHAR which does not match.*INT64/),
    );
    expect(await staged([good, 'gs://bucket/absent'])).toEqual(
      refused(/Not found: URI gs:\/\/bucket\/absent/, 'notFound'),
    );
    expect(await rows()).toHaveLength(2);
  });

  test('an unknown Parquet column is refused unless it may be ignored', async () => {
    const uri = await parquet(`SELECT 'a' AS id, 5 AS extra`);
    const schema = { fields: [field('id', 'STRING')] };
    expect(await load({ sourceUris: [uri], schema })).toEqual(
      refused(/Cannot add fields \(field: extra\)/),
    );
    expect(await load({ sourceUris: [uri], schema, ignoreUnknownValues: true })).toEqual({
      state: 'done',
      outputRows: 1,
    });
  });

  test('a Parquet list is an array only with list inference', async () => {
    const uri = await parquet(`SELECT ['a'] AS tags`);
    const schema = { fields: [field('tags', 'STRING', 'REPEATED')] };
    expect(await load({ sourceUris: [uri], schema })).toEqual(refused(/enableListInference/));
    expect(
      await load({ sourceUris: [uri], schema, parquetOptions: { enableListInference: true } }),
    ).toMatchObject({ state: 'done' });
  });

  test('JSON values that do not fit, unknown keys and broken lines are refused by name', async () => {
    const of = async (...lines: readonly unknown[]): Promise<JobState> =>
      staged([await ndjson(...lines)], SCHEMA, 'NEWLINE_DELIMITED_JSON');
    expect(await of({ id: 'a', n: '7', day: '2026-01-01' }, { id: 'b' })).toEqual({
      state: 'done',
      outputRows: 2,
    });
    expect(await of({ id: 'a', n: 1.5 })).toEqual(
      refused(/Could not convert value to INT64. Field: n; Value: 1.5/),
    );
    expect(await of({ id: 'a', day: '2026-13-01' })).toEqual(refused(/date/));
    expect(await of({ id: 'a', other: 1 })).toEqual(refused(/No such field: other/));
    expect(await of({ id: ['a'] })).toEqual(refused(/Field: id/));
    expect(await of('{"id": "a"', '{"id": "b"}')).toEqual(refused(/JSON/));
    expect(await of('[1]')).toEqual(refused(/not an object/));
    expect(await rows()).toEqual([
      { day: null, id: 'b', n: null },
      { day: expect.objectContaining({ value: '2026-01-01' }), id: 'a', n: 7 },
    ]);
  });

  test('NULL in a REQUIRED column is refused', async () => {
    const schema = { fields: [{ name: 'id', type: 'STRING', mode: 'REQUIRED' }] };
    const uri = await parquet(`SELECT unnest(['a', NULL]) AS id`);
    expect(await load({ sourceUris: [uri], schema })).toEqual(
      refused(/Required field id cannot be null/),
    );
    await expect(rows()).rejects.toThrow(/Not found: Table/);
  });

  test('a file without rows is a load of zero rows, no file is an error', async () => {
    expect(
      await staged([
        await parquet(`SELECT DATE '2026-01-01' AS day, 'a' AS id, 1::BIGINT AS n LIMIT 0`),
      ]),
    ).toEqual({ state: 'done', outputRows: 0 });
    expect(await rows()).toEqual([]);
    expect(await load({ sourceUris: [], schema: { fields: SCHEMA } })).toEqual(
      refused(/at least one source URI/),
    );
  });

  test('dispositions', async () => {
    const one = await parquet(`SELECT 'a' AS id`);
    const schema = { fields: [field('id', 'STRING')] };
    expect(await load({ sourceUris: [one], schema, createDisposition: 'CREATE_NEVER' })).toEqual(
      refused(/Not found: Table/, 'notFound'),
    );
    for (const [writeDisposition, count] of [
      ['WRITE_EMPTY', 1],
      ['WRITE_APPEND', 2],
      ['WRITE_TRUNCATE_DATA', 1],
      ['WRITE_TRUNCATE', 1],
    ] as const) {
      expect(
        await load({
          sourceUris: [one],
          writeDisposition,
          ...(writeDisposition === 'WRITE_EMPTY' && { schema }),
        }),
      ).toMatchObject({ state: 'done' });
      expect(await rows()).toHaveLength(count);
    }
    expect(await load({ sourceUris: [one], writeDisposition: 'WRITE_EMPTY' })).toEqual(
      refused(/Already Exists: Table/, 'duplicate'),
    );
    expect(await load({ sourceUris: [one], schema: { fields: [field('id', 'INT64')] } })).toEqual(
      refused(/changed type from STRING to INTEGER/),
    );
    // WRITE_TRUNCATE may bring another schema.
    expect(
      await load({
        sourceUris: [await parquet('SELECT 1::BIGINT AS other')],
        schema: { fields: [field('other', 'INT64')] },
        writeDisposition: 'WRITE_TRUNCATE',
      }),
    ).toMatchObject({ state: 'done' });
    expect(await rows()).toEqual([{ other: 1 }]);
  });

  test('a manifest names the files', async () => {
    const uri = await parquet(`SELECT 'a' AS id`);
    await writeFile(join(folder, 'list.txt'), `${uri}\n${uri}\n`);
    expect(
      await load({
        sourceUris: ['gs://bucket/list.txt'],
        schema: { fields: [field('id', 'STRING')] },
        fileSetSpecType: 'FILE_SET_SPEC_TYPE_NEW_LINE_DELIMITED_MANIFEST',
      }),
    ).toEqual({ state: 'done', outputRows: 2 });
  });

  test('a used job id adopts the first job, whatever is asked for the second time', async () => {
    const uri = await parquet(`SELECT DATE '2026-01-01' AS day, 'a' AS id, 1::BIGINT AS n`);
    const job = {
      jobId: 'same',
      dataset,
      table: 't',
      uris: [uri],
      format: 'PARQUET',
      schema: SCHEMA,
    } as const;
    expect(await warehouse.load(job)).toBe('started');
    expect(await warehouse.load({ ...job, uris: [uri, uri] })).toBe('exists');
    expect(await ended('same')).toEqual({ state: 'done', outputRows: 1 });
    await expect(
      bigquery.createJob({ jobId: 'same', location: 'EU', configuration: { load: {} } }),
    ).rejects.toMatchObject({ code: 409, errors: [{ reason: 'duplicate' }] });
    expect(await warehouse.job('never')).toEqual({ state: 'missing' });
  });
});

describe('the load transaction', () => {
  const script = (sequence: number, ...changes: readonly string[]): string =>
    [
      'BEGIN TRANSACTION',
      `ASSERT (SELECT COALESCE(MAX(sequence), 0) FROM \`${dataset}.fence\` WHERE domain = 'email') < ${sequence} AS 'fence of email is at or above ${sequence}'`,
      ...changes,
      `DELETE FROM \`${dataset}.fence\` WHERE domain = 'email'`,
      `INSERT INTO \`${dataset}.fence\` (\`domain\`, \`sequence\`) VALUES ('email', ${sequence})`,
      'COMMIT TRANSACTION;',
    ].join(';\n');
  const run = async (jobId: string, sql: string): Promise<JobState> => {
    await warehouse.script({ jobId, sql });
    return ended(jobId);
  };

  beforeEach(async () => {
    await bigquery.dataset(dataset).createTable('t', {
      schema: [...SCHEMA],
      timePartitioning: { type: 'DAY', field: 'day' },
      requirePartitionFilter: true,
    });
    await staged(
      [
        await parquet(
          `SELECT DATE '2026-01-01' + CAST(i AS INTEGER) AS day, 'id' || i AS id, i AS n FROM range(3) AS r(i)`,
        ),
      ],
      SCHEMA,
      'PARQUET',
      'staging',
    );
  });

  test('replaces the listed partitions, empty ones too, and raises the fence', async () => {
    const copy = `INSERT INTO \`${dataset}.t\` (\`day\`, \`id\`, \`n\`) SELECT \`day\`, \`id\`, \`n\` FROM \`${dataset}.staging\``;
    expect(await run(`${dataset}_1`, script(1, copy))).toEqual({ state: 'done', outputRows: null });
    expect(
      await run(
        `${dataset}_2`,
        script(
          2,
          `DELETE FROM \`${dataset}.t\` WHERE day IN (DATE '2026-01-01', DATE '2026-01-02', DATE '2030-01-01')`,
        ),
      ),
    ).toMatchObject({ state: 'done' });
    expect(await warehouse.rows(`SELECT id FROM ${dataset}.t WHERE day > '2000-01-01'`)).toEqual([
      { id: 'id2' },
    ]);
    expect(await rows('fence')).toEqual([{ domain: 'email', sequence: 2 }]);
  });

  test('a fence that does not hold fails the job and changes nothing', async () => {
    const copy = `INSERT INTO ${dataset}.t (day, id, n) SELECT day, id, n FROM ${dataset}.staging`;
    await run(`${dataset}_5`, script(5, copy));
    expect(
      await run(`${dataset}_4`, script(4, `DELETE FROM ${dataset}.t WHERE day = '2026-01-01'`)),
    ).toEqual({
      state: 'failed',
      reason: 'invalidQuery',
      message: 'Query error: Assertion failed: fence of email is at or above 4 at [2:1]',
    });
    expect(
      await warehouse.rows(`SELECT COUNT(*) AS n FROM ${dataset}.t WHERE day > '2000-01-01'`),
    ).toEqual([{ n: 3 }]);
    expect(await rows('fence')).toEqual([{ domain: 'email', sequence: 5 }]);
  });

  test('a fault in a later statement undoes the earlier ones', async () => {
    const copy = `INSERT INTO ${dataset}.t (day, id, n) SELECT day, id, n FROM ${dataset}.staging`;
    expect(
      await run(
        `${dataset}_x`,
        script(1, copy, `UPDATE ${dataset}.t SET n = DIV(1, 0) WHERE day = '2026-01-01'`),
      ),
    ).toEqual(refused(/division by zero/, 'invalidQuery'));
    expect(
      await run(`${dataset}_y`, script(1, copy, `DELETE FROM ${dataset}.nothing WHERE TRUE`)),
    ).toEqual(refused(/Not found: Table/, 'notFound'));
    expect(
      await run(`${dataset}_z`, script(1, copy, `DELETE FROM ${dataset}.t WHERE TRUE`)),
    ).toEqual(refused(/without a filter over column/, 'invalidQuery'));
    expect(await rows('fence')).toEqual([]);
    expect(
      await warehouse.rows(`SELECT COUNT(*) AS n FROM ${dataset}.t WHERE day > '2000-01-01'`),
    ).toEqual([{ n: 0 }]);
  });

  test('a MERGE and an UPDATE may move the fence', async () => {
    const merge = `MERGE ${dataset}.fence T USING (SELECT 'shop' AS domain, 7 AS sequence) S ON T.domain = S.domain
      WHEN MATCHED THEN UPDATE SET sequence = S.sequence WHEN NOT MATCHED THEN INSERT (domain, sequence) VALUES (S.domain, S.sequence)`;
    expect(
      await run(`${dataset}_m`, `BEGIN TRANSACTION; ASSERT TRUE; ${merge}; COMMIT TRANSACTION`),
    ).toMatchObject({ state: 'done' });
    expect(
      await run(
        `${dataset}_u`,
        `BEGIN; ASSERT NOT EXISTS (SELECT 1 FROM ${dataset}.fence WHERE sequence > 7); UPDATE ${dataset}.fence SET sequence = 8 WHERE domain = 'shop'; COMMIT`,
      ),
    ).toMatchObject({ state: 'done' });
    expect(
      await run(`${dataset}_n`, `BEGIN TRANSACTION; ASSERT TRUE; ${merge}; COMMIT TRANSACTION`),
    ).toMatchObject({ state: 'done' });
    expect(await rows('fence')).toEqual([{ domain: 'shop', sequence: 7 }]);
  });

  test.each([
    [
      'no ASSERT',
      'BEGIN TRANSACTION; DELETE FROM x.t WHERE TRUE; COMMIT TRANSACTION',
      /without an ASSERT/,
    ],
    [
      'no COMMIT',
      'BEGIN TRANSACTION; ASSERT TRUE; DELETE FROM x.t WHERE TRUE',
      /A script other than/,
    ],
    [
      'ASSERT at the end',
      'BEGIN TRANSACTION; ASSERT TRUE; DELETE FROM x.t WHERE TRUE; ASSERT TRUE; COMMIT',
      /ASSERT after a change/,
    ],
    ['two statements', 'SELECT 1; SELECT 2', /A script other than/],
    [
      'DDL',
      'BEGIN TRANSACTION; ASSERT TRUE; DROP TABLE x.t; COMMIT',
      /A DROP statement is not supported locally/,
    ],
    ['variables', 'DECLARE x INT64; SET x = 1', /A DECLARE statement is not supported locally/],
  ])('another script is refused: %s', async (name, sql, message) => {
    expect(await run(`${dataset}_${name.replaceAll(' ', '_')}`, sql)).toEqual(
      refused(message, 'invalidQuery'),
    );
  });

  test('readers see the batch whole while it is being committed', async () => {
    const big = await parquet(
      `SELECT DATE '2026-01-01' AS day, 'id' || i AS id, i AS n FROM range(50000) AS r(i)`,
    );
    await staged([big], SCHEMA, 'PARQUET', 'staging');
    const replace = [
      `DELETE FROM ${dataset}.t WHERE day = '2026-01-01'`,
      `INSERT INTO ${dataset}.t (day, id, n) SELECT day, id, n FROM ${dataset}.staging`,
    ];
    await run(`${dataset}_1`, script(1, ...replace));
    const seen = new Set<unknown>();
    const states: JobState[] = [];
    const read = async (): Promise<void> => {
      while (states.length < 2) {
        const [row] = await warehouse.rows(
          `SELECT COUNT(*) AS n, COUNT(DISTINCT id) AS ids FROM ${dataset}.t WHERE day = '2026-01-01'`,
        );
        seen.add(`${row?.['n']} ${row?.['ids']}`);
      }
    };
    const readers = [read(), read()];
    for (const sequence of [2, 3])
      states.push(await run(`${dataset}_${sequence}`, script(sequence, ...replace)));
    await Promise.all(readers);
    expect(states.map(({ state }) => state)).toEqual(['done', 'done']);
    expect([...seen]).toEqual(['50000 50000']);
  });
});

describe('queries', () => {
  beforeEach(async () => {
    await staged([
      await parquet(
        `SELECT DATE '2026-01-01' + CAST(i % 2 AS INTEGER) AS day, 'id' || (i % 10) AS id, i AS n FROM range(25000) AS r(i)`,
      ),
    ]);
  });

  test('more rows than a page holds arrive all and in order', async () => {
    const [all] = await bigquery.query({
      query: `SELECT n FROM ${dataset}.t ORDER BY n`,
      location: 'EU',
    });
    expect(all.map(({ n }: { n: number }) => n)).toEqual(
      Array.from({ length: 25000 }, (_, i) => i),
    );
    const [job] = await bigquery.createQueryJob({
      query: `SELECT n FROM ${dataset}.t ORDER BY n`,
      location: 'EU',
    });
    const [page, next] = await job.getQueryResults({ maxResults: 7, autoPaginate: false });
    expect(page).toHaveLength(7);
    expect(next?.pageToken).toBe('7');
    const [table] = await bigquery
      .dataset(dataset)
      .table('t')
      .getRows({ maxResults: 3, autoPaginate: false });
    expect(table.map(({ n }: { n: number }) => n)).toEqual([0, 1, 2]);
  });

  test('a dry run counts the bytes of the columns and partitions read', async () => {
    await bigquery
      .dataset(dataset)
      .createTable('p', { schema: [...SCHEMA], timePartitioning: { type: 'DAY', field: 'day' } });
    await load(
      {
        sourceUris: [
          await parquet(
            `SELECT DATE '2026-01-01' AS day, 'ab' AS id, 1::BIGINT AS n UNION ALL SELECT DATE '2026-01-02', 'é', NULL`,
          ),
        ],
        writeDisposition: 'WRITE_APPEND',
      },
      'p',
    );
    const bytes = async (sql: string): Promise<number> => {
      const [job] = await bigquery.createQueryJob({ query: sql, location: 'EU', dryRun: true });
      return Number(job.metadata.statistics.totalBytesProcessed);
    };
    // n: 8 + nothing for NULL; id: 2 + 2 bytes of UTF-8 each.
    expect(await bytes(`SELECT n FROM ${dataset}.p`)).toBe(8);
    expect(await bytes(`SELECT id FROM ${dataset}.p`)).toBe(8);
    expect(await bytes(`SELECT id FROM ${dataset}.p WHERE day = '2026-01-02'`)).toBe(12);
    expect(await bytes(`SELECT COUNT(*) AS n FROM ${dataset}.p`)).toBe(0);
    expect(await bytes(`SELECT * FROM ${dataset}.p`)).toBe(32);
    await expect(bytes(`SELECT nope FROM ${dataset}.p`)).rejects.toThrow(
      'Unrecognized name: nope at [1:8]',
    );
  });

  test('maximumBytesBilled refuses before anything is read', async () => {
    await expect(
      bigquery.query({
        query: `SELECT n FROM ${dataset}.t`,
        location: 'EU',
        maximumBytesBilled: '1000',
      }),
    ).rejects.toThrow(/Query exceeded limit for bytes billed: 1000/);
    expect(
      (
        await bigquery.query({
          query: `SELECT MAX(n) AS n FROM ${dataset}.t`,
          location: 'EU',
          maximumBytesBilled: '100000000',
        })
      )[0],
    ).toEqual([{ n: 24999 }]);
  });

  test('parameters of every type arrive as they were sent', async () => {
    const { BigQuery: types } = await import('@google-cloud/bigquery');
    const [[row]] = await bigquery.query({
      query: `SELECT @s AS s, @n AS n, @f AS f, @b AS b, @d AS d, @t AS t, @list AS list, @when < '2026-02-01' AS earlier, @nothing AS nothing`,
      location: 'EU',
      params: {
        s: `it's "quoted" \\ 🌞`,
        n: 3,
        f: 0.1,
        b: false,
        d: types.date('2026-01-02'),
        t: types.timestamp('2026-01-02T03:04:05.678Z'),
        list: ['a', 'b'],
        when: types.date('2026-01-31'),
        nothing: null,
      },
      types: { nothing: 'STRING' },
    } as never);
    expect(row).toEqual({
      s: `it's "quoted" \\ 🌞`,
      n: 3,
      f: 0.1,
      b: false,
      d: types.date('2026-01-02'),
      t: types.timestamp('2026-01-02T03:04:05.678Z'),
      list: ['a', 'b'],
      earlier: true,
      nothing: null,
    });
  });

  test('NaN and infinities survive the wire', async () => {
    expect(
      await warehouse.rows(
        `SELECT IEEE_DIVIDE(1, 0) AS a, IEEE_DIVIDE(-1, 0) AS b, IEEE_DIVIDE(0, 0) AS c`,
      ),
    ).toEqual([{ a: Number.POSITIVE_INFINITY, b: Number.NEGATIVE_INFINITY, c: Number.NaN }]);
  });

  test('single DML statements say how many rows they changed', async () => {
    const [job] = await bigquery.createQueryJob({
      query: `DELETE FROM ${dataset}.t WHERE n >= 10`,
      location: 'EU',
    });
    await job.getQueryResults();
    expect((await job.getMetadata())[0].statistics.query.numDmlAffectedRows).toBe('24990');
    await bigquery.query({
      query: `UPDATE ${dataset}.t SET id = CONCAT(id, '!') WHERE n < 2`,
      location: 'EU',
    });
    await bigquery.query({
      query: `INSERT INTO ${dataset}.t (id) VALUES ('new'), (NULL)`,
      location: 'EU',
    });
    expect(
      await warehouse.rows(
        `SELECT id, COUNT(*) AS c FROM ${dataset}.t WHERE id LIKE '%!' OR id = 'new' OR id IS NULL GROUP BY id ORDER BY id`,
      ),
    ).toEqual([
      { id: null, c: 1 },
      { id: 'id0!', c: 1 },
      { id: 'id1!', c: 1 },
      { id: 'new', c: 1 },
    ]);
    await expect(
      bigquery.query({ query: `INSERT INTO ${dataset}.t (n) VALUES ('x')`, location: 'EU' }),
    ).rejects.toThrow(
      /Value has type STRING which cannot be assigned to n, which has type INT64 at \[1:/,
    );
  });

  test('a failed query is Permanent and says where', async () => {
    const failure = await warehouse
      .rows(`SELECT *\nFROM ${dataset}.t\nWHERE foo = 1`)
      .catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(Permanent);
    expect(failure).toMatchObject({
      code: 'bigquery_invalid_query',
      message: expect.stringContaining('Unrecognized name: foo at [3:7]'),
    });
  });
});

describe('datasets and tables', () => {
  test('are made, found, listed, changed and removed', async () => {
    await bigquery.dataset(dataset).createTable('t', {
      schema: [...SCHEMA],
      clustering: { fields: ['id'] },
      description: 'a',
      timePartitioning: { type: 'MONTH', field: 'day' },
      requirePartitionFilter: true,
    });
    const table = bigquery.dataset(dataset).table('t');
    await expect(
      bigquery.dataset(dataset).createTable('t', { schema: [...SCHEMA] }),
    ).rejects.toMatchObject({ code: 409 });
    await table.setMetadata({ description: 'b' });
    const [metadata] = await table.getMetadata();
    expect(metadata).toMatchObject({
      description: 'b',
      numRows: '0',
      clustering: { fields: ['id'] },
      timePartitioning: { type: 'MONTH', field: 'day' },
      requirePartitionFilter: true,
      schema: { fields: SCHEMA },
    });
    expect((await bigquery.dataset(dataset).getTables())[0].map(({ id }) => id)).toEqual([
      'fence',
      't',
    ]);
    await expect(bigquery.dataset(dataset).delete()).rejects.toThrow(/still in use/);
    await warehouse.dropTable(dataset, 't');
    await warehouse.dropTable(dataset, 't');
    expect(await table.exists()).toEqual([false]);
    await bigquery.dataset(dataset).delete({ force: true });
    expect(await bigquery.dataset(dataset).exists()).toEqual([false]);
  });

  test.each([
    [
      'a type that is not supported',
      { schema: [field('a', 'GEOGRAPHY')] },
      /GEOGRAPHY, which is not supported locally/,
    ],
    [
      'a partition on no column',
      { schema: [field('a', 'STRING')], timePartitioning: { type: 'DAY', field: 'b' } },
      /cannot be found in the schema: b/,
    ],
    [
      'a partition on a STRING',
      { schema: [field('a', 'STRING')], timePartitioning: { type: 'DAY', field: 'a' } },
      /must be of type DATE or TIMESTAMP/,
    ],
    [
      'a column twice',
      { schema: [field('a', 'STRING'), field('A', 'STRING')] },
      /Duplicate field name: A/,
    ],
    ['a view', { view: { query: 'SELECT 1' } }, /not supported locally/],
  ])('%s is refused', async (_, metadata, message) => {
    await expect(bigquery.dataset(dataset).createTable('bad', metadata as never)).rejects.toThrow(
      message,
    );
  });
});

describe('a stop at any point', () => {
  test('kill -9 loses nothing that was answered, and half of nothing', async () => {
    const file = join(folder, 'killed.db');
    const uri = await parquet(
      `SELECT DATE '2026-01-01' AS day, 'id' || i AS id, i AS n FROM range(300000) AS r(i)`,
    );
    const first = await serverProcess(file);
    const before = bigqueryWarehouse({
      projectId: PROJECT,
      location: 'EU',
      apiEndpoint: first.url,
    });
    await (
      await bigqueryClient({ projectId: PROJECT, location: 'EU', apiEndpoint: first.url })
    ).createDataset('d');
    await before.load({
      jobId: 'whole',
      dataset: 'd',
      table: 'whole',
      uris: [uri],
      format: 'PARQUET',
      schema: SCHEMA,
    });
    expect(await ended('whole', before)).toEqual({ state: 'done', outputRows: 300000 });
    // Accepted, and killed before it can be done.
    expect(
      await before.load({
        jobId: 'cut',
        dataset: 'd',
        table: 'cut',
        uris: [uri, uri, uri],
        format: 'PARQUET',
        schema: SCHEMA,
      }),
    ).toBe('started');
    first.child.kill('SIGKILL');
    await once(first.child, 'exit');
    const second = await serverProcess(file);
    const after = bigqueryWarehouse({
      projectId: PROJECT,
      location: 'EU',
      apiEndpoint: second.url,
    });
    expect(
      await after.load({
        jobId: 'whole',
        dataset: 'd',
        table: 'whole',
        uris: [],
        format: 'PARQUET',
        schema: SCHEMA,
      }),
    ).toBe('exists');
    expect(await ended('whole', after)).toEqual({ state: 'done', outputRows: 300000 });
    expect(await ended('cut', after)).toEqual({ state: 'done', outputRows: 900000 });
    expect(
      await after.rows(
        'SELECT (SELECT COUNT(*) FROM d.whole) AS whole, (SELECT COUNT(*) FROM d.cut) AS cut',
      ),
    ).toEqual([{ whole: 300000, cut: 900000 }]);
    second.child.kill('SIGKILL');
    await once(second.child, 'exit');
  });

  async function serverProcess(
    file: string,
  ): Promise<{ readonly url: string; readonly child: ChildProcess }> {
    const source = `import { startBigquery } from ${JSON.stringify(new URL('../../../local/bigquery/server.ts', import.meta.url).href)};
      const server = await startBigquery({ projectId: ${JSON.stringify(PROJECT)}, file: ${JSON.stringify(file)},
        resolve: (uri) => [${JSON.stringify(`${folder}/`)} + uri.slice('gs://bucket/'.length)] });
      console.log(server.url);`;
    const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', source], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    return { url: line.toString().trim(), child };
  }
});
