/**
 * What BigQuery knows and refuses when data is loaded and changed: job identity, dispositions, the load transaction.
 * No sockets, no files and no SQL engine here: rows lie in a Store (duckdb.ts on disk, memory.ts for simulations).
 */
import type { Dml, Expr } from './ast.ts';
import type { Parameter } from './bound.ts';
import { parse } from './parse.ts';
import { position, QueryFault, Refusal } from './refusal.ts';
import { isDml, transactionOf } from './script.ts';
import type { Field } from './type.ts';

export interface TableReference {
  readonly projectId?: string;
  readonly datasetId: string;
  readonly tableId: string;
}

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
  readonly timePartitioning?: {
    readonly type: 'DAY' | 'MONTH' | 'HOUR' | 'YEAR';
    readonly field: string;
    readonly expirationMs?: string;
  };
  readonly requirePartitionFilter: boolean;
  readonly resource: Readonly<Record<string, unknown>>;
  readonly createdMs: number;
  readonly modifiedMs: number;
}

export interface ErrorProto {
  readonly reason: string;
  readonly message: string;
  readonly location?: string;
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
  readonly timePartitioning?: Table['timePartitioning'];
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

export interface StateOptions {
  readonly store: Store;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly projectId: string;
  /** Local files behind a gs:// URI; none means that there is no such object. */
  readonly resolve: (uri: string) => readonly string[] | Promise<readonly string[]>;
  readonly readText: (path: string) => Promise<string>;
}

export function tableKey(dataset: string, table: string): string {
  return `${dataset}.${table}`;
}

export function jobKey(id: string, location: string): string {
  return `${location.toLowerCase()}.${id}`;
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

const FORMATS = new Set(['PARQUET', 'NEWLINE_DELIMITED_JSON']);
const DISPOSITIONS = new Set([
  'WRITE_TRUNCATE',
  'WRITE_TRUNCATE_DATA',
  'WRITE_APPEND',
  'WRITE_EMPTY',
]);
const JOB_ID = /^[A-Za-z0-9_-]{1,1024}$/;

export class State {
  readonly options: StateOptions;
  sequence = 0;

  constructor(options: StateOptions) {
    this.options = options;
  }

  get store(): Store {
    return this.options.store;
  }

  // Datasets and tables

  async insertDataset(id: string, resource: Readonly<Record<string, unknown>>): Promise<Dataset> {
    if (!/^\w{1,1024}$/.test(id))
      throw new Refusal(
        'invalid',
        `Invalid dataset ID "${id}". Dataset IDs must be alphanumeric (plus underscores) and must be at most 1024 characters long.`,
      );
    return this.store.write(async (transaction) => {
      if (transaction.get('dataset', id))
        throw new Refusal('duplicate', `Already Exists: Dataset ${this.options.projectId}:${id}`);
      const dataset: Dataset = { id, resource };
      transaction.put('dataset', id, dataset);
      return dataset;
    });
  }

  async putDataset(id: string, resource: Readonly<Record<string, unknown>>): Promise<Dataset> {
    return this.store.write(async (transaction) => {
      this.dataset(id, transaction);
      const dataset: Dataset = { id, resource };
      transaction.put('dataset', id, dataset);
      return dataset;
    });
  }

  async deleteDataset(id: string, deleteContents: boolean): Promise<void> {
    await this.store.write(async (transaction) => {
      this.dataset(id, transaction);
      const tables = transaction.all('table').filter((table) => table.dataset === id);
      if (tables.length > 0 && !deleteContents)
        throw new Refusal(
          'resourceInUse',
          `Dataset ${this.options.projectId}:${id} is still in use`,
        );
      for (const table of tables) {
        await transaction.drop(table);
        transaction.remove('table', tableKey(id, table.id));
      }
      transaction.remove('dataset', id);
    });
  }

  dataset(id: string, catalog: Catalog = this.store): Dataset {
    const dataset = catalog.get('dataset', id);
    if (dataset === undefined)
      throw new Refusal('notFound', `Not found: Dataset ${this.options.projectId}:${id}`);
    return dataset;
  }

  table(dataset: string, id: string, catalog: Catalog = this.store): Table {
    const table = catalog.get('table', tableKey(dataset, id));
    if (table !== undefined) return table;
    this.dataset(dataset, catalog);
    throw new Refusal('notFound', `Not found: Table ${this.options.projectId}:${dataset}.${id}`);
  }

  async insertTable(table: Omit<Table, 'rows' | 'createdMs' | 'modifiedMs'>): Promise<Table> {
    return this.store.write(async (transaction) => {
      this.dataset(table.dataset, transaction);
      if (transaction.get('table', tableKey(table.dataset, table.id)))
        throw new Refusal(
          'duplicate',
          `Already Exists: Table ${this.options.projectId}:${table.dataset}.${table.id}`,
        );
      return this.create(transaction, table);
    });
  }

  async create(
    transaction: Transaction,
    table: Omit<Table, 'rows' | 'createdMs' | 'modifiedMs'>,
  ): Promise<Table> {
    checkTable(table);
    const now = this.options.now();
    this.sequence = Math.max(
      this.sequence + 1,
      ...transaction.all('table').map(({ rows }) => Number(rows.slice(1)) + 1),
    );
    const made: Table = { ...table, rows: `t${this.sequence}`, createdMs: now, modifiedMs: now };
    await transaction.create(made);
    transaction.put('table', tableKey(made.dataset, made.id), made);
    return made;
  }

  /** Removes a table; one that is not there is an error of reason notFound. */
  async deleteTable(dataset: string, id: string): Promise<void> {
    await this.store.write(async (transaction) => {
      await transaction.drop(this.table(dataset, id, transaction));
      transaction.remove('table', tableKey(dataset, id));
    });
  }

  // Jobs

  job(id: string, location: string): Job {
    const job = this.store.get('job', jobKey(id, location));
    if (job === undefined)
      throw new Refusal('notFound', `Not found: Job ${this.options.projectId}:${location}.${id}`);
    return job;
  }

  /**
   * Takes a load or a changing statement as a job. It is kept before it runs, so that a stop in between loses nothing:
   * `resume` runs it again. A known id is refused with reason duplicate, and the first job stays as it is.
   */
  async accept(id: string, location: string, configuration: JobConfiguration): Promise<Job> {
    if (!JOB_ID.test(id))
      throw new Refusal(
        'invalid',
        `Invalid job ID "${id}". Job IDs must be alphanumeric (plus underscores and dashes) and must be at most 1024 characters long.`,
      );
    return this.store.write(async (transaction) => {
      if (transaction.get('job', jobKey(id, location)))
        throw new Refusal(
          'duplicate',
          `Already Exists: Job ${this.options.projectId}:${location}.${id}`,
        );
      const job: Job = {
        id,
        location,
        configuration,
        state: 'RUNNING',
        statistics: {},
        createdMs: this.options.now(),
        startedMs: this.options.now(),
      };
      transaction.put('job', jobKey(id, location), job);
      return job;
    });
  }

  /** Runs an accepted job to its end; its result is committed with its data. Faults of the job end in `error`. */
  async run(job: Job, context: Omit<QueryContext, 'nowMicros'>): Promise<Job> {
    const done = (rest: Partial<Job>): Job => ({
      ...job,
      ...rest,
      state: 'DONE',
      endedMs: this.options.now(),
    });
    try {
      return await this.store.write(async (transaction) => {
        const statistics =
          job.configuration.load === undefined
            ? await this.change(job.configuration.query as QueryConfiguration, transaction, context)
            : await this.load(job.configuration.load, transaction);
        const ended = done({ statistics });
        transaction.put('job', jobKey(job.id, job.location), ended);
        return ended;
      });
    } catch (error) {
      const refusal = refusalOf(error, job.configuration.query?.query ?? '');
      const ended = done({
        error: {
          reason: refusal.reason,
          message: refusal.message,
          ...(refusal.location !== undefined && { location: refusal.location }),
        },
      });
      return this.store.write(async (transaction) => {
        transaction.put('job', jobKey(job.id, job.location), ended);
        return ended;
      });
    }
  }

  unfinished(): readonly Job[] {
    return this.store.all('job').filter(({ state }) => state !== 'DONE');
  }

  async load(load: LoadConfiguration, transaction: Transaction): Promise<Record<string, unknown>> {
    const { datasetId, tableId } = load.destinationTable;
    const disposition = load.writeDisposition ?? 'WRITE_APPEND';
    if (!DISPOSITIONS.has(disposition))
      throw new Refusal('invalid', `Invalid write disposition: ${disposition}`);
    if (tableId.includes('$'))
      throw new Refusal(
        'invalid',
        `Loading the single partition ${tableId} is not supported locally`,
      );
    if ((load.maxBadRecords ?? 0) > 0)
      throw new Refusal('invalid', 'maxBadRecords above 0 is not supported locally');
    const staging = await this.staging(load);
    this.dataset(datasetId, transaction);
    const existing = transaction.get('table', tableKey(datasetId, tableId));
    if (existing === undefined && load.createDisposition === 'CREATE_NEVER')
      this.table(datasetId, tableId, transaction);
    const given = load.schema?.fields;
    if (existing && given && disposition !== 'WRITE_TRUNCATE')
      checkSameSchema(existing, given, this.options.projectId);
    let table = existing;
    if (
      existing === undefined ||
      (disposition === 'WRITE_TRUNCATE' &&
        (given !== undefined || load.timePartitioning !== undefined))
    ) {
      const fields =
        given ??
        existing?.fields ??
        (staging.format === 'PARQUET' && staging.files.length > 0
          ? await transaction.describe(staging)
          : undefined);
      if (fields === undefined)
        throw new Refusal('invalid', 'No schema specified on job or table.');
      if (existing !== undefined) await transaction.drop(existing);
      const timePartitioning = load.timePartitioning ?? existing?.timePartitioning;
      table = await this.create(transaction, {
        dataset: datasetId,
        id: tableId,
        fields,
        ...(timePartitioning && { timePartitioning }),
        requirePartitionFilter: existing?.requirePartitionFilter ?? false,
        resource: {
          ...existing?.resource,
          ...(load.clustering !== undefined && { clustering: load.clustering }),
        },
      });
    } else if (disposition === 'WRITE_EMPTY' && (await transaction.count(existing)) > 0) {
      throw new Refusal(
        'duplicate',
        `Already Exists: Table ${this.options.projectId}:${datasetId}.${tableId}`,
      );
    } else if (disposition.startsWith('WRITE_TRUNCATE')) await transaction.clear(existing);
    const rows = await transaction.append(table as Table, staging);
    this.touch(table as Table, transaction);
    return {
      load: { inputFiles: `${staging.files.length}`, outputRows: `${rows}`, badRecords: '0' },
    };
  }

  touch(table: Table, transaction: Transaction): void {
    const current = transaction.get('table', tableKey(table.dataset, table.id)) ?? table;
    transaction.put('table', tableKey(table.dataset, table.id), {
      ...current,
      modifiedMs: this.options.now(),
    });
  }

  async staging(load: LoadConfiguration): Promise<Staging> {
    const format = load.sourceFormat ?? 'CSV';
    if (!FORMATS.has(format))
      throw new Refusal('invalid', `Source format ${format} is not supported locally`);
    let uris = load.sourceUris ?? [];
    if (uris.length === 0)
      throw new Refusal('invalid', 'Load configuration must specify at least one source URI');
    if (uris.length > 10_000)
      throw new Refusal('invalid', `Too many sources provided: ${uris.length}. Limit is 10000.`);
    if (load.fileSetSpecType === 'FILE_SET_SPEC_TYPE_NEW_LINE_DELIMITED_MANIFEST')
      uris = await this.manifests(uris);
    const files: { uri: string; path: string }[] = [];
    for (const uri of uris) {
      if (!/^gs:\/\/[^/]+\/.+/.test(uri))
        throw new Refusal(
          'invalid',
          `Source URI must be a Google Cloud Storage location: ${uri}`,
          uri,
        );
      const paths = await this.options.resolve(uri);
      if (paths.length === 0) throw new Refusal('notFound', `Not found: URI ${uri}`, uri);
      files.push(...paths.map((path) => ({ uri, path })));
    }
    return {
      format: format as Staging['format'],
      files,
      ignoreUnknownValues: load.ignoreUnknownValues ?? false,
      listInference: load.parquetOptions?.enableListInference ?? false,
    };
  }

  async manifests(uris: readonly string[]): Promise<readonly string[]> {
    const lists = await Promise.all(
      uris.map(async (uri) => {
        const paths = await this.options.resolve(uri);
        if (paths.length === 0) throw new Refusal('notFound', `Not found: URI ${uri}`, uri);
        return Promise.all(paths.map((path) => this.options.readText(path)));
      }),
    );
    return lists.flat().flatMap((text) =>
      text
        .split('\n')
        .map((line) => line.trim())
        .filter((line) => line !== ''),
    );
  }

  /** One DML statement, or the load transaction. */
  async change(
    query: QueryConfiguration,
    transaction: Transaction,
    context: Omit<QueryContext, 'nowMicros'>,
  ): Promise<Record<string, unknown>> {
    const source = query.query;
    const full: QueryContext = { ...context, nowMicros: BigInt(this.options.now()) * 1000n };
    const statements = parse(source);
    const only = statements[0];
    const run = async (change: Dml): Promise<number> => {
      const rows = await transaction.execute(change, full);
      const [dataset, table] = targetOf(change, context.defaultDataset);
      const target = transaction.get('table', tableKey(dataset, table));
      if (target !== undefined) this.touch(target, transaction);
      return rows;
    };
    if (statements.length === 1 && isDml(only)) {
      const rows = await run(only);
      const stats = {
        insert: { insertedRowCount: `${rows}` },
        delete: { deletedRowCount: `${rows}` },
        update: { updatedRowCount: `${rows}` },
        merge: {},
      }[only.kind];
      return {
        query: {
          statementType: only.kind.toUpperCase(),
          numDmlAffectedRows: `${rows}`,
          dmlStats: stats,
          totalBytesProcessed: '0',
        },
      };
    }
    const { asserts, changes } = transactionOf(statements);
    for (const { expr, message, text, at } of asserts)
      if ((await transaction.holds(expr, full)) !== true)
        throw new Refusal(
          'invalidQuery',
          `Query error: Assertion failed: ${message ?? text} at ${position(source, at)}`,
          'query',
        );
    for (const change of changes) await run(change);
    return {
      query: { statementType: 'SCRIPT', totalBytesProcessed: '0' },
      numChildJobs: `${statements.length}`,
    };
  }
}

/** [dataset, table] of a statement's target. */
export function targetOf(
  change: Dml,
  defaultDataset: string | undefined,
): readonly [string, string] {
  const table = change.table.at(-1) as string;
  return [change.table.at(-2) ?? defaultDataset ?? '', table];
}

/** Any fault as what BigQuery would say; an unknown one is backendError, so that a caller tries again and the log tells. */
export function refusalOf(error: unknown, source: string): Refusal {
  if (error instanceof Refusal) return error;
  if (error instanceof QueryFault) return error.in(source);
  return new Refusal('backendError', error instanceof Error ? error.message : String(error));
}

function checkTable(table: Omit<Table, 'rows' | 'createdMs' | 'modifiedMs'>): void {
  if (!/^[\w-]{1,1024}$/.test(table.id))
    throw new Refusal('invalid', `Invalid table ID "${table.id}".`);
  const names = new Set<string>();
  for (const { name } of table.fields) {
    if (!/^[A-Za-z_]\w{0,299}$/.test(name))
      throw new Refusal(
        'invalid',
        `Invalid field name "${name}". Fields must contain only letters, numbers, and underscores, start with a letter or underscore, and be at most 300 characters long.`,
      );
    if (names.has(name.toLowerCase()))
      throw new Refusal('invalid', `Duplicate field name: ${name}`);
    names.add(name.toLowerCase());
  }
  const { timePartitioning } = table;
  if (timePartitioning === undefined) return;
  if (timePartitioning.field === undefined)
    throw new Refusal('invalid', 'Partitioning by ingestion time is not supported locally');
  const field = table.fields.find(({ name }) => name === timePartitioning.field);
  if (field === undefined)
    throw new Refusal(
      'invalid',
      `The field specified for partitioning cannot be found in the schema: ${timePartitioning.field}`,
    );
  if (!['DATE', 'TIMESTAMP'].includes(field.type.toUpperCase()) || field.mode === 'REPEATED')
    throw new Refusal(
      'invalid',
      `The field specified for partitioning must be of type DATE or TIMESTAMP: ${field.name}`,
    );
}

/** A load that states a schema must state the table's own, or BigQuery refuses it. */
function checkSameSchema(table: Table, fields: readonly Field[], project: string): void {
  const name = `${project}:${table.dataset}.${table.id}`;
  for (const field of fields) {
    const own = table.fields.find(
      (candidate) => candidate.name.toLowerCase() === field.name.toLowerCase(),
    );
    if (own === undefined)
      throw new Refusal(
        'invalid',
        `Provided Schema does not match Table ${name}. Cannot add fields (field: ${field.name})`,
      );
    const types = [own, field].map(
      ({ type }) => LEGACY_NAMES[type.toUpperCase()] ?? type.toUpperCase(),
    );
    if (types[0] !== types[1])
      throw new Refusal(
        'invalid',
        `Provided Schema does not match Table ${name}. Field ${field.name} has changed type from ${types[0]} to ${types[1]}`,
      );
    const modes = [own, field].map(({ mode }) => mode?.toUpperCase() ?? 'NULLABLE');
    if (modes[0] !== modes[1])
      throw new Refusal(
        'invalid',
        `Provided Schema does not match Table ${name}. Field ${field.name} has changed mode from ${modes[0]} to ${modes[1]}`,
      );
  }
}

const LEGACY_NAMES: Readonly<Record<string, string>> = {
  INT64: 'INTEGER',
  FLOAT64: 'FLOAT',
  BOOL: 'BOOLEAN',
  DECIMAL: 'NUMERIC',
};
