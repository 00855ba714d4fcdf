/** The rows and the catalog of the local BigQuery in one DuckDB file: what is committed survives a kill. */
import { rm } from 'node:fs/promises';
import { type DuckDBConnection, DuckDBInstance, type Json } from '@duckdb/node-api';
import { Gate } from './gate.ts';
import { informationSchema } from './information_schema.ts';
import { loadSql } from './load.ts';
import { MACROS } from './macros.ts';
import type { Dml, Expr } from './parse/ast.ts';
import { QueryFault, Refusal } from './refusal.ts';
import type {
  Catalog,
  Entries,
  Kind,
  QueryContext,
  Staging,
  Store,
  Table,
  Transaction,
} from './store.ts';
import { tableKey } from './store.ts';
import type { TableUse } from './translate/bound.ts';
import {
  type TranslatedQuery,
  type TranslateOptions,
  translateCondition,
  translateDml,
} from './translate/translate.ts';
import type { TableInfo } from './translate/translation.ts';
import {
  columnType,
  duckdbType,
  type Field,
  quoteName,
  type Type,
  textLiteral,
  wireSql,
} from './type.ts';

export interface StoreOptions {
  /** The database file; undefined keeps all in memory. */
  readonly file: string | undefined;
  readonly projectId: string;
  readonly threads?: number;
  /** DuckDB's own cap, e.g. `1GB`. */
  readonly memoryLimit?: string;
}

type Maps = { readonly [K in Kind]: Map<string, Entries[K]> };

/** A finished query whose rows can be read by page. */
export interface QueryResult {
  readonly table: string;
  readonly columns: TranslatedQuery['columns'];
  readonly totalRows: number;
}

/** Rows as text: a scalar, a list of values or a struct (an object with f0, f1, …); see wire.ts. */
type WireRow = readonly Json[];

export class DuckdbStore implements Store {
  readonly instance: DuckDBInstance;
  readonly writer: DuckDBConnection;
  readonly options: StoreOptions;
  readonly maps: Maps = { dataset: new Map(), table: new Map(), job: new Map() };
  /** The writers wait in a row. */
  tail: Promise<unknown> = Promise.resolve();
  results = 0;
  /** Whoever reads tables goes through it, from the look into the catalog to the last row. */
  readonly gate = new Gate();

  constructor(options: StoreOptions, instance: DuckDBInstance, writer: DuckDBConnection) {
    this.options = options;
    this.instance = instance;
    this.writer = writer;
  }

  static async open(options: StoreOptions): Promise<DuckdbStore> {
    const instance = await DuckDBInstance.create(':memory:', {
      threads: `${options.threads ?? 2}`,
      memory_limit: options.memoryLimit ?? '1GB',
      autoinstall_known_extensions: 'false',
      autoload_known_extensions: 'false',
      preserve_insertion_order: 'true',
    });
    const writer = await instance.connect();
    const attach = async (name: string, file: string | undefined): Promise<void> => {
      await writer.run(`ATTACH ${textLiteral(file ?? ':memory:')} AS ${name}`);
    };
    await attach('warehouse', options.file);
    // Results of queries: a file of their own, so that large ones need no memory, and gone with the process.
    const results = options.file === undefined ? undefined : `${options.file}.results`;
    if (results !== undefined)
      await Promise.all([rm(results, { force: true }), rm(`${results}.wal`, { force: true })]);
    await attach('results', results);
    await writer.run(`SET GLOBAL TimeZone = 'UTC'`);
    for (const macro of MACROS) await writer.run(`CREATE MACRO ${macro}`);
    await writer.run('CREATE SCHEMA IF NOT EXISTS warehouse.data');
    await writer.run('CREATE SCHEMA IF NOT EXISTS warehouse.meta');
    await writer.run(
      'CREATE TABLE IF NOT EXISTS warehouse.meta.entries (kind VARCHAR, key VARCHAR, body VARCHAR, PRIMARY KEY (kind, key))',
    );
    const store = new DuckdbStore(options, instance, writer);
    const rows = await writer.runAndReadAll('SELECT kind, key, body FROM warehouse.meta.entries');
    for (const [kind, key, body] of rows.getRowsJS() as [Kind, string, string][])
      store.maps[kind].set(key, JSON.parse(body));
    return store;
  }

  async close(): Promise<void> {
    await this.tail.catch(() => undefined);
    this.writer.closeSync();
    this.instance.closeSync();
    const results = this.options.file === undefined ? undefined : `${this.options.file}.results`;
    if (results !== undefined)
      await Promise.all([rm(results, { force: true }), rm(`${results}.wal`, { force: true })]);
  }

  get<K extends Kind>(kind: K, key: string): Entries[K] | undefined {
    return this.maps[kind].get(key);
  }

  all<K extends Kind>(kind: K): readonly Entries[K][] {
    return [...this.maps[kind].values()];
  }

