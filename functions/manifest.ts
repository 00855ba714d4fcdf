/**
 * The messages between stages. A manifest is created once, last, and only a manifest starts the
 * next stage. They are the truth that `ops` is rebuilt from.
 *
 * Layout of the control bucket:
 *   runs/<domain>/<source>/<run>.json            a landed run (run manifest)
 *   waiting/<domain>/<source>/<run>              marker: this run is still to be transformed
 *   ledgers/<domain>.json                        ledger.ts
 *   claims/<domain>/<batch>.json                 what one attempt of a batch is to do
 *   batches/<domain>/<sequence>.json             a transformed batch (batch manifest)
 *   failures/<domain>/<batch>.json               why an attempt gave up, written by the job
 *   loads/<domain>/<sequence>.json               a loaded batch (load record)
 *   failed/<domain>/<source>/<run>/<sequence>    a run that failed alone and was set aside
 *   recompute/<domain>/<table>/<request>.json    partitions an operator wants computed again
 *   staging/<domain>/<sequence>/...              rows of `ops` on their way to BigQuery
 *   litter/<domain>/<day>                        that day's litter has been removed
 *   checkpoints/<domain>/<source>.json           checkpoint.ts
 *   keys/<domain>/<source>/...                   keys known from full listings
 *   uploads/edge.json                            up to when the inbox has been looked through
 *   uploads/misplaced/<run>.json                 an uploaded file that names no source
 */

import { Permanent } from './errors.ts';
import type { Window } from './window.ts';
import type { Objects } from './world.ts';

/** A file that counts: exactly this generation, with this checksum. */
export interface LandedFile {
  /** Object name in the bronze bucket. */
  readonly name: string;
  readonly generation: string;
  readonly crc32c: string;
  /** Compressed size. */
  readonly bytes: number;
  readonly lines: number;
}

/** The uploaded file that a run was read from. */
export interface UploadedFile {
  /** Its place in the inbox bucket. */
  readonly name: string;
  readonly generation: string;
  /** Its copy in bronze, byte for byte: kept beside the lines, never read as lines. */
  readonly original: Omit<LandedFile, 'lines'>;
  /** Records without any value: left out. */
  readonly blank: number;
  /** CSV records with more or fewer fields than the header; landed with what they have. */
  readonly ragged: number;
  /** Pieces that could not be read: landed to be refused by name. */
  readonly refused: number;
}

/** One landing of one source. */
export interface RunManifest {
  readonly format: 1;
  readonly domain: string;
  readonly source: string;
  readonly run: string;
  /** The attempt whose files these are; other attempts' files are litter. */
  readonly attempt: string;
  /** The window a pull began to read, or null. */
  readonly window: Window | null;
  /** What of that window was left unread; null = nothing. The checkpoint moves to exactly this. */
  readonly remaining: Window | null;
  readonly started_at: string;
  readonly finished_at: string;
  readonly files: readonly LandedFile[];
  /** Records as the reader counted them; Spark's count is the judge. */
  readonly records: number;
  readonly bytes: number;
  /** Messages by the minute they were published in (`2026-11-21T12:03`); only of drained runs. */
  readonly published?: Readonly<Record<string, number>>;
  /** Only of runs that come from an uploaded file. */
  readonly upload?: UploadedFile;
}

/** What one attempt of a batch is to do; the Spark job's only argument beside its settings. */
export interface Claim {
  readonly format: 1;
  readonly domain: string;
  readonly sequence: number;
  readonly attempt: number;
  /** Object names of run manifests in the control bucket. */
  readonly runs: readonly string[];
  /** Object names of recompute requests taken up by this batch. */
  readonly recompute: readonly string[];
  /** Delta versions as of the last loaded batch, by path below the lake; absent = from nothing. */
  readonly base: Readonly<Record<string, number>>;
  readonly claimed_at: string;
}

/** One table of a batch: the listed partitions are replaced by the listed files. */
export interface TableOutput {
  readonly table: string;
  /** ISO days, also those that are now empty; null = the whole table is replaced. */
  readonly partitions: readonly string[] | null;
  /** gs:// URIs of Parquet files holding exactly the new content of those partitions. */
  readonly files: readonly string[];
  readonly rows: number;
}

