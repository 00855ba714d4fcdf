/**
 * Load: a transformed batch becomes visible in BigQuery, whole.
 *
 * The listed partitions of all its tables are replaced in one transaction (replace_rows.ts), and a
 * batch that is loaded is known by the fence. Then the load record is created, the waiting markers
 * go, and the ledger is closed.
 */

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
import { fenceOf, type Output, replaceRows } from './replace_rows.ts';
import type { World } from './world.ts';

/** Stage and commit together; shorter than the function's timeout. */
const PATIENCE_MS = 8 * 60_000;

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

const iso = (ms: number): string => new Date(ms).toISOString();
