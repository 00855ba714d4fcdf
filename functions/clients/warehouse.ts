/** BigQuery through its official client, behind the few verbs that the pipeline needs. */
import type { BigQuery } from '@google-cloud/bigquery';
import { Permanent, Transient } from '../errors.ts';
import type { JobState, Warehouse } from '../world.ts';

export interface WarehouseOptions {
  readonly projectId: string;
  /** Of datasets and jobs. Always stated: a job without it lands in US and finds nothing. */
  readonly location: string;
  /** Another server than Google's, e.g. the local one; plain HTTP is asked without credentials. */
  readonly apiEndpoint?: string;
  /** A query that would cost more is refused by BigQuery before it reads anything. */
  readonly maximumBytesBilled?: string;
}

/** One error class answers "retry?"; BigQuery's page "Error messages" says the same of these reasons. */
const RETRIED: ReadonlySet<string> = new Set([
  'backendError',
  'internalError',
  'quotaExceeded',
  'rateLimitExceeded',
  'jobRateLimitExceeded',
  'jobBackendError',
  'jobInternalError',
  'tableUnavailable',
  'timeout',
  'stopped',
  'resourcesExceeded',
]);

export function bigqueryWarehouse(options: WarehouseOptions): Warehouse {
  const { location } = options;
  let opened: Promise<BigQuery> | undefined;
  const client = (): Promise<BigQuery> => {
    opened ??= bigqueryClient(options);
    return opened;
  };

  /** A known id is no error: whoever started that job before asked for the same thing. */
  const start = async (
    jobId: string,
    configuration: Record<string, unknown>,
  ): Promise<'started' | 'exists'> => {
    const bigquery = await client();
    try {
      // createJob, and an object made for this one call: table.createLoadJob() strips the id and
      // the location from what it is given, and a second try would start a nameless job.
      await bigquery.createJob({ jobId, location, configuration });
      return 'started';
    } catch (error) {
      if (isDuplicate(error)) return 'exists';
      // The client throws for a job that was taken and has failed at once; its state tells why.
      if (isJob(error)) return 'started';
      throw warehouseFailure(`starting ${jobId}`, error);
    }
  };

  return {
    load: ({ jobId, dataset, table, uris, format, schema }) =>
      start(jobId, {
        load: {
          destinationTable: { projectId: options.projectId, datasetId: dataset, tableId: table },
          sourceUris: [...uris],
          sourceFormat: format,
          schema: { fields: schema.map((field) => ({ ...field })) },
          writeDisposition: 'WRITE_TRUNCATE',
          createDisposition: 'CREATE_IF_NEEDED',
          // Else Spark's arrays arrive as STRUCT<list ARRAY<STRUCT<element>>>.
          ...(format === 'PARQUET' && { parquetOptions: { enableListInference: true } }),
        },
      }),
    script: ({ jobId, sql }) => start(jobId, { query: { query: sql, useLegacySql: false } }),
    job: async (jobId) => {
      const bigquery = await client();
      try {
        const [metadata] = await bigquery.job(jobId, { location }).getMetadata();
        return stateOf(metadata as JobMetadata);
      } catch (error) {
        if (statusOf(error) === 404) return { state: 'missing' };
        throw warehouseFailure(`asking for ${jobId}`, error);
      }
    },
    rows: async (sql, params) => {
      const bigquery = await client();
      const { maximumBytesBilled } = options;
      try {
        const [rows] = await bigquery.query({
          query: sql,
          location,
          ...(params !== undefined && { params: { ...params } }),
          ...(maximumBytesBilled !== undefined && { maximumBytesBilled }),
        });
        return rows as readonly Readonly<Record<string, unknown>>[];
      } catch (error) {
        throw warehouseFailure('a query', error);
      }
    },
    dropTable: async (dataset, table) => {
      const bigquery = await client();
      try {
        await bigquery.dataset(dataset).table(table).delete();
      } catch (error) {
        if (statusOf(error) !== 404) throw warehouseFailure(`dropping ${dataset}.${table}`, error);
      }
    },
  };
}

/** The official client. It is read on first use: a function that never asks does not pay for it. */
export async function bigqueryClient(
  options: Pick<WarehouseOptions, 'projectId' | 'location' | 'apiEndpoint'>,
): Promise<BigQuery> {
  const { BigQuery: Client } = await import('@google-cloud/bigquery');
  const { projectId, location, apiEndpoint } = options;
  if (apiEndpoint === undefined) return new Client({ projectId, location });
  if (!apiEndpoint.startsWith('http://')) return new Client({ projectId, location, apiEndpoint });
  const { PassThroughClient } = await import('google-auth-library');
  return new Client({ projectId, location, apiEndpoint, authClient: new PassThroughClient() });
}

interface JobMetadata {
  readonly status?: {
    readonly state?: string;
    readonly errorResult?: { readonly reason?: string; readonly message?: string };
  };
  readonly statistics?: { readonly load?: { readonly outputRows?: string } };
}

/** DONE is not success: errorResult decides. `status.errors` may name what BigQuery tolerated. */
function stateOf({ status, statistics }: JobMetadata): JobState {
  if (status?.state !== 'DONE') return { state: 'running' };
  const { errorResult } = status;
  if (errorResult !== undefined)
    return {
      state: 'failed',
      reason: errorResult.reason ?? 'unknown',
      message: errorResult.message ?? '',
    };
  const rows = statistics?.load?.outputRows;
  return { state: 'done', outputRows: rows === undefined ? null : Number(rows) };
}

interface ApiFault {
  readonly code?: number | string;
  readonly message?: string;
  readonly errors?: readonly { readonly reason?: string }[];
}

const statusOf = (error: unknown): number => Number((error as ApiFault).code);

const reasonOf = (error: unknown): string | undefined => (error as ApiFault).errors?.[0]?.reason;

const isJob = (error: unknown): boolean =>
  (error as { readonly response?: { readonly jobReference?: unknown } }).response?.jobReference !==
  undefined;

const isDuplicate = (error: unknown): boolean =>
  statusOf(error) === 409 && (reasonOf(error) ?? 'duplicate') === 'duplicate';

/** Transient or Permanent, by BigQuery's reason, else by status; no status is trouble with the network. */
export function warehouseFailure(about: string, error: unknown): Transient | Permanent {
  const status = statusOf(error);
  const reason = reasonOf(error);
  const message = `BigQuery, ${about}: ${(error as ApiFault).message ?? String(error)}`;
  const code = `bigquery_${(reason ?? (Number.isNaN(status) ? 'unreachable' : `${status}`)).replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}`;
  const retried = reason !== undefined && RETRIED.has(reason);
  const Kind =
    retried || Number.isNaN(status) || status === 429 || status >= 500 ? Transient : Permanent;
  return new Kind({ code, message, cause: error });
}
