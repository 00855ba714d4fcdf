/** Loads and the load transaction mean the same in memory (simulations) and over DuckDB (the local cloud). */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { bigqueryClient, bigqueryWarehouse } from '../../../functions/clients/warehouse.ts';
import type { BigQueryField, JobState, Warehouse } from '../../../functions/world.ts';
import { type MemoryRow, memoryBigquery } from '../../../local/bigquery/memory.ts';
import { startBigquery } from '../../../local/bigquery/server.ts';

const FIELDS: readonly BigQueryField[] = [
  { name: 'day', type: 'DATE', mode: 'NULLABLE' },
  { name: 'id', type: 'STRING', mode: 'NULLABLE' },
  { name: 'tags', type: 'STRING', mode: 'REPEATED' },
];
const FENCE = [
  { name: 'domain', type: 'STRING', mode: 'NULLABLE' },
  { name: 'sequence', type: 'INT64', mode: 'NULLABLE' },
];

interface Subject {
  readonly warehouse: Warehouse;
  makeTable(
    dataset: string,
    id: string,
    fields: readonly BigQueryField[] | typeof FENCE,
  ): Promise<void>;
  putObject(uri: string, rows: readonly MemoryRow[]): Promise<void>;
  close(): Promise<void>;
}

async function inMemory(): Promise<Subject> {
  const objects = new Map<string, readonly MemoryRow[]>();
  const { state, warehouse } = memoryBigquery({
    now: () => 1_767_225_600_000,
    readRows: (uri) => objects.get(uri),
  });
  for (const dataset of ['email', 'ops', 'ops_staging']) await state.datasets.insert(dataset, {});
  return {
    warehouse,
    makeTable: async (dataset, id, fields) => {
      await state.datasets.insertTable({
        dataset,
        id,
        fields,
        requirePartitionFilter: false,
        resource: {},
      });
    },
    putObject: async (uri, rows) => void objects.set(uri, rows),
    close: async () => undefined,
  };
}

