/**
 * Load: a transformed batch becomes visible in BigQuery, whole.
 *
 * One load job per table into a staging table, then one transaction over all tables of the batch:
 * assert that the fence is lower, replace the listed partitions, raise the fence. Job ids follow
 * from the batch, so whatever was started before is adopted, and a batch that is loaded is known by
 * the fence. Then the load record is created, the waiting markers go, and the ledger is closed.
 */

import { createHash } from 'node:crypto';
import type { TableContract } from '../schemas/contract.ts';
import { bigqueryColumns } from '../schemas/derive/bigquery.ts';
import { catalog } from '../schemas/rendered/catalog.ts';
import type { Config } from './config.ts';
import { Permanent, Transient } from './errors.ts';
import { removeWaiting } from './land.ts';
import { abandoned, closing, type Ledger, loaded, readLedger, stepLedger } from './ledger.ts';
import {
  type BatchManifest,
  checkManifest,
  createJson,
  type LoadRecord,
  place,
  readJson,
  type TableOutput,
} from './manifest.ts';
import { type Handler, notifiedObject } from './message.ts';
import { opsOutputs } from './ops.ts';
import type { BigQueryField, JobState, World } from './world.ts';

/** Stage and commit together; shorter than the function's timeout. */
const PATIENCE_MS = 8 * 60_000;

/** Jobs newly started for one step of one delivery; the sweep delivers again. */
const FRESH_TRIES = 4;

const STAGING = 'ops_staging';

/** A batch's share of refused records that a person hears of, and their least number. */
const REJECTED_SHARE = 0.02;
const REJECTED_LEAST = 10;

/** Messages: a notification of `batches/<domain>/<sequence>.json`. */
export const handle: Handler = async (message, world, config) => {
  const object = notifiedObject(message) ?? String(message.data['batch'] ?? '');
  const parts = /^batches\/([^/]+)\/(\d+)\.json$/.exec(object);
  if (parts === null) {
    throw new Permanent({ code: 'no_batch', message: `"${object}" names no batch manifest` });
  }
  const deadline = world.clock.now() + PATIENCE_MS;
  await loadBatch(world, config, parts[1] as string, Number(parts[2]), deadline);
};

/**
 * Loads a transformed batch, or whatever of it is still to be done.
 * @param deadline epoch ms; what is not done then is adopted by the next delivery
 */
export async function loadBatch(
  world: World,
  config: Config,
  domain: string,
  sequence: number,
  deadline: number,
): Promise<void> {
  const bucket = config.buckets.control;
  const name = place.batch(domain, sequence);
  const found = await readJson<BatchManifest>(world.objects, bucket, name);
  const { ledger } = await readLedger(world, bucket, domain);
  // Messages come again for days: one whose batch was abandoned meanwhile has nothing to do.
  if (ledger.sequence >= sequence && !concerns(ledger, sequence)) {
    // Nor has anybody else: a manifest left behind would look like a batch still to be loaded.
    if (found !== null) {
      await world.objects.remove(bucket, name, { ifGeneration: found.generation });
    }
    return;
  }
  if (found === null) {
    // Only an abandoned batch loses its manifest; the one after it has done its work.
    if (ledger.loaded >= sequence) return;
    throw new Transient({ code: 'no_manifest', message: `${name} is not there (yet)` });
  }
  const startedAt = iso(world.clock.now());
  try {
    const manifest = checkManifest(found.value);
    if ((await fenceOf(world, domain)) < sequence) {
      const outputs = [...tableOutputs(manifest), ...(await opsOutputs(world, config, manifest))];
      await replaceRows(world, { domain, sequence }, outputs, deadline);
    }
  } catch (failure) {
    if (!(failure instanceof Permanent)) throw failure;
    // A late delivery may stumble over what a faster one has loaded and tidied away.
    if ((await fenceOf(world, domain)) >= sequence) {
      await close(world, config, found.value, startedAt);
      return;
    }
    await abandon(world, config, { domain, sequence, generation: found.generation }, failure);
    return;
  }
  await close(world, config, found.value, startedAt);
}

/** In flight, or loaded and perhaps not closed yet. */
const concerns = (ledger: Ledger, sequence: number): boolean =>
  ledger.in_flight?.sequence === sequence || ledger.loaded >= sequence;

