/**
 * The vocabulary of contracts: what a source brings in and what a table offers.
 *
 * Contracts are plain data. Everything else about their columns (BigQuery schema, Spark struct,
 * JSON Schema, Terraform values, the data dictionary) is derived from them in `derive/`, and
 * rendered into `rendered/`, where Spark and the tests read it.
 */

/** BigQuery's type names; DATETIME, TIME and JSON are left out because Parquet loads lose them. */
export type ColumnType = 'STRING' | 'INT64' | 'FLOAT64' | 'NUMERIC' | 'BOOL' | 'DATE' | 'TIMESTAMP';

/**
 * How a value lies in the payload. `text` takes scalars as they are written and objects or arrays
 * as their JSON; `epoch_ms` is a count of milliseconds since 1970 (number or digits);
 * `iso` an ISO 8601 instant (UTC when it names no zone); `json_array` a JSON array of scalars.
 */
export type Decoding =
  | 'text'
  | 'integer'
  | 'float'
  | 'decimal'
  | 'boolean'
  | 'epoch_ms'
  | 'iso'
  | 'date'
  | 'json_array';

/** What the decoding is when a column names none. */
export const defaultDecoding: Readonly<Record<ColumnType, Decoding>> = {
  STRING: 'text',
  INT64: 'integer',
  FLOAT64: 'float',
  NUMERIC: 'decimal',
  BOOL: 'boolean',
  DATE: 'date',
  TIMESTAMP: 'iso',
};

interface AnyColumn {
  readonly type: ColumnType;
  /** One line for the data dictionary and for BigQuery's column description. */
  readonly about: string;
  /** A record without it is rejected (`missing_required`). Rendered NULLABLE all the same. */
  readonly required?: true;
  readonly repeated?: true;
  /** Personal data: masked in `ops`, and policy-tagged where a table shows it. */
  readonly personal?: true;
}

/** A column of a source: read from the payload, computed over other columns, or hashed. */
export interface SourceColumn extends AnyColumn {
  /** Path in the record, dots between names; default: the column's own name. */
  readonly from?: string;
  /** Decoding; default by type. */
  readonly as?: Decoding;
  /** Spark SQL over this source's read columns and `observed_at` instead of a path. */
  readonly sql?: string;
  /** Keyed hash (HMAC-SHA256, trimmed, lower-cased) of another column of this source. */
  readonly hash_of?: string;
}

export type TableColumn = AnyColumn;

/** Limits outside which an instant is a mistake: the record is rejected with `out_of_bounds`. */
export interface Bounds {
  /** Earliest day accepted, ISO. */
  readonly earliest: string;
  /** How many days after its observation an instant may lie. */
  readonly days_ahead: number;
}

export interface HubspotEmailEventsArrival {
  readonly kind: 'hubspot_email_events';
  readonly schedule: string;
  /** The hot pass ends this many minutes before now: HubSpot's index lags (hubspot.md 1.4). */
  readonly settle_minutes: number;
  /** Ages in hours at which a window is read once more, whole. */
  readonly again_after_hours: readonly number[];
  /** First run: how far back to begin, in days. */
  readonly first_days: number;
}

export interface HubspotObjectsArrival {
  readonly kind: 'hubspot_objects';
  readonly schedule: string;
  readonly object: 'email_campaigns' | 'marketing_emails' | 'contacts' | 'owners';
  /** Hours between full listings; between them only what changed is read, where HubSpot can say. */
  readonly full_every_hours: number;
  /** Contact properties asked for beside the ones columns name. */
  readonly properties?: readonly string[];
}

/** One JSON object per message on a topic that others publish to; drained by ticks. */
export interface PubsubMessagesArrival {
  readonly kind: 'pubsub_messages';
  readonly schedule: string;
  readonly topic: string;
  /** Browsers and servers may also send these by HTTP: the collect function publishes them. */
  readonly collect?: true;
}