async function overDuckdb(): Promise<Subject> {
  const folder = await mkdtemp(join(tmpdir(), 'bigquery-memory-'));
  const objects = new Map<string, string>();
  const server = await startBigquery({
    projectId: 'p',
    resolve: (uri) => [objects.get(uri)].filter((path) => path !== undefined),
  });
  const options = { projectId: 'p', location: 'EU', apiEndpoint: server.url };
  const client = await bigqueryClient(options);
  for (const dataset of ['email', 'ops', 'ops_staging']) await client.createDataset(dataset);
  return {
    warehouse: bigqueryWarehouse(options),
    makeTable: async (dataset, id, fields) =>
      void (await client
        .dataset(dataset)
        .createTable(id, { schema: fields.map((field) => ({ ...field })) })),
    putObject: async (uri, rows) => {
      const path = join(folder, `${objects.size}.json`);
      await writeFile(path, rows.map((row) => JSON.stringify(row)).join('\n'));
      objects.set(uri, path);
    },
    close: async () => {
      await server.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

describe.each([
  ['in memory', inMemory],
  ['over DuckDB', overDuckdb],
])('%s', (_, make) => {
  let subject: Subject;
  let warehouse: Warehouse;

  beforeAll(async () => {
    subject = await make();
    warehouse = subject.warehouse;
    await subject.makeTable('email', 'sends', FIELDS);
    await subject.makeTable('ops', 'fence', FENCE);
    await subject.putObject('gs://lake/two.json', [
      { day: '2026-01-01', id: 'a', tags: ['x'] },
      { day: '2026-01-02', id: 'b' },
    ]);
    await subject.putObject('gs://lake/one.json', [{ day: '2026-01-02', id: 'c' }]);
    await subject.putObject('gs://lake/odd.json', [{ day: '2026-01-02', id: 'd', extra: 1 }]);
    await subject.putObject('gs://lake/none.json', []);
  });
  afterAll(() => subject?.close());
  beforeEach(async () => {
    await clear();
  });

  let number = 0;
  const id = (): string => {
    number += 1;
    return `job_${number}`;
  };
  async function ended(jobId: string): Promise<JobState> {
    for (;;) {
      const state = await warehouse.job(jobId);
      if (state.state !== 'running') return state;
      await new Promise((next) => setTimeout(next, 5));
    }
  }
  const script = async (sql: string, jobId = id()): Promise<JobState> => {
    await warehouse.script({ jobId, sql });
    return ended(jobId);
  };
  const load = async (uris: readonly string[], jobId = id()): Promise<JobState> => {
    await warehouse.load({
      jobId,
      dataset: 'ops_staging',
      table: 'sends',
      uris,
      format: 'NEWLINE_DELIMITED_JSON',
      schema: FIELDS,
    });
    return ended(jobId);
  };
  const clear = (): Promise<JobState> =>
    script(
      'BEGIN TRANSACTION; ASSERT TRUE; DELETE FROM email.sends WHERE TRUE; DELETE FROM ops.fence WHERE TRUE; COMMIT TRANSACTION',
    );
  const batch = (sequence: number, days: readonly string[], more = ''): string =>
    `BEGIN TRANSACTION;
ASSERT (SELECT COALESCE(MAX(sequence), 0) FROM \`ops.fence\` WHERE domain = 'email') < ${sequence} AS 'fence of email is at or above ${sequence}';
DELETE FROM \`email.sends\` WHERE day IN (${days.map((day) => `DATE '${day}'`).join(', ')});
INSERT INTO \`email.sends\` (\`day\`, \`id\`, \`tags\`) SELECT \`day\`, \`id\`, \`tags\` FROM \`ops_staging.sends\`;${more}
DELETE FROM \`ops.fence\` WHERE domain = 'email';
INSERT INTO \`ops.fence\` (\`domain\`, \`sequence\`) VALUES ('email', ${sequence});
COMMIT TRANSACTION;`;
  const ids = async (): Promise<readonly unknown[]> =>
    (await warehouse.rows('SELECT id FROM email.sends WHERE id IS NOT NULL'))
      .map((row) => row['id'])
      .sort();
  const fence = async (): Promise<unknown> =>
    (
      await warehouse.rows(
        'SELECT COALESCE(MAX(sequence), 0) AS sequence FROM `ops.fence` WHERE domain = @domain',
        { domain: 'email' },
      )
    )[0]?.['sequence'];

  test('a batch replaces its days and raises the fence', async () => {
    expect(await load(['gs://lake/two.json'])).toEqual({ state: 'done', outputRows: 2 });
    expect(await script(batch(1, ['2026-01-01', '2026-01-02']))).toEqual({
      state: 'done',
      outputRows: null,
    });
    expect([await ids(), await fence()]).toEqual([['a', 'b'], 1]);
    expect(await load(['gs://lake/one.json'])).toEqual({ state: 'done', outputRows: 1 });
    expect(await script(batch(2, ['2026-01-02', '2030-01-01']))).toMatchObject({ state: 'done' });
    expect([await ids(), await fence()]).toEqual([['a', 'c'], 2]);
  });

  test('an older batch is refused by the fence and changes nothing', async () => {
    await load(['gs://lake/two.json']);
    await script(batch(7, ['2026-01-01']));
    for (const sequence of [7, 6])
      expect(await script(batch(sequence, ['2026-01-01', '2026-01-02']))).toEqual({
        state: 'failed',
        reason: 'invalidQuery',
        message: `Query error: Assertion failed: fence of email is at or above ${sequence} at [2:1]`,
      });
    expect([await ids(), await fence()]).toEqual([['a', 'b'], 7]);
  });

  test('a statement that fails undoes the ones before it', async () => {
    await load(['gs://lake/two.json']);
    expect(
      await script(batch(1, ['2026-01-01'], '\nDELETE FROM `email.nothing` WHERE TRUE;')),
    ).toMatchObject({ state: 'failed', reason: 'notFound' });
    expect([await ids(), await fence()]).toEqual([[], 0]);
  });

  test('a used id adopts the first job', async () => {
    const jobId = id();
    expect(await load(['gs://lake/two.json'], jobId)).toEqual({ state: 'done', outputRows: 2 });
    expect(await load(['gs://lake/one.json'], jobId)).toEqual({ state: 'done', outputRows: 2 });
    const commit = id();
    await script(batch(1, ['2026-01-01']), commit);
    expect(await warehouse.script({ jobId: commit, sql: batch(2, []) })).toBe('exists');
    expect(await fence()).toBe(1);
    expect(await warehouse.job('never')).toEqual({ state: 'missing' });
  });

  test('a load is all files or nothing', async () => {
    await load(['gs://lake/two.json']);
    expect(await load(['gs://lake/one.json', 'gs://lake/odd.json'])).toMatchObject({
      state: 'failed',
      reason: 'invalid',
      message: expect.stringContaining('No such field: extra'),
    });
    expect(await load(['gs://lake/one.json', 'gs://lake/absent.json'])).toMatchObject({
      state: 'failed',
      reason: 'notFound',
    });
    await script(batch(1, []).replace('DELETE FROM `email.sends` WHERE day IN ();\n', ''));
    expect(await ids()).toEqual(['a', 'b']);
    expect(await load(['gs://lake/none.json'])).toEqual({ state: 'done', outputRows: 0 });
  });

  test('a dropped staging table is gone, dropping it again is fine', async () => {
    await load(['gs://lake/two.json']);
    await warehouse.dropTable('ops_staging', 'sends');
    await warehouse.dropTable('ops_staging', 'sends');
    await warehouse.dropTable('ops_staging', 'never');
    expect(await script(batch(1, ['2026-01-01']))).toMatchObject({
      state: 'failed',
      reason: 'notFound',
    });
  });

  test('other scripts are refused', async () => {
    expect(
      await script('BEGIN TRANSACTION; DELETE FROM email.sends WHERE TRUE; COMMIT TRANSACTION'),
    ).toMatchObject({
      state: 'failed',
      reason: 'invalidQuery',
      message: expect.stringContaining('without an ASSERT'),
    });
    expect(await script('SELECT 1; SELECT 2')).toMatchObject({
      state: 'failed',
      message: expect.stringContaining('not supported locally'),
    });
  });
});
