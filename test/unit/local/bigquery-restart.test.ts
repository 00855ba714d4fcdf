import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { bigqueryClient, bigqueryWarehouse } from '../../../functions/clients/warehouse.ts';
import { ended, filesIn, PROJECT, SCHEMA } from './bigquery_world.ts';

let folder: string;
const { parquet } = filesIn(() => folder);
const children: ChildProcess[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bigquery-restart-'));
});

afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await rm(folder, { recursive: true, force: true });
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
  children.push(child);
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return { url: line.toString().trim(), child };
}

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