  write<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
    const turn = this.tail.then(() => this.transact(work));
    this.tail = turn.catch(() => undefined);
    return turn;
  }

  async transact<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
    const transaction = new DuckdbTransaction(this);
    await this.writer.run('BEGIN TRANSACTION');
    try {
      const result = await work(transaction);
      const commit = async (): Promise<void> => {
        await this.writer.run('COMMIT');
        transaction.publish();
      };
      const touched = transaction.touched;
      await transaction.flush();
      await (touched ? this.gate.alone(commit) : commit());
      return result;
    } catch (error) {
      await this.writer.run('ROLLBACK').catch(() => undefined);
      throw error;
    }
  }

  /** How names in a statement find tables. */
  translateOptions(context: QueryContext, catalog: Catalog = this): TranslateOptions {
    return {
      parameters: context.parameters,
      nowMicros: context.nowMicros,
      table: (path) => tableInfo(path, context.defaultDataset, catalog, this.options.projectId),
    };
  }

  /** Runs a SELECT and keeps its rows for paging. `cancel` interrupts it. */
  async query(query: TranslatedQuery, signal: AbortSignal): Promise<QueryResult> {
    const connection = await this.instance.connect();
    const interrupt = (): void => connection.interrupt();
    signal.addEventListener('abort', interrupt);
    try {
      this.results += 1;
      const table = `results.r${this.results}`;
      await connection.run(`SET TimeZone = 'UTC'`);
      await connection.run(`CREATE TABLE ${table} AS ${query.sql}`);
      const count = await connection.runAndReadAll(`SELECT count(*) FROM ${table}`);
      return { table, columns: query.columns, totalRows: Number(count.getRowsJS()[0]?.[0]) };
    } catch (error) {
      throw queryRefusal(error);
    } finally {
      signal.removeEventListener('abort', interrupt);
      connection.closeSync();
    }
  }

  async forget(result: QueryResult): Promise<void> {
    await this.read(async (connection) => connection.run(`DROP TABLE IF EXISTS ${result.table}`));
  }

  /** A page of a result's or a table's rows, in the order they were written. */
  async page(
    source: {
      readonly table: string;
      readonly columns: readonly { readonly name: string; readonly type: Type }[];
    },
    names: readonly string[],
    offset: number,
    limit: number,
  ): Promise<readonly WireRow[]> {
    const items = source.columns.map(
      ({ type }, i) => `${wireSql(quoteName(names[i] as string), type)} AS o${i}`,
    );
    return this.read(async (connection) => {
      const rows = await connection.runAndReadAll(
        `SELECT ${items.join(', ')} FROM ${source.table} LIMIT ${limit} OFFSET ${offset}`,
      );
      return rows.getRowsJson() as WireRow[];
    });
  }

  async count(table: Table): Promise<{ readonly rows: number; readonly bytes: number }> {
    const bytes = table.fields.map((field) => byteSql(quoteName(field.name), columnType(field)));
    return this.read(async (connection) => {
      const rows = await connection.runAndReadAll(
        `SELECT count(*), coalesce(sum(${bytes.join(' + ') || '0'}), 0)::DOUBLE FROM ${rowsOf(table)}`,
      );
      const [count, size] = rows.getRowsJS()[0] as [bigint, number];
      return { rows: Number(count), bytes: size };
    });
  }

  /** What a query would be billed for: the columns it names in the partitions its conditions leave, as BigQuery sizes them. */
  async bytes(uses: readonly TableUse[]): Promise<number> {
    const sizes = await Promise.all(uses.map((use) => this.bytesOf(use)));
    return sizes.reduce((sum, size) => sum + size, 0);
  }

  async bytesOf(use: TableUse): Promise<number> {
    const table = this.get('table', tableKey(use.dataset, use.table));
    if (table === undefined || use.columns.size === 0) return 0;
    const columns = table.fields.filter(({ name }) => use.columns.has(name));
    const bytes = columns
      .map((field) => byteSql(quoteName(field.name), columnType(field)))
      .join(' + ');
    const { partition, filters } = use;
    let where = '';
    if (partition !== undefined && filters.length > 0) {
      const key = `date_trunc('${partition.unit.toLowerCase()}', ${quoteName(partition.column)})`;
      where = ` WHERE ${key} IN (SELECT k FROM (SELECT DISTINCT ${key} AS k, ${quoteName(partition.column)} AS bq_part FROM ${rowsOf(table)}) WHERE ${filters.join(' AND ')})`;
    }
    return this.read(async (connection) => {
      const rows = await connection.runAndReadAll(
        `SELECT coalesce(sum(${bytes}), 0)::DOUBLE FROM ${rowsOf(table)}${where}`,
      );
      return Number(rows.getRowsJS()[0]?.[0]);
    });
  }

  async read<T>(work: (connection: DuckDBConnection) => Promise<T>): Promise<T> {
    const connection = await this.instance.connect();
    try {
      return await work(connection);
    } catch (error) {
      throw queryRefusal(error);
    } finally {
      connection.closeSync();
    }
  }
}