/**
 * A batch that BigQuery will not take would hold its domain for ever. Its claim goes back to the
 * waiting list and the next sequence does the same work from the same base, with the code that is
 * deployed then; should the old transaction have been committed after all, the new one replaces
 * what it wrote.
 */
async function abandon(
  world: World,
  config: Config,
  batch: { readonly domain: string; readonly sequence: number; readonly generation: string },
  failure: Permanent,
): Promise<void> {
  const { domain, sequence } = batch;
  const bucket = config.buckets.control;
  world.log('ERROR', 'load_failed', {
    domain,
    sequence,
    code: failure.code,
    reason: failure.message,
  });
  const after = await stepLedger(world, bucket, domain, (held) =>
    abandoned(held, sequence, iso(world.clock.now())),
  );
  if (concerns(after, sequence)) return;
  await world.objects.remove(bucket, place.batch(domain, sequence), {
    ifGeneration: batch.generation,
  });
}

export interface Replacement {
  readonly domain: string;
  readonly sequence: number;
  /** Other domains' fences as the rows were made; the transaction refuses when one has moved. */
  readonly unmoved?: ReadonlyMap<string, number>;
}

/** Stages every output, then replaces all of them in one fenced transaction. */
export async function replaceRows(
  world: World,
  of: Replacement,
  outputs: readonly Output[],
  deadline: number,
): Promise<void> {
  const stages = await stageAll(world, of, outputs, deadline);
  await commit(world, of, stages, deadline);
  for (const { staging } of stages) {
    if (staging !== null) await world.warehouse.dropTable(STAGING, staging);
  }
}

/** One table's new content: which rows go, and the files whose rows come. */
export interface Output {
  readonly dataset: string;
  readonly table: string;
  readonly schema: readonly BigQueryField[];
  /** GoogleSQL over the table's columns: the rows that go. */
  readonly replaces: string;
  readonly files: readonly string[];
  readonly format: 'PARQUET' | 'NEWLINE_DELIMITED_JSON';
  readonly rows: number;
}

interface Stage {
  readonly output: Output;
  /** The staging table, or null when nothing comes in. */
  readonly staging: string | null;
}

function tableOutputs(manifest: BatchManifest): readonly Output[] {
  const changed = manifest.tables.filter((output) => output.partitions?.length !== 0);
  return changed.map((output) => {
    const contract = catalog.tables[output.table];
    if (contract === undefined) {
      throw new Permanent({
        code: 'unknown_table',
        message: `batch ${manifest.domain} ${manifest.sequence} carries ${output.table}, which no contract declares; deploy the same version of functions and jobs`,
      });
    }
    const [dataset = '', table = ''] = output.table.split('.');
    return {
      dataset,
      table,
      schema: bigqueryColumns(contract),
      replaces: replacedRows(contract, output),
      files: output.files,
      format: 'PARQUET',
      rows: output.rows,
    };
  });
}

/** Literal days, so that BigQuery prunes the partitions it need not touch. */
function replacedRows(contract: TableContract, output: TableOutput): string {
  if (output.partitions === null) return 'TRUE';
  const days = output.partitions.map((day) => `DATE '${day}'`).join(', ');
  return `${contract.partition} IN (${days})`;
}

/** Loads every table's files beside the tables people read; all at once, each under its own id. */
async function stageAll(
  world: World,
  of: { readonly domain: string; readonly sequence: number },
  outputs: readonly Output[],
  deadline: number,
): Promise<readonly Stage[]> {
  return Promise.all(
    outputs.map(async (output) => {
      if (output.files.length === 0) return { output, staging: null };
      const staging = stagingName(of, output);
      const rows = await runJob(world, `load_${staging}`, deadline, {
        start: (jobId) =>
          world.warehouse.load({
            jobId,
            dataset: STAGING,
            table: staging,
            uris: output.files,
            format: output.format,
            schema: output.schema,
          }),
        stillThere: () => stagingThere(world, staging),
      });
      if (rows !== output.rows) {
        throw new Permanent({
          code: 'row_count_differs',
          message: `${output.dataset}.${output.table}: the batch says ${output.rows} rows, BigQuery loaded ${rows}`,
        });
      }
      return { output, staging };
    }),
  );
}

