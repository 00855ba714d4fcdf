/** What is kept, and how: the catalog's entries, and transactions over them and their rows. */

import type { JobConfiguration } from './configuration.ts';
import type { Dml, Expr } from './parse/ast.ts';
import type { ErrorProto } from './refusal.ts';
import type { Parameter } from './translate/bound.ts';
import type { Field, TimePartitioning } from './type.ts';

export interface Dataset {
  readonly id: string;
  /** The REST resource as it was given. */
  readonly resource: Readonly<Record<string, unknown>>;
}

export interface Table {
  readonly dataset: string;
  readonly id: string;
  /** The name of its rows in the store; a replaced table gets a new one. */
  readonly rows: string;
  readonly fields: readonly Field[];
  readonly timePartitioning?: TimePartitioning;
  readonly requirePartitionFilter: boolean;
  readonly resource: Readonly<Record<string, unknown>>;
  readonly createdMs: number;
  readonly modifiedMs: number;
}

/** A table that is not made yet. */
export type TableDraft = Omit<Table, 'rows' | 'createdMs' | 'modifiedMs'>;

export interface Job {
  readonly id: string;
  readonly location: string;
  readonly configuration: JobConfiguration;
  readonly state: 'PENDING' | 'RUNNING' | 'DONE';
  readonly error?: ErrorProto;
  readonly statistics: Readonly<Record<string, unknown>>;
  readonly createdMs: number;
  readonly startedMs?: number;
  readonly endedMs?: number;
}

/** The files of a load, found and checked. */
export interface Staging {
  readonly format: 'PARQUET' | 'NEWLINE_DELIMITED_JSON';
  readonly files: readonly { readonly uri: string; readonly path: string }[];
  readonly ignoreUnknownValues: boolean;
  readonly listInference: boolean;
}

export type Kind = 'dataset' | 'table' | 'job';

export interface Entries {
  dataset: Dataset;
  table: Table;
  job: Job;
}

/** Reads of committed entries; within a transaction also of its own. */
export interface Catalog {
  get<K extends Kind>(kind: K, key: string): Entries[K] | undefined;
  all<K extends Kind>(kind: K): readonly Entries[K][];
}

/** One transaction: all of it is kept, or none. */
export interface Transaction extends Catalog {
  put<K extends Kind>(kind: K, key: string, entry: Entries[K]): void;
  remove(kind: Kind, key: string): void;
  /** Makes the place for a table's rows, empty. */
  create(table: Table): Promise<void>;
  drop(table: Table): Promise<void>;
  clear(table: Table): Promise<void>;
  count(table: Table): Promise<number>;
  /** The columns a file describes by itself (Parquet). */
  describe(staging: Staging): Promise<readonly Field[]>;
  /** Adds the rows of all files, or throws a Refusal of reason invalid and adds none. Returns their number. */
  append(table: Table, staging: Staging): Promise<number>;
  execute(change: Dml, context: QueryContext): Promise<number>;
  /** The value of a condition; NULL is null. */
  holds(condition: Expr, context: QueryContext): Promise<boolean | null>;
}

export interface Store extends Catalog {
  /** Runs one writer at a time. */
  write<T>(work: (transaction: Transaction) => Promise<T>): Promise<T>;
}

export interface QueryContext {
  readonly nowMicros: bigint;
  readonly parameters: readonly Parameter[];
  readonly defaultDataset: string | undefined;
}

export function tableKey(dataset: string, table: string): string {
  return `${dataset}.${table}`;
}

export function jobKey(id: string, location: string): string {
  return `${location.toLowerCase()}.${id}`;
}
