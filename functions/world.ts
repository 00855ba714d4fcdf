/**
 * Everything a handler can touch. Nothing else in `functions/` reads the time or the network, so
 * the handlers that are deployed also run in a deterministic simulation.
 */

/** An object's generation as Storage gives it: digits that may exceed 2^53, so a string. */
export type Generation = string;

export interface StoredObject {
  readonly bucket: string;
  readonly name: string;
  readonly generation: Generation;
  readonly size: number;
  /** Base64 of the big-endian CRC32C, as Storage gives it. */
  readonly crc32c: string;
  /** Epoch milliseconds of the last write. */
  readonly updated: number;
}

/** `refused` = the precondition did not hold: somebody else wrote first. Never an error. */
export type WriteResult =
  | { readonly outcome: 'written'; readonly generation: Generation; readonly crc32c: string }
  | { readonly outcome: 'refused' };

/** Cloud Storage. Every write and removal is conditional; there is no unconditional verb. */
export interface Objects {
  /** The object, or null when there is none. */
  read(bucket: string, name: string): Promise<{ bytes: Buffer; object: StoredObject } | null>;
  stat(bucket: string, name: string): Promise<StoredObject | null>;
  /** The bytes of exactly that generation as they come, not unpacked; null when it is gone. */
  stream(
    bucket: string,
    name: string,
    generation: Generation,
  ): Promise<AsyncIterable<Buffer> | null>;
  /** Copies inside Storage, without the bytes passing through here. */
  copy(
    from: { readonly bucket: string; readonly name: string; readonly generation: Generation },
    to: { readonly bucket: string; readonly name: string; readonly ifGeneration: Generation },
  ): Promise<WriteResult>;
  /** `ifGeneration: '0'` = only if absent; else only over exactly that generation. */
  write(
    bucket: string,
    name: string,
    bytes: Buffer,
    condition: { readonly ifGeneration: Generation; readonly contentType: string },
  ): Promise<WriteResult>;
  /** Removes exactly that generation; `gone` = it was not there any more. */
  remove(
    bucket: string,
    name: string,
    condition: { readonly ifGeneration: Generation },
  ): Promise<'removed' | 'gone'>;
  /** Names under a prefix in lexicographic order, page by page behind the scenes. */
  list(
    bucket: string,
    prefix: string,
    options?: { readonly startAt?: string; readonly limit?: number },
  ): Promise<readonly StoredObject[]>;
}

export interface TakenMessage {
  /** Acknowledges this delivery. */
  readonly ackId: string;
  readonly id: string;
  readonly data: Buffer;
  readonly attributes: Readonly<Record<string, string>>;
  /** Epoch milliseconds. */
  readonly publishedAt: number;
  readonly orderingKey: string;
}

/** Pull subscriptions; names are short. */
export interface Subscriptions {
  /** At most `most` messages that are there now; none is an empty answer, never a wait of minutes. */
  take(subscription: string, most: number): Promise<readonly TakenMessage[]>;
  /** Those whose deadline has passed are delivered again all the same. */
  acknowledge(subscription: string, ackIds: readonly string[]): Promise<void>;
}

export interface PostgresSession {
  query(
    sql: string,
    values?: readonly (string | number | null)[],
  ): Promise<readonly Readonly<Record<string, string | null>>[]>;
  /** `COPY (…) TO STDOUT`: its bytes as they come. */
  copy(sql: string): AsyncIterable<Buffer>;
}

/** PostgreSQL, read only. */
export interface Postgres {
  /** One connection in one read-only, repeatable-read transaction; ended however `work` ends. */
  session<T>(url: string, work: (session: PostgresSession) => Promise<T>): Promise<T>;
}

export interface OutgoingMessage {
  readonly data: Buffer;
  readonly attributes?: Readonly<Record<string, string>>;
}

export interface Queue {
  /** Publishes one message; resolves when Pub/Sub has it. `topic` is the short name. */
  publish(topic: string, message: OutgoingMessage): Promise<void>;
  /**
   * Publishes up to 1,000 messages (9 MB as base64) in one request; resolves when Pub/Sub has all of
   * them. After a rejection they may have been published all the same.
   */
  publishAll(topic: string, messages: readonly OutgoingMessage[]): Promise<void>;
}

export type BatchState =
  | { readonly state: 'missing' }
  | { readonly state: 'pending' | 'running' | 'succeeded' }
  | {
      readonly state: 'failed' | 'cancelled';
      readonly message: string;
      /** Whether it ever ran: a batch that only waited for machines says nothing about its work. */
      readonly ran: boolean;
    };

/** Dataproc Serverless. The same id never makes two batches. */
export interface Batches {
  /** `exists` = this id was submitted before; its state is the truth. */
  create(id: string, job: { readonly args: readonly string[] }): Promise<'created' | 'exists'>;
  state(id: string): Promise<BatchState>;
}

export type JobState =
  | { readonly state: 'missing' | 'running' }
  | { readonly state: 'done'; readonly outputRows: number | null }
  | { readonly state: 'failed'; readonly reason: string; readonly message: string };

export interface BigQueryField {
  readonly name: string;
  readonly type: string;
  readonly mode: 'NULLABLE' | 'REPEATED';
  readonly description?: string;
}

/** BigQuery. A job id is used once: starting it again adopts the job that is there. */
export interface Warehouse {
  /** Starts a load that replaces the table; all files or nothing. */
  load(job: {
    readonly jobId: string;
    readonly dataset: string;
    readonly table: string;
    readonly uris: readonly string[];
    readonly format: 'PARQUET' | 'NEWLINE_DELIMITED_JSON';
    readonly schema: readonly BigQueryField[];
  }): Promise<'started' | 'exists'>;
  /** Starts the load transaction. */
  script(job: { readonly jobId: string; readonly sql: string }): Promise<'started' | 'exists'>;
  job(jobId: string): Promise<JobState>;
  rows(
    sql: string,
    params?: Readonly<Record<string, unknown>>,
  ): Promise<readonly Readonly<Record<string, unknown>>[]>;
  /** Absent is fine. */
  dropTable(dataset: string, table: string): Promise<void>;
}

export interface HttpAnswer {
  readonly status: number;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/**
 * One HTTP exchange, whole. Rejects only when no complete answer came (refused, reset, cut off,
 * timed out; a body shorter than its content-length is such a case), or one too large to be held.
 */
export type Fetch = (request: {
  readonly method: 'GET' | 'POST';
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly timeoutMs: number;
}) => Promise<HttpAnswer>;

export interface Clock {
  /** Epoch milliseconds, UTC. */
  now(): number;
  sleep(ms: number): Promise<void>;
}

export interface Random {
  /** In [0, 1). */
  next(): number;
  /** 16 lower-case hexadecimal digits. */
  id(): string;
}

export type Severity = 'DEBUG' | 'INFO' | 'WARNING' | 'ERROR';

/** One structured line; `event` is a stable name that log-based metrics filter on. */
export type Log = (
  severity: Severity,
  event: string,
  fields?: Readonly<Record<string, unknown>>,
) => void;

export interface Secrets {
  /** The newest enabled version, as text. Not kept longer than a run. */
  read(name: string): Promise<string>;
}

export interface World {
  readonly objects: Objects;
  readonly queue: Queue;
  readonly subscriptions: Subscriptions;
  readonly postgres: Postgres;
  readonly batches: Batches;
  readonly warehouse: Warehouse;
  readonly secrets: Secrets;
  readonly fetch: Fetch;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}
