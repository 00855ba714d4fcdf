/** What a job is asked to do, in the REST API's words. */
import { Refusal } from './refusal.ts';
import type { Field, TimePartitioning } from './type.ts';

interface TableReference {
  readonly projectId?: string;
  readonly datasetId: string;
  readonly tableId: string;
}

export interface LoadConfiguration {
  readonly sourceUris?: readonly string[];
  readonly sourceFormat?: string;
  readonly destinationTable: TableReference;
  readonly schema?: { readonly fields?: readonly Field[] };
  readonly writeDisposition?: string;
  readonly createDisposition?: string;
  readonly ignoreUnknownValues?: boolean;
  readonly maxBadRecords?: number;
  readonly autodetect?: boolean;
  readonly parquetOptions?: { readonly enableListInference?: boolean };
  readonly decimalTargetTypes?: readonly string[];
  readonly fileSetSpecType?: string;
  readonly timePartitioning?: TimePartitioning;
  readonly clustering?: unknown;
  readonly [other: string]: unknown;
}

export interface QueryConfiguration {
  readonly query: string;
  readonly useLegacySql?: boolean;
  readonly destinationTable?: TableReference;
  readonly writeDisposition?: string;
  readonly createDisposition?: string;
  readonly defaultDataset?: { readonly datasetId: string; readonly projectId?: string };
  readonly maximumBytesBilled?: string;
  readonly parameterMode?: string;
  readonly queryParameters?: readonly unknown[];
  readonly [other: string]: unknown;
}

export interface JobConfiguration {
  readonly load?: LoadConfiguration;
  readonly query?: QueryConfiguration;
  readonly dryRun?: boolean;
  readonly [other: string]: unknown;
}

/** What a load may say; the rest would change its meaning and is refused. */
const LOAD_KEYS = new Set(
  (
    'sourceUris sourceFormat destinationTable schema writeDisposition createDisposition ignoreUnknownValues ' +
    'maxBadRecords autodetect parquetOptions decimalTargetTypes fileSetSpecType timePartitioning clustering'
  ).split(' '),
);
const QUERY_KEYS = new Set(
  (
    'query useLegacySql defaultDataset maximumBytesBilled parameterMode queryParameters useQueryCache labels priority ' +
    'jobCreationMode destinationTable'
  ).split(' '),
);

/** Refuses a configuration that says more than this server knows. */
export function checkConfiguration({ load, query }: JobConfiguration): void {
  const check = (what: string, given: object | undefined, known: ReadonlySet<string>): void => {
    for (const [key, value] of Object.entries(given ?? {}))
      if (!known.has(key) && value !== undefined && value !== null && value !== false)
        throw new Refusal('invalid', `configuration.${what}.${key} is not supported locally`);
  };
  check('load', load, LOAD_KEYS);
  check('query', query, QUERY_KEYS);
  check('load.parquetOptions', load?.parquetOptions, new Set(['enableListInference']));
  const decimals = load?.decimalTargetTypes ?? ['NUMERIC'];
  if (decimals.join() !== 'NUMERIC')
    throw new Refusal('invalid', `decimalTargetTypes ${decimals.join()} is not supported locally`);
  if (load?.autodetect === true && load.sourceFormat !== 'PARQUET')
    throw new Refusal('invalid', 'autodetect is not supported locally; state the schema');
}