/** Other files or another schema are another staging table and another job, never an adopted one. */
function stagingName(
  of: { readonly domain: string; readonly sequence: number },
  output: Output,
): string {
  const content = JSON.stringify([output.files, output.schema]);
  const hash = createHash('sha256').update(content).digest('hex').slice(0, 8);
  return `${of.domain}_${of.sequence}_${output.dataset}_${output.table}_${hash}`;
}

/** Staging tables expire by themselves; BigQuery remembers their jobs for longer. */
async function stagingThere(world: World, staging: string): Promise<boolean> {
  try {
    await world.warehouse.rows(`SELECT COUNT(*) AS found FROM \`${STAGING}.${staging}\``);
    return true;
  } catch (failure) {
    if (failure instanceof Permanent) return false;
    throw failure;
  }
}

/** The transaction: readers see all tables of the batch at once, or none of it. */
async function commit(
  world: World,
  of: Replacement,
  stages: readonly Stage[],
  deadline: number,
): Promise<void> {
  const { domain, sequence } = of;
  const sql = transaction(of, stages);
  const hash = createHash('sha256').update(sql).digest('hex').slice(0, 8);
  try {
    await runJob(world, `commit_${domain}_${sequence}_${hash}`, deadline, {
      start: (jobId) => world.warehouse.script({ jobId, sql }),
      stillThere: () => Promise.resolve(true),
    });
  } catch (failure) {
    // Another delivery of the same manifest may have been faster; the fence says so.
    if ((await fenceOf(world, domain)) >= sequence) return;
    throw failure;
  }
}

/** The script in its one fixed form. */
export function transaction(of: Replacement, stages: readonly Stage[]): string {
  const { domain, sequence, unmoved = new Map<string, number>() } = of;
  const fence = (name: string): string =>
    `(SELECT COALESCE(MAX(sequence), 0) FROM \`ops.fence\` WHERE domain = '${name}')`;
  const replaced = stages.flatMap(({ output, staging }) => {
    const target = `\`${output.dataset}.${output.table}\``;
    const columns = output.schema.map((column) => `\`${column.name}\``).join(', ');
    const gone = `DELETE FROM ${target} WHERE ${output.replaces}`;
    if (staging === null) return [gone];
    return [
      gone,
      `INSERT INTO ${target} (${columns}) SELECT ${columns} FROM \`${STAGING}.${staging}\``,
    ];
  });
  return [
    'BEGIN TRANSACTION',
    `ASSERT ${fence(domain)} < ${sequence} AS 'fence of ${domain} is at or above ${sequence}'`,
    ...[...unmoved].map(
      ([other, at]) =>
        `ASSERT ${fence(other)} = ${at} AS 'fence of ${other} is no longer at ${at}'`,
    ),
    ...replaced,
    `DELETE FROM \`ops.fence\` WHERE domain = '${domain}'`,
    `INSERT INTO \`ops.fence\` (\`domain\`, \`sequence\`) VALUES ('${domain}', ${sequence})`,
    'COMMIT TRANSACTION;',
  ].join(';\n');
}

/** After the commit: the record, the waiting list, the ledger; each may be found done. */
async function close(
  world: World,
  config: Config,
  manifest: BatchManifest,
  startedAt: string,
): Promise<void> {
  const { domain, sequence } = manifest;
  const bucket = config.buckets.control;
  const ledger = await stepLedger(world, bucket, domain, (held) => closing(held, sequence));
  if (ledger.in_flight?.sequence === sequence) {
    const done = new Set(manifest.runs);
    await removeWaiting(
      world,
      config,
      ledger.in_flight.runs.filter((run) => done.has(run.manifest)),
    );
    for (const request of manifest.recompute) {
      const there = await world.objects.stat(bucket, request);
      if (there !== null) {
        await world.objects.remove(bucket, request, { ifGeneration: there.generation });
      }
    }
  }
  await stepLedger(world, bucket, domain, (held) => {
    const next = loaded(held, manifest);
    return next.loaded === held.loaded && next.in_flight === held.in_flight ? null : next;
  });
  const record: LoadRecord = {
    format: 1,
    domain,
    sequence,
    started_at: startedAt,
    finished_at: iso(world.clock.now()),
    tables: manifest.tables.map(({ table, partitions, rows }) => ({
      table,
      partitions: partitions?.length ?? null,
      rows,
    })),
  };
  // Last: its notification starts the next batch, which must find the ledger closed.
  await createJson(world.objects, bucket, place.load(domain, sequence), record);
  world.log('INFO', 'batch_loaded', { domain, sequence, tables: manifest.tables.length });
  for (const told of unusualRejections(manifest.sources)) {
    world.log('ERROR', 'rejected_rate', told);
  }
}