/** A list that a REST API pages through, oldest update first. */
export interface RestListArrival {
  readonly kind: 'rest_list';
  readonly schedule: string;
  /** Sources of one API share its credential, its rate limit and the function that pulls them. */
  readonly api: string;
  /** The API's public address; an environment may name another. */
  readonly url: string;
  /** Path of the list, from a slash on. */
  readonly path: string;
  /** Parameters of every request. */
  readonly query?: Readonly<Record<string, string>>;
  readonly auth: 'bearer' | { readonly header: string } | { readonly parameter: string };
  readonly paging: /** The answer carries the next page's cursor at a path; null or absent ends the list. */
    | { readonly by: 'cursor'; readonly parameter: string; readonly at: string }
    /** Pages count up; one without records ends the list. */
    | { readonly by: 'page'; readonly parameter: string; readonly first: number }
    /** `Link: <...>; rel="next"` (RFC 8288). */
    | { readonly by: 'link' };
  readonly page_size?: { readonly parameter: string; readonly records: number };
  /**
   * How the list is narrowed to what changed since; absent = it is always read whole. Either way a
   * record that vanishes from the list stays as it was: what can be deleted must say so itself
   * (`deleted`), for of a list that moves while it is read absence proves nothing.
   */
  readonly since?: {
    readonly parameter: string;
    /** Parameter of the exclusive end, where the API has one. */
    readonly until?: string;
    readonly as: 'iso' | 'epoch_s' | 'epoch_ms';
    /** Path of a record's time of change. */
    readonly changed: string;
  };
  /** Read again before the last edge: updates become visible late. */
  readonly overlap_minutes: number;
  /** Most requests a minute; a 429 and its Retry-After are heeded anyway. */
  readonly requests_per_minute: number;
  /** First run: how far back to begin, in days. */
  readonly first_days: number;
}

/** A table of a PostgreSQL database, copied through a snapshot. */
export interface PostgresTableArrival {
  readonly kind: 'postgres_table';
  readonly schedule: string;
  /** Sources of one database share its connection secret and the function that pulls them. */
  readonly database: string;
  /** Default `public`. */
  readonly schema?: string;
  readonly table: string;
  /** Primary key, in its order: chunks go along it. */
  readonly primary_key: readonly string[];
  /** Column that every insert and update moves forward; absent = the table is always read whole. */
  readonly cursor?: string;
  /** Read again before the last edge: a transaction commits later than its rows say. */
  readonly overlap_minutes: number;
  /** Hours between full compares, which notice deletions. */
  readonly full_every_hours: number;
}

/** CSV, JSON or NDJSON files, also gzipped, put under `<domain>/<source>/` in the inbox bucket. */
export interface UploadedFilesArrival {
  readonly kind: 'uploaded_files';
  /** Sign between the fields of a CSV file; default: a comma. */
  readonly delimiter?: ',' | ';' | '\t' | '|';
}

export type Arrival =
  | HubspotEmailEventsArrival
  | HubspotObjectsArrival
  | PubsubMessagesArrival
  | RestListArrival
  | PostgresTableArrival
  | UploadedFilesArrival;
/** What a pull function fetches by itself, window by window. */
export type PulledArrival =
  | HubspotEmailEventsArrival
  | HubspotObjectsArrival
  | RestListArrival
  | PostgresTableArrival;
export type ArrivalKind = Arrival['kind'];

/** Cron expression of the ticks for a source; null when something else than time brings it. */
export const scheduleOf = (arrives: Arrival): string | null =>
  'schedule' in arrives ? arrives.schedule : null;

type Names<C> = Extract<keyof C, string>;
type DateNames<C> = {
  [K in Names<C>]: C[K] extends { readonly type: 'DATE' } ? K : never;
}[Names<C>];
type TimeNames<C> = {
  [K in Names<C>]: C[K] extends { readonly type: 'TIMESTAMP' } ? K : never;
}[Names<C>];

/** Any source, as code that works on all of them reads it. */
export interface SourceContract {
  readonly about: string;
  /** A role that answers for the source, never a person. */
  readonly owner: string;
  readonly arrives: Arrival;
  /** Where the records lie in a payload: the name of an array, or `null` when it is one record. */
  readonly records: string | null;
  /** One row of silver per value of these columns. */
  readonly key: readonly string[];
  /** Newest wins: a column, or `observed_at`, which is written at landing and kept on replay. */
  readonly version: string;
  /** The event's own time. Silver is partitioned by its UTC day; absent = unpartitioned. */
  readonly event_time?: string;
  /**
   * A second day by which tables ask for these rows (a DATE column). Silver keeps which event days
   * hold which of these days, so that such a question reads only the files it needs.
   */
  readonly also_by?: string;
  /** A BOOL column: true = the source deleted the record. The row stays, as its last version. */
  readonly deleted?: string;
  readonly bounds: Bounds;
  readonly columns: Readonly<Record<string, SourceColumn>>;
}

/** A source with these columns: what names a column names one that exists, of the right type. */
export interface SourceWith<C extends Readonly<Record<string, SourceColumn>>>
  extends SourceContract {
  readonly key: readonly Names<C>[];
  readonly version: TimeNames<C> | 'observed_at';
  readonly event_time?: TimeNames<C>;
  readonly also_by?: DateNames<C>;
  readonly deleted?: Names<C>;
  readonly columns: C;
}

