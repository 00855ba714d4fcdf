/** The local Dataproc with real Spark and Delta: one driver for all cases, and one process. */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dataprocBatches } from '../../functions/clients/batches.ts';
import type { SparkSettings } from '../../functions/settings.ts';
import type { BatchState } from '../../functions/world.ts';
import { type DataprocServer, startDataproc } from '../../local/dataproc/server.ts';
import type { SparkPlace } from '../../local/dataproc/spark.ts';
import { ensureSpark } from '../../scripts/setup.ts';

const job = `
import logging
import sys
import time
from words import greeting

logging.basicConfig(stream=sys.stdout, level=logging.INFO)

def main(argv, spark=None):
    if spark is None:
        from pyspark.sql import SparkSession
        spark = SparkSession.builder.getOrCreate()
    what = argv[0]
    print("hello", greeting(), what)
    logging.info("logged %s", what)
    if what == "write":
        table = "gs://lake/silver/t"
        spark.range(3).write.format("delta").mode("overwrite").save(table)
        spark.range(3, 5).createOrReplaceTempView("more")
        spark.sql(f"MERGE INTO delta.\`{table}\` t USING more m ON t.id = m.id WHEN NOT MATCHED THEN INSERT *")
        print("rows", spark.read.format("delta").load(table).count())
    if what == "views":
        print("views", [t.name for t in spark.catalog.listTables()])
        print("ansi", spark.conf.get("spark.sql.ansi.enabled"))
    if what == "exit":
        sys.exit(3)
    if what == "raise":
        raise ValueError("no such column")
    if what == "crash":
        spark._jvm.java.lang.System.exit(1)
    if what == "sleep":
        time.sleep(3600)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
`;

const spark: SparkSettings = {
  runtimeVersion: '2.3',
  serviceAccount: 'spark@p',
  subnetworkUri: 'spark',
  stagingBucket: 'staging',
  mainPythonFileUri: 'gs://code/v1/job.py',
  pythonFileUris: ['gs://code/v1/words.zip'],
  jarFileUris: ['gs://code/delta.jar'],
  ttlSeconds: 600,
  maxExecutors: 2,
  hashKeySecret: 'key',
  properties: { 'spark.sql.ansi.enabled': 'true', 'spark.sql.shuffle.partitions': '64' },
  labels: {},
};

let folder: string;
let place: SparkPlace;
let server: DataprocServer;

function stage(version: string, greeting: string): void {
  const code = join(folder, 'code', version);
  mkdirSync(code, { recursive: true });
  writeFileSync(join(code, 'job.py'), job);
  writeFileSync(
    join(code, 'words.py'),
    `def greeting():\n    return ${JSON.stringify(greeting)}\n`,
  );
  execFileSync('python3', ['-m', 'zipfile', '-c', 'words.zip', 'words.py'], { cwd: code });
  rmSync(join(code, 'words.py'));
}

beforeAll(async () => {
  const tools = await ensureSpark();
  folder = mkdtempSync(join(tmpdir(), 'dataproc-'));
  stage('v1', 'one');
  stage('v2', 'two');
  const buckets = Object.fromEntries(
    ['code', 'lake', 'staging'].map((name) => [name, join(folder, name)]),
  );
  place = { ...tools, buckets, scratch: join(folder, 'scratch') };
  server = await startDataproc({ folder: join(folder, 'state'), spark: place });
}, 120_000);
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

/** Runs a batch to its end. */
async function run(
  id: string,
  what: string,
  options: { readonly version?: string; readonly endpoint?: string } = {},
): Promise<BatchState> {
  const version = options.version ?? 'v1';
  const batches = dataprocBatches({
    project: 'p',
    region: 'here',
    endpoint: options.endpoint ?? server.endpoint,
    spark: {
      ...spark,
      mainPythonFileUri: `gs://code/${version}/job.py`,
      pythonFileUris: [`gs://code/${version}/words.zip`],
    },
  });
  await batches.create(id, { args: [what] });
  await expect
    .poll(async () => (await batches.state(id)).state, { timeout: 120_000, interval: 50 })
    .not.toMatch(/pending|running/);
  return batches.state(id);
}

/** What a batch printed, found through the staging bucket. */
function outputs(): readonly string[] {
  const staging = join(folder, 'staging');
  return readdirSync(staging, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('driveroutput.000000000'))
    .map((name) => readFileSync(join(staging, name), 'utf8'));
}

describe('Dataproc with Spark', { timeout: 300_000 }, () => {
  it('runs a job on gs:// with Delta and keeps its output in the staging bucket', async () => {
    expect(await run('write-1', 'write')).toEqual({ state: 'succeeded' });
    const [output] = outputs().filter((text) => text.includes('hello one write'));
    expect(output).toContain('rows 5');
    expect(output).toContain('logged write');
    expect(existsSync(join(folder, 'lake/silver/t/_delta_log/00000000000000000001.json'))).toBe(
      true,
    );
    const checksums = readdirSync(join(folder, 'lake'), { recursive: true, encoding: 'utf8' });
    // Hadoop's own checksum files would be objects that nobody wrote.
    expect(checksums.filter((name) => /\/\.[^/]*\.crc$/.test(name))).toEqual([]);
  });

  it('gives every batch a fresh session, its own properties, its own code and output', async () => {
    expect(await run('views-1', 'views', { version: 'v2' })).toEqual({ state: 'succeeded' });
    const [output] = outputs().filter((text) => text.includes('views'));
    expect(output).toContain('hello two views');
    expect(output).toContain('views []');
    expect(output).toContain('ansi true');
    expect(output).toContain('logged views');
  });

  it('fails with what the job said', async () => {
    expect(await run('exit-1', 'exit')).toEqual({
      state: 'failed',
      message: 'Job failed with exit code 3: the job exited with 3',
      ran: true,
    });
    expect(await run('raise-1', 'raise')).toEqual({
      state: 'failed',
      message: 'Job failed with exit code 1: ValueError: no such column',
      ran: true,
    });
    const [output] = outputs().filter((text) => text.includes('Traceback'));
    expect(output).toContain('ValueError: no such column');
    expect(await run('absent-1', 'views', { version: 'v9' })).toMatchObject({
      message: 'Job failed with exit code 1: gs://code/v9/job.py does not exist',
    });
  });

  it('survives a job that takes its driver down', async () => {
    expect(await run('crash-1', 'crash')).toMatchObject({ state: 'failed' });
    expect(await run('views-3', 'views')).toEqual({ state: 'succeeded' });
  });

  it('finds a batch lost that ran when it stopped, and the next one runs', async () => {
    const batches = () =>
      dataprocBatches({ project: 'p', region: 'here', spark, endpoint: server.endpoint });
    await batches().create('sleep-1', { args: ['sleep'] });
    await expect
      .poll(() => outputs().some((text) => text.includes('hello one sleep')), { timeout: 60_000 })
      .toBe(true);
    await server.close();
    server = await startDataproc({
      folder: join(folder, 'state'),
      spark: place,
      drivers: 'process',
    });
    expect(await batches().state('sleep-1')).toEqual({
      state: 'failed',
      message: 'The driver was lost',
      ran: true,
    });
    expect(await batches().state('write-1')).toEqual({ state: 'succeeded' });
    // A process per batch, started as production starts it.
    expect(await run('views-2', 'views')).toEqual({ state: 'succeeded' });
    const [output] = outputs().filter((text) => text.includes('SparkContext'));
    expect(output).toContain('hello one views');
  });
});
