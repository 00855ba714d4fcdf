/** The load transaction of the local BigQuery: all of it or nothing, and no other script. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { JobState } from '../../../functions/world.ts';
import { bigqueryWorld, refused, SCHEMA } from './bigquery_world.ts';

const world = bigqueryWorld();
const { ended, parquet, rows, staged } = world;

describe('the load transaction', () => {
  const script = (sequence: number, ...changes: readonly string[]): string =>
    [
      'BEGIN TRANSACTION',
      `ASSERT (SELECT COALESCE(MAX(sequence), 0) FROM \`${world.dataset}.fence\` WHERE domain = 'email') < ${sequence} AS 'fence of email is at or above ${sequence}'`,
      ...changes,
      `DELETE FROM \`${world.dataset}.fence\` WHERE domain = 'email'`,
      `INSERT INTO \`${world.dataset}.fence\` (\`domain\`, \`sequence\`) VALUES ('email', ${sequence})`,
      'COMMIT TRANSACTION;',
    ].join(';\n');
  const run = async (jobId: string, sql: string): Promise<JobState> => {
    await world.warehouse.script({ jobId, sql });
    return ended(jobId);
  };

  beforeEach(async () => {
    await world.bigquery.dataset(world.dataset).createTable('t', {
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
    const copy = `INSERT INTO \`${world.dataset}.t\` (\`day\`, \`id\`, \`n\`) SELECT \`day\`, \`id\`, \`n\` FROM \`${world.dataset}.staging\``;
    expect(await run(`${world.dataset}_1`, script(1, copy))).toEqual({
      state: 'done',
      outputRows: null,
    });
    expect(
      await run(
        `${world.dataset}_2`,
        script(
          2,
          `DELETE FROM \`${world.dataset}.t\` WHERE day IN (DATE '2026-01-01', DATE '2026-01-02', DATE '2030-01-01')`,
        ),
      ),
    ).toMatchObject({ state: 'done' });
    expect(
      await world.warehouse.rows(`SELECT id FROM ${world.dataset}.t WHERE day > '2000-01-01'`),
    ).toEqual([{ id: 'id2' }]);
    expect(await rows('fence')).toEqual([{ domain: 'email', sequence: 2 }]);
  });

  test('a fence that does not hold fails the job and changes nothing', async () => {
    const copy = `INSERT INTO ${world.dataset}.t (day, id, n) SELECT day, id, n FROM ${world.dataset}.staging`;
    await run(`${world.dataset}_5`, script(5, copy));
    expect(
      await run(
        `${world.dataset}_4`,
        script(4, `DELETE FROM ${world.dataset}.t WHERE day = '2026-01-01'`),
      ),
    ).toEqual({
      state: 'failed',
      reason: 'invalidQuery',
      message: 'Query error: Assertion failed: fence of email is at or above 4 at [2:1]',
    });
    expect(
      await world.warehouse.rows(
        `SELECT COUNT(*) AS n FROM ${world.dataset}.t WHERE day > '2000-01-01'`,
      ),
    ).toEqual([{ n: 3 }]);
    expect(await rows('fence')).toEqual([{ domain: 'email', sequence: 5 }]);
  });

  test('a fault in a later statement undoes the earlier ones', async () => {
    const copy = `INSERT INTO ${world.dataset}.t (day, id, n) SELECT day, id, n FROM ${world.dataset}.staging`;
    expect(
      await run(
        `${world.dataset}_x`,
        script(1, copy, `UPDATE ${world.dataset}.t SET n = DIV(1, 0) WHERE day = '2026-01-01'`),
      ),
    ).toEqual(refused(/division by zero/, 'invalidQuery'));
    expect(
      await run(
        `${world.dataset}_y`,
        script(1, copy, `DELETE FROM ${world.dataset}.nothing WHERE TRUE`),
      ),
    ).toEqual(refused(/Not found: Table/, 'notFound'));
    expect(
      await run(`${world.dataset}_z`, script(1, copy, `DELETE FROM ${world.dataset}.t WHERE TRUE`)),
    ).toEqual(refused(/without a filter over column/, 'invalidQuery'));
    expect(await rows('fence')).toEqual([]);
    expect(
      await world.warehouse.rows(
        `SELECT COUNT(*) AS n FROM ${world.dataset}.t WHERE day > '2000-01-01'`,
      ),
    ).toEqual([{ n: 0 }]);
  });

  test('a MERGE and an UPDATE may move the fence', async () => {
    const merge = `MERGE ${world.dataset}.fence T USING (SELECT 'shop' AS domain, 7 AS sequence) S ON T.domain = S.domain
      WHEN MATCHED THEN UPDATE SET sequence = S.sequence WHEN NOT MATCHED THEN INSERT (domain, sequence) VALUES (S.domain, S.sequence)`;
    expect(
      await run(
        `${world.dataset}_m`,
        `BEGIN TRANSACTION; ASSERT TRUE; ${merge}; COMMIT TRANSACTION`,
      ),
    ).toMatchObject({ state: 'done' });
    expect(
      await run(
        `${world.dataset}_u`,
        `BEGIN; ASSERT NOT EXISTS (SELECT 1 FROM ${world.dataset}.fence WHERE sequence > 7); UPDATE ${world.dataset}.fence SET sequence = 8 WHERE domain = 'shop'; COMMIT`,
      ),
    ).toMatchObject({ state: 'done' });
    expect(
      await run(
        `${world.dataset}_n`,
        `BEGIN TRANSACTION; ASSERT TRUE; ${merge}; COMMIT TRANSACTION`,
      ),
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
    expect(await run(`${world.dataset}_${name.replaceAll(' ', '_')}`, sql)).toEqual(
      refused(message, 'invalidQuery'),
    );
  });

  test('readers see the batch whole while it is being committed', async () => {
    const big = await parquet(
      `SELECT DATE '2026-01-01' AS day, 'id' || i AS id, i AS n FROM range(50000) AS r(i)`,
    );
    await staged([big], SCHEMA, 'PARQUET', 'staging');
    const replace = [
      `DELETE FROM ${world.dataset}.t WHERE day = '2026-01-01'`,
      `INSERT INTO ${world.dataset}.t (day, id, n) SELECT day, id, n FROM ${world.dataset}.staging`,
    ];
    await run(`${world.dataset}_1`, script(1, ...replace));
    const seen = new Set<unknown>();
    const states: JobState[] = [];
    const read = async (): Promise<void> => {
      while (states.length < 2) {
        const [row] = await world.warehouse.rows(
          `SELECT COUNT(*) AS n, COUNT(DISTINCT id) AS ids FROM ${world.dataset}.t WHERE day = '2026-01-01'`,
        );
        seen.add(`${row?.['n']} ${row?.['ids']}`);
      }
    };
    const readers = [read(), read()];
    for (const sequence of [2, 3])
      states.push(await run(`${world.dataset}_${sequence}`, script(sequence, ...replace)));
    await Promise.all(readers);
    expect(states.map(({ state }) => state)).toEqual(['done', 'done']);
    expect([...seen]).toEqual(['50000 50000']);
  });
});