class DuckdbTransaction implements Transaction {
  readonly store: DuckdbStore;
  /** Rows or tables have changed, not only entries of the catalog. */
  touched = false;
  readonly changes = new Map<
    string,
    { readonly kind: Kind; readonly key: string; readonly entry: unknown }
  >();

  constructor(store: DuckdbStore) {
    this.store = store;
  }

  get<K extends Kind>(kind: K, key: string): Entries[K] | undefined {
    const change = this.changes.get(`${kind} ${key}`);
    return change === undefined
      ? this.store.get(kind, key)
      : (change.entry as Entries[K] | undefined);
  }

  all<K extends Kind>(kind: K): readonly Entries[K][] {
    const entries = new Map(this.store.maps[kind]);
    for (const change of this.changes.values()) {
      if (change.kind !== kind) continue;
      if (change.entry === undefined) entries.delete(change.key);
      else entries.set(change.key, change.entry as Entries[K]);
    }
    return [...entries.values()];
  }

  put<K extends Kind>(kind: K, key: string, entry: Entries[K]): void {
    this.changes.set(`${kind} ${key}`, { kind, key, entry });
  }

  remove(kind: Kind, key: string): void {
    this.changes.set(`${kind} ${key}`, { kind, key, entry: undefined });
  }

  async flush(): Promise<void> {
    for (const { kind, key, entry } of this.changes.values()) {
      const where = `kind = ${textLiteral(kind)} AND key = ${textLiteral(key)}`;
      if (entry === undefined) await this.run(`DELETE FROM warehouse.meta.entries WHERE ${where}`);
      else
        await this.run(
          `INSERT OR REPLACE INTO warehouse.meta.entries VALUES (${textLiteral(kind)}, ${textLiteral(key)}, ${textLiteral(JSON.stringify(entry))})`,
        );
    }
  }

  publish(): void {
    for (const { kind, key, entry } of this.changes.values()) {
      if (entry === undefined) this.store.maps[kind].delete(key);
      else (this.store.maps[kind] as Map<string, unknown>).set(key, entry);
    }
  }

  async run(sql: string): Promise<number> {
    this.touched = true;
    return (await this.store.writer.run(sql)).rowsChanged;
  }

  async create(table: Table): Promise<void> {
    const columns = table.fields.map((field) => {
      const type = columnType(field);
      const required =
        field.mode?.toUpperCase() === 'REQUIRED' || typeof type === 'object' ? ' NOT NULL' : '';
      return `${quoteName(field.name)} ${duckdbType(type)}${required}`;
    });
    // DuckDB has no table without columns.
    await this.run(
      `CREATE TABLE ${rowsOf(table)} (${columns.length === 0 ? 'bq_none BOOLEAN' : columns.join(', ')})`,
    );
  }

  async drop(table: Table): Promise<void> {
    await this.run(`DROP TABLE ${rowsOf(table)}`);
  }

  async clear(table: Table): Promise<void> {
    await this.run(`DELETE FROM ${rowsOf(table)}`);
  }

  async count(table: Table): Promise<number> {
    const rows = await this.store.writer.runAndReadAll(`SELECT count(*) FROM ${rowsOf(table)}`);
    return Number(rows.getRowsJS()[0]?.[0]);
  }

  async describe(staging: Staging): Promise<readonly Field[]> {
    return (await loadSql(this.store.writer, staging, undefined, '')).fields;
  }

  async append(table: Table, staging: Staging): Promise<number> {
    if (staging.files.length === 0) return 0;
    try {
      const name = `${this.store.options.projectId}:${table.dataset}.${table.id}`;
      const { select } = await loadSql(this.store.writer, staging, table.fields, name);
      return await this.run(
        `INSERT INTO ${rowsOf(table)} (${table.fields.map(({ name: column }) => quoteName(column)).join(', ')}) ${select}`,
      );
    } catch (error) {
      throw loadRefusal(error, staging);
    }
  }

  async execute(change: Dml, context: QueryContext): Promise<number> {
    const { sql } = translateDml(change, this.store.translateOptions(context, this));
    try {
      return await this.run(sql);
    } catch (error) {
      throw queryRefusal(error);
    }
  }

  async holds(condition: Expr, context: QueryContext): Promise<boolean | null> {
    const sql = translateCondition(condition, this.store.translateOptions(context, this));
    try {
      const rows = await this.store.writer.runAndReadAll(`SELECT ${sql}`);
      return rows.getRowsJS()[0]?.[0] as boolean | null;
    } catch (error) {
      throw queryRefusal(error);
    }
  }
}