/** Sources of which an unusual share of records broke its contract; a few always do. */
export function unusualRejections(outputs: BatchManifest['sources']): readonly {
  readonly source: string;
  readonly records: number;
  readonly rejected: number;
  readonly rate: number;
}[] {
  const sources = [...new Set(outputs.map(({ source }) => source))];
  return sources
    .map((source) => {
      const own = outputs.filter((output) => output.source === source);
      const records = own.reduce((sum, output) => sum + output.records, 0);
      const rejected = own.reduce((sum, output) => sum + output.rejected, 0);
      return { source, records, rejected, rate: records === 0 ? 0 : rejected / records };
    })
    .filter(({ rejected, rate }) => rejected >= REJECTED_LEAST && rate > REJECTED_SHARE);
}

/** The last sequence of a domain that readers see; 0 = none. */
export async function fenceOf(world: World, domain: string): Promise<number> {
  const [row] = await world.warehouse.rows(
    'SELECT COALESCE(MAX(sequence), 0) AS sequence FROM `ops.fence` WHERE domain = @domain',
    { domain },
  );
  return Number(row?.['sequence'] ?? 0);
}

/**
 * Runs a job under ids that follow from its name, adopting what an earlier try has started. A used
 * id is never run again, so a try that failed before, or whose result has gone, is passed over and
 * the next id taken.
 * @returns the rows a load has brought
 */
async function runJob(
  world: World,
  name: string,
  deadline: number,
  job: {
    readonly start: (jobId: string) => Promise<'started' | 'exists'>;
    readonly stillThere: () => Promise<boolean>;
  },
): Promise<number | null> {
  let fresh = 0;
  for (let attempt = 1; ; attempt += 1) {
    const jobId = `${name}_a${attempt}`;
    const began = await job.start(jobId);
    const state = await ended(world, jobId, deadline);
    if (state.state === 'done') {
      if (began === 'started' || (await job.stillThere())) return state.outputRows;
      continue;
    }
    if (began === 'exists') continue;
    fresh += 1;
    if (!passes(state) || fresh >= FRESH_TRIES) {
      const Kind = passes(state) ? Transient : Permanent;
      throw new Kind({
        code: 'job_failed',
        message: `BigQuery job ${jobId}: ${state.reason}: ${state.message}`,
      });
    }
    await world.clock.sleep(Math.min(60_000, 1_000 * 2 ** fresh) * (0.5 + world.random.next()));
  }
}

/** BigQuery's reasons that another try may cure (its page "Error messages"). */
const passing: ReadonlySet<string> = new Set([
  'backendError',
  'internalError',
  'jobBackendError',
  'jobInternalError',
  'jobRateLimitExceeded',
  'rateLimitExceeded',
  'quotaExceeded',
  'stopped',
  'timeout',
  'tableUnavailable',
  'aborted',
]);

/** Domains share the tables of `ops`, so their transactions may cancel each other; that is no fault. */
const passes = (failure: { readonly reason: string; readonly message: string }): boolean =>
  passing.has(failure.reason) || /concurrent (update|transaction)/i.test(failure.message);

async function ended(
  world: World,
  jobId: string,
  deadline: number,
): Promise<Extract<JobState, { state: 'done' | 'failed' }>> {
  for (let pause = 100; ; pause = Math.min(5_000, pause * 1.5)) {
    const state = await world.warehouse.job(jobId);
    if (state.state === 'done' || state.state === 'failed') return state;
    if (state.state === 'missing') {
      throw new Transient({ code: 'job_vanished', message: `BigQuery does not know job ${jobId}` });
    }
    if (world.clock.now() > deadline) {
      throw new Transient({ code: 'job_slow', message: `BigQuery job ${jobId} is still running` });
    }
    await world.clock.sleep(pause);
  }
}

const iso = (ms: number): string => new Date(ms).toISOString();
