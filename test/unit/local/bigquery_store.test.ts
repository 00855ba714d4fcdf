/** What the DuckDB store promises by itself: whole commits for readers, one file, one writer at a time. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DuckdbStore, rowsOf } from '../../../local/bigquery/duckdb.ts';
import { Gate } from '../../../local/bigquery/gate.ts';
import type { Dml } from '../../../local/bigquery/parse/ast.ts';
import { parse } from '../../../local/bigquery/parse/parse.ts';
import { State } from '../../../local/bigquery/state.ts';
import type { Table } from '../../../local/bigquery/store.ts';

const context = { nowMicros: 0n, parameters: [], defaultDataset: 'd' };
let folder: string;
let store: DuckdbStore;
let state: State;

const open = async (): Promise<void> => {
  store = await DuckdbStore.open({ file: join(folder, 'store.db'), projectId: 'p' });
  state = new State({
    store,
    now: () => 1_767_225_600_000,
    projectId: 'p',
    resolve: () => [],
    readText: async () => '',
  });
};

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bigquery-store-'));
  await open();
  await state.datasets.insert('d', {});
});

afterEach(async () => {
  await store.close();
  await rm(folder, { recursive: true, force: true });
});

const table = (id: string): Promise<Table> =>
  state.datasets.insertTable({
    dataset: 'd',
    id,
    fields: [{ name: 'n', type: 'INT64' }],
    requirePartitionFilter: false,
    resource: {},
  });
const change = (...sqls: readonly string[]): Promise<void> =>
  store.write(async (transaction) => {
    for (const sql of sqls) await transaction.execute(parse(sql)[0] as Dml, context);
  });

test('a reader never sees a replacement half done', async () => {
  const made = await table('t');
  await table('s');
  await change('INSERT INTO s (n) SELECT n FROM UNNEST(GENERATE_ARRAY(1, 200000)) AS n');
  await change('INSERT INTO t (n) SELECT n FROM s');
  const seen = new Set<number>();
  let running = true;
  const read = async (): Promise<void> => {
    while (running)
      await store.gate.shared(() =>
        store.read(async (connection) => {
          const answer = await connection.runAndReadAll(`SELECT count(*) FROM ${rowsOf(made)}`);
          seen.add(Number(answer.getRowsJS()[0]?.[0]));
        }),
      );
  };
  const readers = [read(), read()];
  for (let i = 0; i < 10; i += 1)
    await change('DELETE FROM t WHERE n IS NOT NULL', 'INSERT INTO t (n) SELECT n FROM s');
  running = false;
  await Promise.all(readers);
  expect([...seen]).toEqual([200000]);
});

test('a failed transaction leaves rows, tables and catalog as they were', async () => {
  await table('t');
  await change('INSERT INTO t (n) VALUES (1)');
  await expect(
    store.write(async (transaction) => {
      await transaction.execute(parse('DELETE FROM t WHERE TRUE')[0] as Dml, context);
      await transaction.drop(state.datasets.table('d', 't', transaction));
      transaction.remove('table', 'd.t');
      expect(transaction.get('table', 'd.t')).toBeUndefined();
      throw new Error('cut');
    }),
  ).rejects.toThrow('cut');
  expect((await store.count(state.datasets.table('d', 't'))).rows).toBe(1);
});

test('what was committed is there after a restart, with its tables', async () => {
  await table('t');
  await change('INSERT INTO t (n) VALUES (1), (2)');
  await store.close();
  await open();
  expect((await store.count(state.datasets.table('d', 't'))).rows).toBe(2);
  // A new table takes no rows of an older one.
  expect((await table('u')).rows).not.toBe(state.datasets.table('d', 't').rows);
});

test('the gate lets readers in together, and a commit alone', async () => {
  const gate = new Gate();
  const order: string[] = [];
  let finish = (): void => undefined;
  const slow = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const first = gate.shared(() => slow.then(() => void order.push('first reader')));
  await gate.shared(async () => void order.push('second reader'));
  const commit = gate.alone(async () => void order.push('commit'));
  const late = gate.shared(async () => void order.push('late reader'));
  finish();
  await Promise.all([first, commit, late]);
  expect(order).toEqual(['second reader', 'first reader', 'commit', 'late reader']);
  await expect(gate.alone(() => Promise.reject(new Error('full')))).rejects.toThrow('full');
  expect(await gate.shared(async () => 'open again')).toBe('open again');
});
