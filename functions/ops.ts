/**
 * The rows of `ops`: what the manifests say, as tables. The manifests are the truth; these rows are
 * written with every batch and rebuilt by day from the manifests.
 */

import type { RowOf, TableContract } from '../schemas/contract.ts';
import { bigqueryColumns } from '../schemas/derive/bigquery.ts';
import { batches } from '../schemas/ops/tables/batches.ts';
import { freshness } from '../schemas/ops/tables/freshness.ts';
import { loads } from '../schemas/ops/tables/loads.ts';
import { quality } from '../schemas/ops/tables/quality.ts';
import { rejected } from '../schemas/ops/tables/rejected.ts';
import { runs } from '../schemas/ops/tables/runs.ts';
import type { Config } from './config.ts';
import type { InFlight } from './ledger.ts';
import {
  type BatchManifest,
  batchName,
  type FailedRun,
  place,
  type RunManifest,
  readJson,
  runNamed,
} from './manifest.ts';
import type { Output } from './replace_rows.ts';
import type { World } from './world.ts';

export type RunRow = RowOf<typeof runs>;
export type BatchRow = RowOf<typeof batches>;
export type FreshnessRow = RowOf<typeof freshness>;

/** What became of a run, as far as the manifests tell. */
export type RunOutcome =
  | { readonly state: 'landed' }
  | { readonly state: 'loaded' | 'transformed'; readonly batch: BatchManifest }
  | { readonly state: 'failed'; readonly failure: FailedRun };

/** The `ops` rows that appear with a batch, in the same transaction as its tables. */
export async function opsOutputs(
  world: World,
  config: Config,
  manifest: BatchManifest,
): Promise<readonly Output[]> {
  const { domain, sequence } = manifest;
  const now = iso(world.clock.now());
  const taken = await Promise.all(
    manifest.runs.map((name) => readJson<RunManifest>(world.objects, config.buckets.control, name)),
  );
  const runRows = taken.flatMap((found) =>
    found === null ? [] : [runRow(found.value, { state: 'loaded', batch: manifest })],
  );
  const days = [...new Set(runRows.map((row) => row.run_date))].sort();
  const replaced = theseRuns(manifest.runs);
  // Bounded by day, so that a batch never reads years of its own records.
  const runDays = days.length === 0 ? 'FALSE' : `run_date IN (${dates(days)}) AND (${replaced})`;
  const refused =
    days.length === 0 ? 'FALSE' : `rejected_date >= DATE '${days[0]}' AND (${replaced})`;
  const ofBatch = `domain = '${domain}' AND sequence = ${sequence}`;
  const folder = `staging/${domain}/${sequence}`;
  return [
    await written(world, config, folder, 'runs', runs, runRows, runDays, now),
    await written(world, config, folder, 'batches', batches, [batchRow(manifest)], ofBatch, now),
    await written(world, config, folder, 'loads', loads, loadRows(manifest, now), ofBatch, now),
    await written(world, config, folder, 'quality', quality, qualityRows(manifest), ofBatch, now),
    {
      dataset: 'ops',
      table: 'rejected',
      schema: bigqueryColumns(rejected),
      replaces: refused,
      files: manifest.rejected.files,
      format: 'PARQUET',
      rows: manifest.rejected.rows,
    },
  ];
}

/** The rows that a rebuild by day replaces: what the sweep writes. */
export async function rebuiltOutputs(
  world: World,
  config: Config,
  of: {
    /** Epoch seconds of the sweep: names the staging folder. */
    readonly sequence: number;
    readonly days: readonly string[];
    readonly runs: readonly RunRow[];
    readonly batches: readonly BatchRow[];
    readonly freshness: readonly FreshnessRow[];
  },
): Promise<readonly Output[]> {
  const now = iso(world.clock.now());
  const folder = `staging/ops/${of.sequence}`;
  const outputs = [
    await written(world, config, folder, 'freshness', freshness, of.freshness, 'FALSE', now),
  ];
  if (of.days.length > 0) {
    // What is loaded stands since its own transaction; the sweep writes what is not, or not yet.
    const names = of.runs.map(({ source, run }) => {
      const [domain = '', name = ''] = source.split('.');
      return place.run(domain, name, run);
    });
    // The runs that are written go by name too: whatever their rows said, there is one row of each.
    const open = `run_date IN (${dates(of.days)}) AND (state != 'loaded' OR ${theseRuns(names)})`;
    outputs.push(await written(world, config, folder, 'runs', runs, of.runs, open, now));
    const unloaded = "state != 'loaded'";
    outputs.push(
      await written(world, config, folder, 'batches', batches, of.batches, unloaded, now),
    );
  }
  return outputs;
}

export function runRow(manifest: RunManifest, outcome: RunOutcome): RunRow {
  const source = `${manifest.domain}.${manifest.source}`;
  const batch = 'batch' in outcome ? outcome.batch : null;
  const counted = batch?.sources.find(
    (output) => output.source === source && output.run === manifest.run,
  );
  const { window } = manifest;
  return {
    run_date: manifest.finished_at.slice(0, 10),
    run: manifest.run,
    source,
    window: window === null ? null : `${window.pass} ${window.from} to ${window.to}`,
    records: counted?.records ?? manifest.records,
    rejected: counted?.rejected ?? null,
    bytes: manifest.bytes,
    started_at: manifest.started_at,
    finished_at: manifest.finished_at,
    // A run without files has nothing to transform or load: reading it was all there was to do.
    state: manifest.files.length === 0 ? 'loaded' : outcome.state,
    error: 'failure' in outcome ? outcome.failure.reason : null,
    domain: manifest.domain,
    pass: window?.pass ?? null,
    ...covered(manifest),
    attempt: manifest.attempt,
    files: manifest.files.length,
    sequence: batch?.sequence ?? null,
  };
}

