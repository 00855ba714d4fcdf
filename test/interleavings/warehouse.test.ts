/** The warehouse's model against the local BigQuery: the same jobs in the same order, the same tables. */
import { expect, test, vi } from 'vitest';
import { type MemoryRow, memoryBigquery } from '../../local/bigquery/memory.ts';
import { bigqueryColumns } from '../../schemas/derive/bigquery.ts';
import { catalog } from './contracts.ts';
import { calm } from './delivery.ts';
import { fair, run } from './pipeline.ts';
import type { Row } from './spark.ts';
import type { EndedJob } from './warehouse.ts';

vi.mock('../../schemas/rendered/catalog.ts', () => import('./contracts.ts'));
vi.mock('../../functions/readers/hubspot_objects.ts', () => ({ hubspotObjects: {} }));

const sorted = (rows: readonly Row[]): readonly string[] =>
  rows.map((row) => JSON.stringify(Object.entries(row).sort())).sort();

test('what the handlers ask of BigQuery means the same there', async () => {
  const jobs: EndedJob[] = [];
  const pipeline = await run({
    seed: 3,
    trace: true,
    events: 60,
    page: 7,
    listed: 5,
    // Past a full hour, in which the sweep writes what is not loaded yet.
    settled: 112,
    patience: 200,
    weather: () => ({ ...fair, minutes: 100, mail: { ...calm, duplicated: 0.5 } }),
    prepare: ({ tables }) => {
      tables.ended = (job) => jobs.push(job);
    },
  });
  const rowsOf = new Map<string, readonly MemoryRow[]>();
  const { state, warehouse, rows } = memoryBigquery({
    now: () => pipeline.simulation.now,
    readRows: (uri) => rowsOf.get(uri),
  });
  for (const dataset of ['email', 'ops', 'ops_staging']) await state.datasets.insert(dataset, {});
  for (const [name, contract] of Object.entries(catalog.tables)) {
    const [dataset = '', id = ''] = name.split('.');
    const fields = bigqueryColumns(contract).filter(
      ({ name: column }) => name !== 'ops.fence' || column !== 'updated_at',
    );
    await state.datasets.insertTable({
      dataset,
      id,
      fields,
      requirePartitionFilter: false,
      resource: {},
    });
  }
  let scripts = 0;
  for (const job of jobs) {
    if ('load' in job) {
      const uri = `gs://rows/${job.load.jobId}`;
      rowsOf.set(uri, job.rows as readonly MemoryRow[]);
      await warehouse.load({ ...job.load, uris: [uri] });
      expect(await warehouse.job(job.load.jobId)).toEqual(job.state);
    } else {
      scripts += 1;
      await warehouse.script(job.script);
      const there = await warehouse.job(job.script.jobId);
      const message = 'message' in there ? there.message : '';
      expect(`${there.state} ${message}`).toContain(job.state.state);
    }
  }
  expect(scripts).toBeGreaterThan(5);
  for (const name of ['email.email_send', 'email.engagement_by_day', 'ops.fence', 'ops.runs']) {
    const [dataset = '', id = ''] = name.split('.');
    const ours = pipeline.tables.rows.get(name) ?? [];
    expect(ours.length).toBeGreaterThan(0);
    const keys = catalog.tables[name]?.key ?? [];
    const keyed = (all: readonly Row[]): readonly string[] =>
      sorted(all.map((row) => Object.fromEntries(keys.map((key) => [key, row[key]]))));
    expect(keyed(rows(dataset, id) ?? [])).toEqual(keyed(ours));
  }
  const sends = (all: readonly Row[]): readonly string[] =>
    sorted(all.map(({ send_id, opens }) => ({ send_id, opens: Number(opens) })));
  expect(sends(rows('email', 'email_send') ?? [])).toEqual(
    sends(pipeline.tables.rows.get('email.email_send') ?? []),
  );
});