/** What a changed row of an input touches in this table. */
export type Touch =
  | 'same' // the partition of the same day (event day of a source, partition of a table)
  | 'all' // the whole table
  | 'ignore' // nothing now; it is read as it stands
  /**
   * Spark SQL yielding one DATE column over `changed` (old and new images of the input's changed
   * rows, told apart by `_image` = 'old' or 'new'; for a table: one row `partition` per changed
   * day), `self` (this table as it stands) and the domain's dateless sources by name.
   * With `also_by`, a partition is computed from the rows of a dated source whose `also_by` day it
   * is; else from those whose event day is the partition's, the one before or the one after.
   */
  | {
      readonly days: string;
      readonly also_by?: true;
      /** Of another table: a partition is computed from its days so many around, not from all. */
      readonly near?: number;
      /** Of another table: `self` holds only the days so many around the changed ones. */
      readonly reach?: number;
    };

/** Any table, as code that works on all of them reads it. */
export interface TableContract {
  readonly about: string;
  /** What one row is, as a sentence. */
  readonly grain: string;
  readonly key: readonly string[];
  /** The DATE column the table is partitioned by, by day; absent = replaced whole. */
  readonly partition?: string;
  readonly cluster?: readonly string[];
  /** Every input, by full name, and what a change of it touches. */
  readonly reads: Readonly<Record<string, Touch>>;
  readonly columns: Readonly<Record<string, TableColumn>>;
}

/** A table with these columns: what names a column names one that exists, of the right type. */
export interface TableWith<C extends Readonly<Record<string, TableColumn>>> extends TableContract {
  readonly key: readonly Names<C>[];
  readonly partition?: DateNames<C>;
  readonly cluster?: readonly Names<C>[];
  readonly columns: C;
}

export interface DomainContract {
  readonly about: string;
  /** The longest a landed run waits for its batch, in minutes. */
  readonly longest_wait_minutes: number;
  /** Waiting bytes that start a batch earlier. */
  readonly start_at_bytes: number;
  /** Most runs and bytes one batch takes. */
  readonly batch_runs: number;
  readonly batch_bytes: number;
  /** Stale partitions of one table worked off beside a batch's own work. */
  readonly stale_partitions: number;
  readonly owner: string;
  /** Small constant tables that the domain's SQL reads by name. */
  readonly lists?: Readonly<Record<string, List>>;
  /** Questions every batch asks, `jobs/sql/<domain>/checks/<name>.sql` yielding `rows`, `failed`. */
  readonly checks?: Readonly<Record<string, Check>>;
}

/** Facts that no source delivers, such as country codes. */
export interface List {
  /** Where the facts come from. */
  readonly about: string;
  readonly columns: readonly string[];
  /** Rows of text, in the order of `columns`; an empty text is NULL. */
  readonly rows: readonly (readonly string[])[];
}

export interface Check {
  readonly about: string;
  /** Full name of the table or source it says something about. */
  readonly subject: string;
  /** Share of failed rows above which the check does not pass; null = it only reports. */
  readonly threshold: number | null;
}

/** Declares a source. Its name is its file's place: `<domain>/sources/<name>.ts`. */
export function defineSource<const C extends Readonly<Record<string, SourceColumn>>>(
  contract: SourceWith<C>,
): SourceWith<C> {
  return contract;
}

/** Declares a table. Its name is its file's place: `<domain>/tables/<name>.ts`. */
export function defineTable<const C extends Readonly<Record<string, TableColumn>>>(
  contract: TableWith<C>,
): TableWith<C> {
  return contract;
}

/** Declares a domain: a dataset, a folder, one stream of batches. */
export function defineDomain(contract: DomainContract): DomainContract {
  return contract;
}

interface TypeScriptOf {
  readonly STRING: string;
  readonly INT64: number;
  readonly FLOAT64: number;
  /** Decimal digits: a float would change the amount. */
  readonly NUMERIC: string;
  readonly BOOL: boolean;
  /** `YYYY-MM-DD` */
  readonly DATE: string;
  /** ISO 8601, UTC */
  readonly TIMESTAMP: string;
}

type ValueOf<K extends AnyColumn> = K extends { readonly repeated: true }
  ? readonly TypeScriptOf[K['type']][]
  : TypeScriptOf[K['type']];

/** The row a contract describes; columns that are not required may be null. */
export type RowOf<T extends { readonly columns: Readonly<Record<string, AnyColumn>> }> = {
  readonly [K in keyof T['columns']]: T['columns'][K] extends { readonly required: true }
    ? ValueOf<T['columns'][K]>
    : ValueOf<T['columns'][K]> | null;
};

/** Every table's last column: the batch's time. No comparison and no hash looks at it. */
export const updatedAt = {
  type: 'TIMESTAMP',
  about: 'When the batch that wrote the row ran; not part of any comparison',
} as const satisfies TableColumn;