export function rowsOf(table: Table): string {
  return `warehouse.data.${table.rows}`;
}

/** Finds a table by its path and gives the translator what it must know. */
function tableInfo(
  path: readonly string[],
  defaultDataset: string | undefined,
  catalog: Catalog,
  projectId: string,
): TableInfo {
  const view = path.findIndex((part) => part.toUpperCase() === 'INFORMATION_SCHEMA');
  if (view >= 0)
    return informationSchema(path.slice(0, view), path.slice(view + 1), catalog, projectId);
  const id = path.at(-1) as string;
  const dataset = path.at(-2) ?? defaultDataset;
  if (dataset === undefined)
    throw new Refusal(
      'invalidQuery',
      `Table "${id}" must be qualified with a dataset (e.g. dataset.table).`,
    );
  const project = path.at(-3) ?? projectId;
  const table = project === projectId ? catalog.get('table', tableKey(dataset, id)) : undefined;
  if (path.length > 3)
    throw new Refusal('invalidQuery', `Invalid table name: \`${path.join('.')}\``);
  if (table === undefined) {
    if (project === projectId && catalog.get('dataset', dataset) !== undefined)
      throw new Refusal('notFound', `Not found: Table ${project}:${dataset}.${id} was not found`);
    throw new Refusal('notFound', `Not found: Dataset ${project}:${dataset} was not found`);
  }
  return {
    dataset,
    table: id,
    sql: rowsOf(table),
    columns: table.fields.map((field) => ({
      name: field.name,
      type: columnType(field),
      required: field.mode === 'REQUIRED',
    })),
    partition: table.timePartitioning && {
      column: table.timePartitioning.field,
      unit: table.timePartitioning.type,
    },
    requireFilter: table.requirePartitionFilter,
  };
}

/** BigQuery's sizes: 8 bytes a number or date, 16 a NUMERIC, 1 a BOOL, 2 + its UTF-8 a STRING, nothing a NULL. */
function byteSql(sql: string, type: Type): string {
  if (typeof type === 'object') {
    if ('array' in type)
      return `coalesce(list_sum(list_transform(${sql}, lambda e : ${byteSql('e', type.array)})), 0)`;
    return '0';
  }
  const size = {
    STRING: `2 + strlen(${sql})`,
    BYTES: `2 + octet_length(${sql})`,
    NUMERIC: '16',
    BOOL: '1',
    INT64: '8',
    FLOAT64: '8',
    DATE: '8',
    TIMESTAMP: '8',
    NULL: '0',
  }[type];
  return `CASE WHEN ${sql} IS NULL THEN 0 ELSE ${size} END`;
}

/** A fault of DuckDB as one of BigQuery: bad values are the query's fault, what it cannot bind is a gap of ours. */
function queryRefusal(error: unknown): unknown {
  if (error instanceof Refusal || error instanceof QueryFault || !(error instanceof Error))
    return error;
  const [, kind = '', text = error.message] =
    /^([A-Za-z ]+) Error: ([\s\S]*)$/.exec(error.message) ?? [];
  const message = text.split('\n')[0] as string;
  if (
    kind === 'Out of Range' ||
    kind === 'Invalid Input' ||
    kind === 'Conversion' ||
    kind === 'Constraint'
  )
    return new Refusal(
      'invalidQuery',
      message.replace(
        /^NOT NULL constraint failed: \w+\.(\w+)$/,
        'Required field $1 cannot be null',
      ),
      'query',
    );
  if (kind === 'INTERRUPT' || /interrupted/i.test(error.message))
    return new Refusal('invalidQuery', 'Job execution was cancelled', 'query');
  if (kind === 'Out of Memory')
    return new Refusal('backendError', `Resources exceeded during query execution: ${message}`);
  if (/^(Binder|Parser|Catalog|Not )/.test(kind))
    return new Refusal('invalidQuery', `This form is not supported locally: ${message}`, 'query');
  return new Refusal('backendError', error.message);
}

function loadRefusal(error: unknown, staging: Staging): unknown {
  if (error instanceof Refusal || !(error instanceof Error)) return error;
  const [, kind = '', text = error.message] =
    /^([A-Za-z ]+) Error: ([\s\S]*)$/.exec(error.message) ?? [];
  const uri = staging.files.find(({ path }) => error.message.includes(path))?.uri;
  let message = text.split('\n')[0] as string;
  for (const file of staging.files) message = message.replaceAll(file.path, file.uri);
  const required = /^NOT NULL constraint failed: \w+\.(\w+)$/.exec(message)?.[1];
  if (required !== undefined) message = `Required field ${required} cannot be null`;
  if (kind === 'Out of Memory') return new Refusal('backendError', message);
  return new Refusal(
    'invalid',
    `Error while reading data, error message: ${message}`,
    uri ?? staging.files[0]?.uri,
  );
}