/** The part of its window that a run has read: what remained is the next run's. */
function covered({ window, remaining }: RunManifest): Pick<RunRow, 'window_from' | 'window_to'> {
  if (window === null) return { window_from: null, window_to: null };
  if (remaining === null || remaining.cursor !== undefined) {
    return { window_from: window.from, window_to: window.to };
  }
  return remaining.to < window.to
    ? { window_from: remaining.to, window_to: window.to }
    : { window_from: window.from, window_to: remaining.from };
}

/** A batch that is not loaded yet, as the ledger knows it. */
export function inFlightRow(domain: string, flight: InFlight): BatchRow {
  const last = flight.failures.at(-1);
  return {
    batch_date: flight.claimed_at.slice(0, 10),
    batch: batchName(domain, flight.sequence, flight.attempt),
    domain,
    sequence: flight.sequence,
    attempt: flight.attempt,
    state: 'in_flight',
    runs: flight.runs.length,
    recomputes: flight.recompute.length,
    records: null,
    rejected: null,
    tables: null,
    partitions: null,
    rows: null,
    stale_left: null,
    code_version: null,
    started_at: flight.attempted_at,
    finished_at: null,
    seconds: null,
    error: last?.reason ?? null,
  };
}

function batchRow(manifest: BatchManifest): BatchRow {
  const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
  return {
    batch_date: manifest.finished_at.slice(0, 10),
    batch: batchName(manifest.domain, manifest.sequence, manifest.attempt),
    domain: manifest.domain,
    sequence: manifest.sequence,
    attempt: manifest.attempt,
    state: 'loaded',
    runs: manifest.runs.length,
    recomputes: manifest.recompute.length,
    records: sum(manifest.sources.map((source) => source.records)),
    rejected: sum(manifest.sources.map((source) => source.rejected)),
    tables: manifest.tables.length,
    partitions: sum(manifest.tables.map((table) => table.partitions?.length ?? 0)),
    rows: sum(manifest.tables.map((table) => table.rows)),
    stale_left: manifest.stale_left,
    code_version: manifest.code_version,
    started_at: manifest.started_at,
    finished_at: manifest.finished_at,
    seconds: JSON.stringify(manifest.seconds),
    error: null,
  };
}

const loadRows = (manifest: BatchManifest, now: string): readonly RowOf<typeof loads>[] =>
  manifest.tables.map((output) => ({
    load_date: now.slice(0, 10),
    domain: manifest.domain,
    sequence: manifest.sequence,
    table: output.table,
    partitions: output.partitions?.length ?? null,
    rows: output.rows,
    started_at: manifest.finished_at,
    finished_at: now,
  }));

const qualityRows = (manifest: BatchManifest): readonly RowOf<typeof quality>[] =>
  manifest.quality.map((check) => ({
    batch_date: manifest.finished_at.slice(0, 10),
    batch: batchName(manifest.domain, manifest.sequence, manifest.attempt),
    subject: check.subject,
    check: check.check,
    rows: check.rows,
    failed: check.failed,
    failed_rate: check.rows === 0 ? null : check.failed / check.rows,
    threshold: check.threshold,
    passed: check.passed,
    domain: manifest.domain,
    sequence: manifest.sequence,
  }));

const dates = (days: readonly string[]): string => days.map((day) => `DATE '${day}'`).join(', ');

/** GoogleSQL for "rows of these runs"; a run's name is its own only within its source. */
function theseRuns(manifests: readonly string[]): string {
  const bySource = new Map<string, string[]>();
  for (const name of manifests) {
    const of = runNamed(name);
    if (of === null) continue;
    const source = `${of.domain}.${of.source}`;
    bySource.set(source, [...(bySource.get(source) ?? []), of.run]);
  }
  if (bySource.size === 0) return 'FALSE';
  return [...bySource]
    .map(([source, names]) => {
      const list = names.map((name) => `'${name}'`).join(', ');
      return `(source = '${source}' AND run IN (${list}))`;
    })
    .join(' OR ');
}

/** Writes rows as a file for a load job; a second delivery takes the file that is there. */
async function written(
  world: World,
  config: Config,
  folder: string,
  table: string,
  contract: TableContract,
  rows: readonly Readonly<Record<string, unknown>>[],
  replaces: string,
  now: string,
): Promise<Output> {
  const bucket = config.buckets.control;
  const name = `${folder}/${table}.json`;
  const lines = rows.map((row) => `${JSON.stringify({ ...row, updated_at: now })}\n`).join('');
  if (rows.length > 0) {
    await world.objects.write(bucket, name, Buffer.from(lines), {
      ifGeneration: '0',
      contentType: 'application/x-ndjson',
    });
  }
  return {
    dataset: 'ops',
    table,
    schema: bigqueryColumns(contract),
    replaces,
    files: rows.length > 0 ? [`gs://${bucket}/${name}`] : [],
    format: 'NEWLINE_DELIMITED_JSON',
    rows: rows.length,
  };
}

const iso = (ms: number): string => new Date(ms).toISOString();