export interface SourceOutput {
  readonly source: string;
  readonly run: string;
  /** Records found in the run's payloads. */
  readonly records: number;
  readonly rejected: number;
}

export interface QualityCheck {
  /** Full name of the table or source. */
  readonly subject: string;
  /** `unique_key`, `orphaned_events`, `unknown_bounce_category`, ... */
  readonly check: string;
  readonly rows: number;
  readonly failed: number;
  /** Share above which the check did not pass; null = it only reports. */
  readonly threshold: number | null;
  readonly passed: boolean;
}

/** A transformed batch, created by the Spark job through Storage's API. */
export interface BatchManifest {
  readonly format: 1;
  readonly domain: string;
  readonly sequence: number;
  readonly attempt: number;
  readonly code_version: string;
  readonly started_at: string;
  readonly finished_at: string;
  readonly runs: readonly string[];
  readonly recompute: readonly string[];
  readonly sources: readonly SourceOutput[];
  readonly tables: readonly TableOutput[];
  readonly quality: readonly QualityCheck[];
  /** gs:// URIs of Parquet files with this batch's rows for `ops.rejected` (masked). */
  readonly rejected: { readonly files: readonly string[]; readonly rows: number };
  /** Delta versions this batch ends with, by path below the lake: the next batch's base. */
  readonly versions: Readonly<Record<string, number>>;
  /** Partitions still stale after this batch, over all tables. */
  readonly stale_left: number;
  /** Seconds by step, for people who ask where the time went. */
  readonly seconds: Readonly<Record<string, number>>;
}

/** Why an attempt of a batch gave up, written by the job before it exits. */
export interface BatchFailure {
  readonly domain: string;
  readonly sequence: number;
  readonly attempt: number;
  readonly code: string;
  readonly message: string;
  /**
   * Whether this attempt had begun to change silver. If so, leaving runs out of the next attempt
   * cannot cure it: what they brought is already there.
   */
  readonly merged: boolean;
  /** Whether a service stayed away: neither the records nor the code are to blame. */
  readonly outside: boolean;
  readonly failed_at: string;
}

export interface LoadRecord {
  readonly format: 1;
  readonly domain: string;
  readonly sequence: number;
  readonly started_at: string;
  readonly finished_at: string;
  readonly tables: readonly {
    readonly table: string;
    readonly partitions: number | null;
    readonly rows: number;
  }[];
}

/** A run that failed alone, set aside so that its domain goes on. */
export interface FailedRun {
  readonly run: string;
  readonly sequence: number;
  readonly reason: string;
  readonly failed_at: string;
}

/** An uploaded file that names no source, as it was met. */
export interface MisplacedFile {
  readonly format: 1;
  /** Its place in the inbox bucket. */
  readonly file: string;
  readonly generation: string;
  readonly arrived_at: string;
  readonly reason: string;
}

export const batchName = (domain: string, sequence: number, attempt: number): string =>
  `${domain}-${sequence}-${attempt}`;

