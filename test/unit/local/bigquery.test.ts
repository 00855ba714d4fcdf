/** Queries, datasets and tables of the local BigQuery, as the official client sees them. */
import { beforeEach, describe, expect, test } from 'vitest';
import { Permanent } from '../../../functions/errors.ts';
import { bigqueryWorld, field, SCHEMA } from './bigquery_world.ts';

const world = bigqueryWorld();
const { load, parquet, staged } = world;

describe('queries', () => {
  beforeEach(async () => {
    await staged([
      await parquet(
        `SELECT DATE '2026-01-01' + CAST(i % 2 AS INTEGER) AS day, 'id' || (i % 10) AS id, i AS n FROM range(25000) AS r(i)`,
      ),
    ]);
  });

  test('more rows than a page holds arrive all and in order', async () => {
    const [all] = await world.bigquery.query({
      query: `SELECT n FROM ${world.dataset}.t ORDER BY n`,
      location: 'EU',
    });
    expect(all.map(({ n }: { n: number }) => n)).toEqual(
      Array.from({ length: 25000 }, (_, i) => i),
    );
    const [job] = await world.bigquery.createQueryJob({
      query: `SELECT n FROM ${world.dataset}.t ORDER BY n`,
      location: 'EU',
    });
    const [page, next] = await job.getQueryResults({ maxResults: 7, autoPaginate: false });
    expect(page).toHaveLength(7);
    expect(next?.pageToken).toBe('7');
    const [table] = await world.bigquery
      .dataset(world.dataset)
      .table('t')
      .getRows({ maxResults: 3, autoPaginate: false });
    expect(table.map(({ n }: { n: number }) => n)).toEqual([0, 1, 2]);
  });

  test('a dry run counts the bytes of the columns and partitions read', async () => {
    await world.bigquery
      .dataset(world.dataset)
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
      const [job] = await world.bigquery.createQueryJob({
        query: sql,
        location: 'EU',
        dryRun: true,
      });
      return Number(job.metadata.statistics.totalBytesProcessed);
    };
    // n: 8 + nothing for NULL; id: 2 + 2 bytes of UTF-8 each.
    expect(await bytes(`SELECT n FROM ${world.dataset}.p`)).toBe(8);
    expect(await bytes(`SELECT id FROM ${world.dataset}.p`)).toBe(8);
    expect(await bytes(`SELECT id FROM ${world.dataset}.p WHERE day = '2026-01-02'`)).toBe(12);
    expect(await bytes(`SELECT COUNT(*) AS n FROM ${world.dataset}.p`)).toBe(0);
    expect(await bytes(`SELECT * FROM ${world.dataset}.p`)).toBe(32);
    await expect(bytes(`SELECT nope FROM ${world.dataset}.p`)).rejects.toThrow(
      'Unrecognized name: nope at [1:8]',
    );
  });

  test('maximumBytesBilled refuses before anything is read', async () => {
    await expect(
      world.bigquery.query({
        query: `SELECT n FROM ${world.dataset}.t`,
        location: 'EU',
        maximumBytesBilled: '1000',
      }),
    ).rejects.toThrow(/Query exceeded limit for bytes billed: 1000/);
    expect(
      (
        await world.bigquery.query({
          query: `SELECT MAX(n) AS n FROM ${world.dataset}.t`,
          location: 'EU',
          maximumBytesBilled: '100000000',
        })
      )[0],
    ).toEqual([{ n: 24999 }]);
  });

  test('parameters of every type arrive as they were sent', async () => {
    const { BigQuery: types } = await import('@google-cloud/bigquery');
    const [[row]] = await world.bigquery.query({
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
      await world.warehouse.rows(
        `SELECT IEEE_DIVIDE(1, 0) AS a, IEEE_DIVIDE(-1, 0) AS b, IEEE_DIVIDE(0, 0) AS c`,
      ),
    ).toEqual([{ a: Number.POSITIVE_INFINITY, b: Number.NEGATIVE_INFINITY, c: Number.NaN }]);
  });

  test('single DML statements say how many rows they changed', async () => {
    const [job] = await world.bigquery.createQueryJob({
      query: `DELETE FROM ${world.dataset}.t WHERE n >= 10`,
      location: 'EU',
    });
    await job.getQueryResults();
    expect((await job.getMetadata())[0].statistics.query.numDmlAffectedRows).toBe('24990');
    await world.bigquery.query({
      query: `UPDATE ${world.dataset}.t SET id = CONCAT(id, '!') WHERE n < 2`,
      location: 'EU',
    });
    await world.bigquery.query({
      query: `INSERT INTO ${world.dataset}.t (id) VALUES ('new'), (NULL)`,
      location: 'EU',
    });
    expect(
      await world.warehouse.rows(
        `SELECT id, COUNT(*) AS c FROM ${world.dataset}.t WHERE id LIKE '%!' OR id = 'new' OR id IS NULL GROUP BY id ORDER BY id`,
      ),
    ).toEqual([
      { id: null, c: 1 },
      { id: 'id0!', c: 1 },
      { id: 'id1!', c: 1 },
      { id: 'new', c: 1 },
    ]);
    await expect(
      world.bigquery.query({
        query: `INSERT INTO ${world.dataset}.t (n) VALUES ('x')`,
        location: 'EU',
      }),
    ).rejects.toThrow(
      /Value has type STRING which cannot be assigned to n, which has type INT64 at \[1:/,
    );
  });

  test('a failed query is Permanent and says where', async () => {
    const failure = await world.warehouse
      .rows(`SELECT *\nFROM ${world.dataset}.t\nWHERE foo = 1`)
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
    await world.bigquery.dataset(world.dataset).createTable('t', {
      schema: [...SCHEMA],
      clustering: { fields: ['id'] },
      description: 'a',
      timePartitioning: { type: 'MONTH', field: 'day' },
      requirePartitionFilter: true,
    });
    const table = world.bigquery.dataset(world.dataset).table('t');
    await expect(
      world.bigquery.dataset(world.dataset).createTable('t', { schema: [...SCHEMA] }),
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
    expect(
      (await world.bigquery.dataset(world.dataset).getTables())[0].map(({ id }) => id),
    ).toEqual(['fence', 't']);
    await expect(world.bigquery.dataset(world.dataset).delete()).rejects.toThrow(/still in use/);
    await world.warehouse.dropTable(world.dataset, 't');
    await world.warehouse.dropTable(world.dataset, 't');
    expect(await table.exists()).toEqual([false]);
    await world.bigquery.dataset(world.dataset).delete({ force: true });
    expect(await world.bigquery.dataset(world.dataset).exists()).toEqual([false]);
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
    await expect(
      world.bigquery.dataset(world.dataset).createTable('bad', metadata as never),
    ).rejects.toThrow(message);
  });
});
