/** Reads the environment: once, in this file only, with every fault reported together. */
import { Permanent } from './errors.ts';
import { type CollectSettings, type SparkSettings, type Variable, variables } from './settings.ts';

/** Services whose endpoint a deployment may name (private access, or the local cloud). */
export interface Endpoints {
  readonly storage?: string;
  readonly pubsub?: string;
  /** `host:port` of Pub/Sub's gRPC face. */
  readonly pubsub_grpc?: string;
  readonly bigquery?: string;
  readonly dataproc?: string;
  readonly secrets?: string;
}

export interface Config {
  readonly project: string;
  readonly region: string;
  readonly location: string;
  readonly environment: string;
  readonly buckets: {
    readonly bronze: string;
    readonly control: string;
    readonly lake: string;
    readonly rejected: string;
    readonly inbox: string;
  };
  readonly hubspot: {
    readonly url: string;
    readonly secret: string;
    /** Share of the daily quota this pipeline may use. */
    readonly dailyShare: number;
  };
  /** The REST API a pull function serves. */
  readonly api: { readonly url: string; readonly secret: string };
  /** The database a pull function serves: its secret holds the connection URL. */
  readonly database: { readonly secret: string };
  readonly collect: CollectSettings | null;
  readonly spark: SparkSettings | null;
  readonly endpoints: Endpoints;
}

const text = (value: string): string => {
  if (value.trim() === '') throw new Error('is empty');
  return value;
};

const baseUrl = (value: string): string => text(value).replace(/\/+$/, '');

const share = (value: string): number => {
  const number = Number(value);
  if (!(number > 0 && number <= 1)) throw new Error(`is ${value}, not a share above 0 and up to 1`);
  return number;
};

const json = (value: string): unknown => {
  const parsed: unknown = JSON.parse(value);
  if (typeof parsed !== 'object' || parsed === null) throw new Error('is not a JSON object');
  return parsed;
};

/** Optional everywhere: a plain project has no other endpoints. */
const optional: readonly Variable[] = ['TRIBUTARY_ENDPOINTS'];

const parsers: Readonly<Record<Variable, (value: string) => unknown>> = {
  TRIBUTARY_PROJECT: text,
  TRIBUTARY_REGION: text,
  TRIBUTARY_LOCATION: text,
  TRIBUTARY_ENVIRONMENT: text,
  TRIBUTARY_BUCKET_BRONZE: text,
  TRIBUTARY_BUCKET_CONTROL: text,
  TRIBUTARY_BUCKET_LAKE: text,
  TRIBUTARY_BUCKET_REJECTED: text,
  TRIBUTARY_BUCKET_INBOX: text,
  TRIBUTARY_HUBSPOT_URL: baseUrl,
  TRIBUTARY_HUBSPOT_SECRET: text,
  TRIBUTARY_HUBSPOT_DAILY_SHARE: share,
  TRIBUTARY_API_URL: baseUrl,
  TRIBUTARY_API_SECRET: text,
  TRIBUTARY_DATABASE_SECRET: text,
  TRIBUTARY_COLLECT: json,
  TRIBUTARY_SPARK: json,
  TRIBUTARY_ENDPOINTS: json,
};

/**
 * The configuration of one function.
 * @param needed the variables its settings declare; others must be absent
 * @throws Permanent naming every missing, unknown or unreadable variable at once
 */
export function readConfig(
  environment: Readonly<Record<string, string | undefined>>,
  needed: readonly Variable[],
): Config {
  const faults: string[] = [];
  const values = new Map<Variable, unknown>();
  for (const name of needed) {
    const value = environment[name];
    if (value === undefined) {
      if (!optional.includes(name)) faults.push(`${name} is missing: ${variables[name]}`);
      continue;
    }
    try {
      values.set(name, parsers[name](value));
    } catch (fault) {
      faults.push(`${name} ${fault instanceof Error ? fault.message : String(fault)}`);
    }
  }
  for (const name of Object.keys(environment)) {
    if (name.startsWith('TRIBUTARY_') && !needed.includes(name as Variable)) {
      faults.push(
        name in variables
          ? `${name} is set, but this function does not read it`
          : `${name} is unknown`,
      );
    }
  }
  if (faults.length > 0) {
    throw new Permanent({
      code: 'configuration',
      message: `the configuration is wrong: ${faults.join('; ')}`,
    });
  }
  const at = (name: Variable): string => (values.get(name) as string | undefined) ?? '';
  return Object.freeze({
    project: at('TRIBUTARY_PROJECT'),
    region: at('TRIBUTARY_REGION'),
    location: at('TRIBUTARY_LOCATION'),
    environment: at('TRIBUTARY_ENVIRONMENT'),
    buckets: {
      bronze: at('TRIBUTARY_BUCKET_BRONZE'),
      control: at('TRIBUTARY_BUCKET_CONTROL'),
      lake: at('TRIBUTARY_BUCKET_LAKE'),
      rejected: at('TRIBUTARY_BUCKET_REJECTED'),
      inbox: at('TRIBUTARY_BUCKET_INBOX'),
    },
    hubspot: {
      url: at('TRIBUTARY_HUBSPOT_URL'),
      secret: at('TRIBUTARY_HUBSPOT_SECRET'),
      dailyShare: (values.get('TRIBUTARY_HUBSPOT_DAILY_SHARE') as number | undefined) ?? 1,
    },
    api: { url: at('TRIBUTARY_API_URL'), secret: at('TRIBUTARY_API_SECRET') },
    database: { secret: at('TRIBUTARY_DATABASE_SECRET') },
    collect: (values.get('TRIBUTARY_COLLECT') as CollectSettings | undefined) ?? null,
    spark: (values.get('TRIBUTARY_SPARK') as SparkSettings | undefined) ?? null,
    endpoints: (values.get('TRIBUTARY_ENDPOINTS') as Endpoints | undefined) ?? {},
  });
}