/** Where each kind of control object lies; the one place that spells these names. */
export const place = {
  run: (domain: string, source: string, run: string) => `runs/${domain}/${source}/${run}.json`,
  waiting: (domain: string, source: string, run: string) => `waiting/${domain}/${source}/${run}`,
  empty: (domain: string, source: string, day: string, run: string) =>
    `${place.emptyUnder(domain, source, day)}${run}`,
  emptyUnder: (domain: string, source: string, day: string): string =>
    `empty/${domain}/${source}/${day}/`,
  waitingUnder: (domain: string) => `waiting/${domain}/`,
  ledger: (domain: string) => `ledgers/${domain}.json`,
  claim: (domain: string, sequence: number, attempt: number) =>
    `claims/${domain}/${batchName(domain, sequence, attempt)}.json`,
  batch: (domain: string, sequence: number) => `batches/${domain}/${padded(sequence)}.json`,
  failure: (domain: string, sequence: number, attempt: number) =>
    `failures/${domain}/${batchName(domain, sequence, attempt)}.json`,
  litter: (domain: string, day: string) => `litter/${domain}/${day}`,
  load: (domain: string, sequence: number) => `loads/${domain}/${padded(sequence)}.json`,
  failed: (domain: string, source: string, run: string, sequence: number) =>
    `failed/${domain}/${source}/${run}/${padded(sequence)}.json`,
  recompute: (domain: string, table: string, request: string) =>
    `recompute/${domain}/${table}/${request}.json`,
  recomputeUnder: (domain: string) => `recompute/${domain}/`,
  uploadsEdge: 'uploads/edge.json',
  misplaced: (run: string) => `${place.misplacedUnder}${run}.json`,
  misplacedUnder: 'uploads/misplaced/',
  checkpoint: (domain: string, source: string) => `checkpoints/${domain}/${source}.json`,
  bronze: (domain: string, source: string, day: string, run: string, attempt: string) =>
    `${domain}/${source}/dt=${day}/run=${run}/attempt=${attempt}/`,
} as const;

/** Ten digits, so that names sort as the numbers do. */
const padded = (sequence: number): string => String(sequence).padStart(10, '0');

/** `runs/email/contacts/x.json` or `waiting/email/contacts/x` -> its parts; null for another name. */
export function runNamed(
  name: string,
): { readonly domain: string; readonly source: string; readonly run: string } | null {
  const parts = /^(?:runs|waiting)\/([^/]+)\/([^/]+)\/([^/]+?)(?:\.json)?$/.exec(name);
  if (parts === null) return null;
  const [, domain, source, run] = parts as unknown as [string, string, string, string];
  return { domain, source, run };
}

/**
 * Refuses a batch manifest whose words would not be safe in SQL: the load identity must not run
 * what somebody else could write.
 */
export function checkManifest(manifest: BatchManifest): BatchManifest {
  const faults = [
    ...manifest.tables.flatMap((table) => table.partitions ?? []).filter((day) => !isDay(day)),
    ...manifest.runs.filter((run) => !/^runs\/[a-z0-9_]+\/[a-z0-9_]+\/[a-z0-9-]+\.json$/.test(run)),
    ...(/^[a-z][a-z0-9]*$/.test(manifest.domain) ? [] : [manifest.domain]),
  ];
  const uncounted = manifest.tables.filter(({ files, rows }) => files.length === 0 && rows !== 0);
  if (faults.length > 0 || uncounted.length > 0) {
    throw new Permanent({
      code: 'manifest_wrong',
      message: `batch manifest ${manifest.domain} ${manifest.sequence} is refused: ${JSON.stringify([...faults, ...uncounted]).slice(0, 500)}`,
    });
  }
  return manifest;
}

const isDay = (text: string): boolean => /^\d{4}-\d{2}-\d{2}$/.test(text);

/** A control object's JSON, or null when it is absent. Damaged JSON is an alarm, not an absence. */
export async function readJson<T>(
  objects: Objects,
  bucket: string,
  name: string,
): Promise<{ readonly value: T; readonly generation: string } | null> {
  const found = await objects.read(bucket, name);
  if (found === null) return null;
  try {
    return { value: JSON.parse(found.bytes.toString()) as T, generation: found.object.generation };
  } catch (cause) {
    throw new Permanent({
      code: 'control_object_damaged',
      message: `gs://${bucket}/${name} (generation ${found.object.generation}) is not JSON; restore an earlier generation`,
      cause,
    });
  }
}

/** Creates a control object once; `exists` = it was there before, and what is there counts. */
export async function createJson(
  objects: Objects,
  bucket: string,
  name: string,
  value: unknown,
): Promise<'created' | 'exists'> {
  const bytes = Buffer.from(JSON.stringify(value));
  const { outcome } = await objects.write(bucket, name, bytes, {
    ifGeneration: '0',
    contentType: 'application/json',
  });
  return outcome === 'written' ? 'created' : 'exists';
}
