/**
 * A local BigQuery: the REST API that @google-cloud/bigquery speaks, over DuckDB. Start it with startBigquery(); give the
 * client `apiEndpoint: url`, the same `projectId`, and an `authClient` that asks for no credentials.
 *
 * Options: `projectId`; `file`, the database (undefined: in memory); `resolve`, which maps a gs:// URI of a load to local
 * files; `port` (0: any free one); `location` (default EU); `now` (milliseconds); `threads`, `memoryLimit` of DuckDB.
 *
 * A load and a changing statement are kept as jobs before they run and are run again after a stop in between; their
 * result is committed with their data. Results of SELECTs last as long as the process, at most KEPT_RESULTS of them.
 */
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { DuckdbStore, type QueryResult, rowsOf } from './duckdb.ts';
import { parse } from './parse.ts';
import { Refusal } from './refusal.ts';
import { isDml } from './script.ts';
import {
  checkConfiguration,
  type ErrorProto,
  type Job,
  type JobConfiguration,
  jobKey,
  type QueryConfiguration,
  refusalOf,
  State,
  type Table,
} from './state.ts';
import { type TranslatedQuery, translateDml, translateQuery } from './translate.ts';
import { columnType, type Field, resultField } from './type.ts';
import { type FormatOptions, queryParameters, wireRow } from './wire.ts';

export interface BigqueryOptions {
  readonly projectId: string;
  readonly file?: string | undefined;
  readonly resolve: (uri: string) => readonly string[] | Promise<readonly string[]>;
  readonly port?: number;
  readonly location?: string;
  readonly now?: () => number;
  readonly threads?: number;
  readonly memoryLimit?: string;
}

export interface RunningBigquery {
  readonly url: string;
  /** Finishes what is running, then stops. */
  close(): Promise<void>;
}

const KEPT_RESULTS = 200;
const PAGE_ROWS = 10_000;

export async function startBigquery(options: BigqueryOptions): Promise<RunningBigquery> {
  const store = await DuckdbStore.open({
    file: options.file,
    projectId: options.projectId,
    ...(options.threads !== undefined && { threads: options.threads }),
    ...(options.memoryLimit !== undefined && { memoryLimit: options.memoryLimit }),
  });
  const service = new Service(store, options);
  const server = createServer((request, response) => void service.answer(request, response));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, '127.0.0.1', resolve);
  });
  service.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  service.resume();
  return {
    url: service.url,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await service.settled();
      await store.close();
    },
  };
}

/** A SELECT: lives in memory, its rows in the results database. */
interface Select {
  readonly id: string;
  readonly location: string;
  readonly configuration: JobConfiguration;
  readonly createdMs: number;
  endedMs: number | undefined;
  bytes: number;
  error: ErrorProto | undefined;
  result: QueryResult | undefined;
  readonly abort: AbortController;
  done: Promise<void>;
}

type Body = Readonly<Record<string, unknown>>;

interface Call {
  readonly query: URLSearchParams;
  readonly body: Body;
  readonly params: readonly string[];
}

class Service {
  readonly store: DuckdbStore;
  readonly state: State;
  readonly options: BigqueryOptions;
  readonly selects = new Map<string, Select>();
  readonly running = new Map<string, Promise<Job>>();
  url = '';

  constructor(store: DuckdbStore, options: BigqueryOptions) {
    this.store = store;
    this.options = options;
    this.state = new State({
      store,
      now: options.now ?? Date.now,
      projectId: options.projectId,
      resolve: options.resolve,
      readText: (path) => readFile(path, 'utf8'),
    });
  }

  get location(): string {
    return this.options.location ?? 'EU';
  }

  /** Runs what a stop has left unfinished. */
  resume(): void {
    for (const job of this.state.unfinished()) this.start(job);
  }

  async settled(): Promise<void> {
    for (const select of this.selects.values()) select.abort.abort();
    await Promise.allSettled([
      ...this.running.values(),
      ...[...this.selects.values()].map(({ done }) => done),
    ]);
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const url = new URL(request.url ?? '/', 'http://localhost');
      const raw = await bytesOf(request);
      const text = (
        request.headers['content-encoding'] === 'gzip' ? gunzipSync(raw) : raw
      ).toString();
      const body = text === '' ? {} : (JSON.parse(text) as Body);
      const answer = await this.route(request.method ?? 'GET', url, body);
      send(response, answer === undefined ? 204 : 200, answer);
    } catch (error) {
      const refusal =
        error instanceof SyntaxError
          ? new Refusal('invalid', 'Invalid JSON payload received')
          : refusalOf(error, '');
      const { code, message } = refusal;
      send(response, code, {
        error: {
          code,
          message,
          errors: [{ ...errorProto(refusal), domain: 'global' }],
          status: refusal.reason,
        },
      });
    }
  }

  async route(method: string, url: URL, body: Body): Promise<unknown> {
    const path = /^(?:\/bigquery\/v2)?\/projects\/([^/]+)\/(.*?)\/?$/.exec(
      decodeURIComponent(url.pathname),
    );
    if (path === null) throw new Refusal('notFound', `Not found: ${url.pathname}`);
    if (path[1] !== this.options.projectId)
      throw new Refusal('notFound', `Not found: Project ${path[1]}`);
    for (const [verb, pattern, handler] of this.routes) {
      const match = verb === method ? pattern.exec(path[2] as string) : null;
      if (match !== null) return handler({ query: url.searchParams, body, params: match.slice(1) });
    }
    throw new Refusal('notImplemented', `${method} ${path[2]} is not supported locally`);
  }

  readonly routes: readonly (readonly [
    string,
    RegExp,
    (call: Call) => Promise<unknown> | unknown,
  ])[] = [
    ['POST', /^datasets$/, (call) => this.insertDataset(call)],
    ['GET', /^datasets$/, () => this.listDatasets()],
    ['GET', /^datasets\/(\w+)$/, ({ params: [id = ''] }) => this.datasetResource(id)],
    ['PATCH', /^datasets\/(\w+)$/, (call) => this.patchDataset(call)],
    ['PUT', /^datasets\/(\w+)$/, (call) => this.patchDataset(call)],
    [
      'DELETE',
      /^datasets\/(\w+)$/,
      ({ params: [id = ''], query }) =>
        this.state.deleteDataset(id, query.get('deleteContents') === 'true'),
    ],
    ['POST', /^datasets\/(\w+)\/tables$/, (call) => this.insertTable(call)],
    ['GET', /^datasets\/(\w+)\/tables$/, (call) => this.listTables(call)],
    [
      'GET',
      /^datasets\/(\w+)\/tables\/([^/]+)$/,
      ({ params: [dataset = '', id = ''] }) => this.tableResource(this.state.table(dataset, id)),
    ],
    ['PATCH', /^datasets\/(\w+)\/tables\/([^/]+)$/, (call) => this.patchTable(call)],
    ['PUT', /^datasets\/(\w+)\/tables\/([^/]+)$/, (call) => this.patchTable(call)],
    [
      'DELETE',
      /^datasets\/(\w+)\/tables\/([^/]+)$/,
      ({ params: [dataset = '', id = ''] }) => this.state.deleteTable(dataset, id),
    ],
    ['GET', /^datasets\/(\w+)\/tables\/([^/]+)\/data$/, (call) => this.tableData(call)],
    ['POST', /^jobs$/, (call) => this.insertJob(call)],
    ['GET', /^jobs$/, (call) => this.listJobs(call)],
    [
      'GET',
      /^jobs\/([^/]+)$/,
      ({ params: [id = ''], query }) => this.jobResource(this.findJob(id, query.get('location'))),
    ],
    ['POST', /^jobs\/([^/]+)\/cancel$/, (call) => this.cancel(call)],
    ['POST', /^queries$/, (call) => this.query(call)],
    ['GET', /^queries\/([^/]+)$/, (call) => this.queryResults(call)],
  ];

  // Datasets

  async insertDataset({ body }: Call): Promise<unknown> {
    const id = String((body['datasetReference'] as Body | undefined)?.['datasetId'] ?? '');
    await this.state.insertDataset(id, body);
    return this.datasetResource(id);
  }

  async patchDataset({ body, params: [id = ''] }: Call): Promise<unknown> {
    await this.state.putDataset(id, { ...this.state.dataset(id).resource, ...body });
    return this.datasetResource(id);
  }

  datasetResource(id: string): unknown {
    const { resource } = this.state.dataset(id);
    return {
      kind: 'bigquery#dataset',
      location: this.location,
      ...resource,
      id: `${this.options.projectId}:${id}`,
      datasetReference: { projectId: this.options.projectId, datasetId: id },
    };
  }

  listDatasets(): unknown {
    const datasets = this.store.all('dataset').map(({ id }) => this.datasetResource(id));
    return { kind: 'bigquery#datasetList', datasets };
  }

  // Tables

  async insertTable({ body, params: [dataset = ''] }: Call): Promise<unknown> {
    const id = String((body['tableReference'] as Body | undefined)?.['tableId'] ?? '');
    if (
      body['view'] ??
      body['materializedView'] ??
      body['externalDataConfiguration'] ??
      body['rangePartitioning']
    )
      throw new Refusal(
        'notImplemented',
        'Views, external tables and range partitions are not supported locally',
      );
    return this.tableResource(await this.state.insertTable(tableOf(dataset, id, body)));
  }

  async patchTable({ body, params: [dataset = '', id = ''] }: Call): Promise<unknown> {
    const table = await this.store.write(async (transaction) => {
      const own = this.state.table(dataset, id, transaction);
      const merged = tableOf(dataset, id, {
        ...own.resource,
        schema: { fields: own.fields },
        ...(own.requirePartitionFilter && { requirePartitionFilter: true }),
        ...body,
      });
      const shape = (list: readonly Field[]): string =>
        JSON.stringify(list.map(({ name, type, mode }) => [name, type, mode ?? 'NULLABLE']));
      if (shape(merged.fields) !== shape(own.fields))
        throw new Refusal(
          'notImplemented',
          'Changing the columns of a table is not supported locally; load it with WRITE_TRUNCATE',
        );
      const partition = own.timePartitioning?.field;
      if (merged.timePartitioning?.field !== partition)
        throw new Refusal('invalid', 'Cannot change the partitioning of a table');
      const changed: Table = { ...own, ...merged, modifiedMs: (this.options.now ?? Date.now)() };
      transaction.put('table', `${dataset}.${id}`, changed);
      return changed;
    });
    return this.tableResource(table);
  }

  async tableResource({ dataset, id }: Table): Promise<unknown> {
    const { table, rows, bytes } = await this.store.gate.shared(async () => {
      // Looked up again: a commit may have come between, and a replaced table has other rows.
      const current = this.state.table(dataset, id);
      return { table: current, ...(await this.store.count(current)) };
    });
    return {
      ...table.resource,
      ...this.tableSummary(table),
      schema: { fields: table.fields },
      numRows: `${rows}`,
      numBytes: `${bytes}`,
      location: this.location,
      lastModifiedTime: `${table.modifiedMs}`,
    };
  }

  tableSummary(table: Table): Body {
    const { projectId } = this.options;
    return {
      kind: 'bigquery#table',
      type: 'TABLE',
      id: `${projectId}:${table.dataset}.${table.id}`,
      tableReference: { projectId, datasetId: table.dataset, tableId: table.id },
      creationTime: `${table.createdMs}`,
      ...(table.timePartitioning && { timePartitioning: table.timePartitioning }),
      ...(table.resource['clustering'] !== undefined && {
        clustering: table.resource['clustering'],
      }),
      ...(table.requirePartitionFilter && { requirePartitionFilter: true }),
    };
  }

  listTables({ params: [dataset = ''] }: Call): unknown {
    this.state.dataset(dataset);
    const tables = this.store.all('table').filter((table) => table.dataset === dataset);
    return {
      kind: 'bigquery#tableList',
      totalItems: tables.length,
      tables: tables.map((table) => this.tableSummary(table)),
    };
  }

  tableData(call: Call): Promise<unknown> {
    return this.store.gate.shared(() => this.tableDataPage(call));
  }

  async tableDataPage({ query, params: [dataset = '', id = ''] }: Call): Promise<unknown> {
    if (query.get('selectedFields') !== null)
      throw new Refusal('notImplemented', 'selectedFields is not supported locally');
    const table = this.state.table(dataset, id);
    const { rows } = await this.store.count(table);
    const columns = table.fields.map((field) => ({ name: field.name, type: columnType(field) }));
    const page = await this.page(
      { table: rowsOf(table), columns },
      columns.map(({ name }) => name),
      rows,
      query,
      formatOf(query),
    );
    return { kind: 'bigquery#tableDataList', ...page, totalRows: `${rows}` };
  }

  async page(
    source: { readonly table: string; readonly columns: TranslatedQuery['columns'] },
    names: readonly string[],
    total: number,
    query: URLSearchParams,
    format: FormatOptions,
  ): Promise<{ readonly rows: readonly unknown[]; readonly pageToken?: string }> {
    const start = Number(query.get('pageToken') ?? query.get('startIndex') ?? 0);
    if (!Number.isInteger(start) || start < 0)
      throw new Refusal('invalid', `Invalid page token: ${query.get('pageToken')}`);
    const asked = query.get('maxResults');
    const limit = Math.min(asked === null ? PAGE_ROWS : Number(asked), PAGE_ROWS);
    if (limit === 0 || start >= total)
      return { rows: [], ...(limit === 0 && start < total && { pageToken: `${start}` }) };
    const rows = await this.store.page(source, names, start, limit);
    const types = source.columns.map(({ type }) => type);
    const end = start + rows.length;
    return {
      rows: rows.map((row) => wireRow(row, types, format)),
      ...(end < total && { pageToken: `${end}` }),
    };
  }

  // Jobs

  async insertJob({ body }: Call): Promise<unknown> {
    const reference = (body['jobReference'] ?? {}) as { jobId?: string; location?: string };
    const configuration = (body['configuration'] ?? {}) as JobConfiguration;
    const id = reference.jobId ?? `job_${randomUUID()}`;
    const location = reference.location ?? this.location;
    this.checkLocation(location);
    if (configuration.load === undefined && configuration.query === undefined)
      throw new Refusal('notImplemented', 'Only load and query jobs are supported locally');
    checkConfiguration(configuration);
    if (configuration.dryRun === true)
      return this.store.gate.shared(() => this.dryRun(configuration, location));
    if (configuration.query !== undefined && this.isSelect(configuration.query))
      return this.jobResource(this.select(id, location, configuration));
    if (this.selects.has(id))
      throw new Refusal(
        'duplicate',
        `Already Exists: Job ${this.options.projectId}:${location}.${id}`,
      );
    const job = await this.state.accept(id, location, configuration);
    void this.start(job);
    return this.jobResource(job);
  }

  checkLocation(location: string): void {
    if (location.toLowerCase() !== this.location.toLowerCase())
      throw new Refusal(
        'notFound',
        `Not found: no dataset of this project lies in location ${location}; this server's is ${this.location}`,
      );
  }

  start(job: Job): Promise<Job> {
    const work = this.execution(job)
      .catch((error: unknown): Job => {
        // The store itself failed (a full disk): callers learn it, and the next start runs the job again.
        const ended: Job = { ...job, state: 'DONE', error: errorProto(refusalOf(error, '')) };
        this.store.maps.job.set(jobKey(job.id, job.location), ended);
        return ended;
      })
      .finally(() => this.running.delete(job.id));
    this.running.set(job.id, work);
    return work;
  }

  async execution(job: Job): Promise<Job> {
    const { query } = job.configuration;
    return this.state.run(job, {
      parameters: queryParameters(query?.queryParameters ?? []),
      defaultDataset: query?.defaultDataset?.datasetId,
    });
  }

  /** A statement that does not parse counts as a SELECT: its job fails with the position. */
  isSelect({ query }: QueryConfiguration): boolean {
    try {
      const statements = parse(query);
      return statements.length === 1 && !isDml(statements[0]);
    } catch {
      return true;
    }
  }

  findJob(id: string, location: string | null): Job | Select {
    const select = this.selects.get(id);
    if (select !== undefined) return select;
    return this.state.job(id, location ?? this.location);
  }

  translate(configuration: JobConfiguration): TranslatedQuery {
    const query = configuration.query as QueryConfiguration;
    try {
      if (query.useLegacySql === true)
        throw new Refusal('invalidQuery', 'Legacy SQL is not supported locally', 'query');
      if (query.destinationTable !== undefined)
        throw new Refusal(
          'invalidQuery',
          'A query with a destination table is not supported locally',
          'query',
        );
      const statement = parse(query.query)[0];
      if (statement?.kind !== 'query')
        throw new Refusal(
          'invalidQuery',
          'Only a SELECT, one DML statement or the load transaction is supported locally',
          'query',
        );
      return translateQuery(
        statement.query,
        this.store.translateOptions({
          nowMicros: BigInt((this.options.now ?? Date.now)()) * 1000n,
          parameters: queryParameters(query.queryParameters ?? []),
          defaultDataset: query.defaultDataset?.datasetId,
        }),
      );
    } catch (error) {
      throw refusalOf(error, query.query);
    }
  }

  async dryRun(configuration: JobConfiguration, location: string): Promise<unknown> {
    const { query } = configuration;
    if (query === undefined) throw new Refusal('invalid', 'Only a query can be run dry');
    let uses: TranslatedQuery['uses'];
    let columns: TranslatedQuery['columns'] = [];
    if (this.isSelect(query)) ({ uses, columns } = this.translate(configuration));
    else {
      const only = parse(query.query);
      if (only.length > 1 || !isDml(only[0]))
        throw new Refusal(
          'invalidQuery',
          'A dry run of a script is not supported locally',
          'query',
        );
      try {
        ({ uses } = translateDml(
          only[0],
          this.store.translateOptions({
            nowMicros: 0n,
            parameters: queryParameters(query.queryParameters ?? []),
            defaultDataset: query.defaultDataset?.datasetId,
          }),
        ));
      } catch (error) {
        throw refusalOf(error, query.query);
      }
    }
    const bytes = `${await this.store.bytes(uses)}`;
    return {
      kind: 'bigquery#job',
      jobReference: { projectId: this.options.projectId, location },
      configuration,
      status: { state: 'DONE' },
      statistics: {
        totalBytesProcessed: bytes,
        query: {
          totalBytesProcessed: bytes,
          totalBytesBilled: '0',
          cacheHit: false,
          schema: schemaOf(columns),
        },
      },
    };
  }

  select(id: string, location: string, configuration: JobConfiguration): Select {
    if (
      this.selects.has(id) ||
      this.store.get('job', `${location.toLowerCase()}.${id}`) !== undefined
    )
      throw new Refusal(
        'duplicate',
        `Already Exists: Job ${this.options.projectId}:${location}.${id}`,
      );
    const select: Select = {
      id,
      location,
      configuration,
      createdMs: (this.options.now ?? Date.now)(),
      endedMs: undefined,
      bytes: 0,
      error: undefined,
      result: undefined,
      abort: new AbortController(),
      done: Promise.resolve(),
    };
    this.selects.set(id, select);
    select.done = this.execute(select);
    this.evict();
    return select;
  }

  async execute(select: Select): Promise<void> {
    try {
      await this.store.gate.shared(async () => {
        const translated = this.translate(select.configuration);
        select.bytes = await this.store.bytes(translated.uses);
        const limit = select.configuration.query?.maximumBytesBilled;
        // BigQuery bills 10 MB at least for each table read.
        const billed =
          translated.uses.length === 0
            ? 0
            : Math.max(select.bytes, 10_485_760 * translated.uses.length);
        if (limit !== undefined && limit !== null && billed > Number(limit))
          throw new Refusal(
            'bytesBilledLimitExceeded',
            `Query exceeded limit for bytes billed: ${limit}. ${billed} or higher required.`,
          );
        select.result = await this.store.query(translated, select.abort.signal);
      });
    } catch (error) {
      select.error = errorProto(refusalOf(error, select.configuration.query?.query ?? ''));
    }
    select.endedMs = (this.options.now ?? Date.now)();
  }

  /** Forgets the oldest results. */
  evict(): void {
    for (const [id, select] of this.selects) {
      if (this.selects.size <= KEPT_RESULTS) return;
      if (select.endedMs === undefined) continue;
      this.selects.delete(id);
      if (select.result !== undefined) void this.store.forget(select.result).catch(() => undefined);
    }
  }

  jobResource(job: Job | Select): unknown {
    const { projectId } = this.options;
    const isSelect = 'abort' in job;
    const done = isSelect ? job.endedMs !== undefined : job.state === 'DONE';
    const { error } = job;
    const bytes = isSelect ? `${job.bytes}` : '0';
    const query = isSelect
      ? {
          statementType: 'SELECT',
          totalBytesProcessed: bytes,
          totalBytesBilled: bytes,
          cacheHit: false,
        }
      : undefined;
    return {
      kind: 'bigquery#job',
      id: `${projectId}:${job.location}.${job.id}`,
      jobReference: { projectId, jobId: job.id, location: job.location },
      configuration: { jobType: job.configuration.load ? 'LOAD' : 'QUERY', ...job.configuration },
      status: {
        state: done ? 'DONE' : 'RUNNING',
        ...(error && { errorResult: error, errors: [error] }),
      },
      statistics: {
        creationTime: `${job.createdMs}`,
        startTime: `${job.createdMs}`,
        ...(job.endedMs !== undefined && { endTime: `${job.endedMs}` }),
        totalBytesProcessed: bytes,
        ...(isSelect ? { query } : job.statistics),
      },
    };
  }

  listJobs({ query }: Call): unknown {
    const jobs = [...this.store.all('job'), ...this.selects.values()].sort(
      (a, b) => b.createdMs - a.createdMs,
    );
    const start = Number(query.get('pageToken') ?? 0);
    const limit = Number(query.get('maxResults') ?? 50);
    const states = query.getAll('stateFilter');
    const wanted = jobs
      .map(
        (job) => this.jobResource(job) as { status: { state: string; errorResult?: ErrorProto } },
      )
      .filter(({ status }) => states.length === 0 || states.includes(status.state.toLowerCase()));
    const page = wanted.slice(start, start + limit).map((job) => ({
      ...job,
      state: job.status.state,
      ...(job.status.errorResult && { errorResult: job.status.errorResult }),
    }));
    return {
      kind: 'bigquery#jobList',
      jobs: page,
      ...(start + limit < wanted.length && { nextPageToken: `${start + limit}` }),
    };
  }

  /** A SELECT stops; a load or change that has begun ends by itself, as BigQuery's may. */
  cancel({ query, params: [id = ''] }: Call): unknown {
    const job = this.findJob(id, query.get('location'));
    if ('abort' in job) job.abort.abort();
    return { kind: 'bigquery#jobCancelResponse', job: this.jobResource(job) };
  }

  // Results

  async query({ body }: Call): Promise<unknown> {
    const {
      query,
      maxResults,
      timeoutMs,
      formatOptions,
      dryRun,
      location,
      requestId: _,
      ...rest
    } = body as {
      query: string;
      maxResults?: number;
      timeoutMs?: number;
      formatOptions?: FormatOptions;
      dryRun?: boolean;
      location?: string;
      requestId?: string;
    };
    const at = location ?? this.location;
    this.checkLocation(at);
    const configuration: JobConfiguration = { query: { ...rest, query } as QueryConfiguration };
    checkConfiguration(configuration);
    if (dryRun === true)
      return {
        ...((await this.store.gate.shared(() => this.dryRun(configuration, at))) as Body),
        jobComplete: true,
      };
    const id = `job_${randomUUID()}`;
    const params = new URLSearchParams({
      timeoutMs: `${timeoutMs ?? 10_000}`,
      location: at,
      ...(maxResults !== undefined && maxResults !== null && { maxResults: `${maxResults}` }),
      ...(formatOptions?.useInt64Timestamp !== undefined && {
        'formatOptions.useInt64Timestamp': String(formatOptions.useInt64Timestamp),
      }),
      ...(formatOptions?.timestampOutputFormat !== undefined && {
        'formatOptions.timestampOutputFormat': formatOptions.timestampOutputFormat,
      }),
    });
    if (this.isSelect(configuration.query as QueryConfiguration))
      this.select(id, at, configuration);
    else void this.start(await this.state.accept(id, at, configuration));
    return {
      ...((await this.queryResults({ body, query: params, params: [id] })) as Body),
      kind: 'bigquery#queryResponse',
    };
  }

  async queryResults({ query, params: [id = ''] }: Call): Promise<unknown> {
    const first = this.findJob(id, query.get('location'));
    const { projectId } = this.options;
    const jobReference = { projectId, jobId: id, location: first.location };
    const work = 'abort' in first ? first.done : (this.running.get(id) ?? Promise.resolve());
    const finished = await within(work, Number(query.get('timeoutMs') ?? 10_000));
    if (!finished)
      return { kind: 'bigquery#getQueryResultsResponse', jobReference, jobComplete: false };
    const job = this.findJob(id, query.get('location'));
    if (job.error !== undefined)
      throw new Refusal(job.error.reason as 'invalidQuery', job.error.message, job.error.location);
    const base = {
      kind: 'bigquery#getQueryResultsResponse',
      jobReference,
      jobComplete: true,
      cacheHit: false,
    };
    if (!('abort' in job)) {
      const stats = job.statistics['query'] as { numDmlAffectedRows?: string } | undefined;
      return {
        ...base,
        totalRows: '0',
        totalBytesProcessed: '0',
        schema: { fields: [] },
        ...(stats?.numDmlAffectedRows !== undefined && {
          numDmlAffectedRows: stats.numDmlAffectedRows,
        }),
      };
    }
    const result = job.result as QueryResult;
    const page = await this.page(
      result,
      result.columns.map((_, i) => `o${i}`),
      result.totalRows,
      query,
      formatOf(query),
    );
    return {
      ...base,
      schema: schemaOf(result.columns),
      ...page,
      totalRows: `${result.totalRows}`,
      totalBytesProcessed: `${job.bytes}`,
    };
  }
}

function schemaOf(columns: TranslatedQuery['columns']): { readonly fields: readonly Field[] } {
  return { fields: columns.map(({ name, type }) => resultField(name, type)) };
}

function formatOf(query: URLSearchParams): FormatOptions {
  const int64 = query.get('formatOptions.useInt64Timestamp');
  const output = query.get('formatOptions.timestampOutputFormat');
  return {
    ...(int64 !== null && { useInt64Timestamp: int64 }),
    ...(output !== null && { timestampOutputFormat: output }),
  };
}

function tableOf(
  dataset: string,
  id: string,
  resource: Body,
): Omit<Table, 'rows' | 'createdMs' | 'modifiedMs'> {
  const fields = (
    (resource['schema'] as { fields?: readonly Field[] } | undefined)?.fields ?? []
  ).map((field) => ({ ...field, mode: field.mode ?? 'NULLABLE' }));
  for (const field of fields) columnType(field);
  const timePartitioning = resource['timePartitioning'] as
    | (NonNullable<Table['timePartitioning']> & { requirePartitionFilter?: boolean })
    | undefined;
  const { schema: _, ...rest } = resource;
  return {
    dataset,
    id,
    fields,
    ...(timePartitioning && { timePartitioning }),
    requirePartitionFilter:
      resource['requirePartitionFilter'] === true ||
      timePartitioning?.requirePartitionFilter === true,
    resource: rest,
  };
}

function errorProto({ reason, message, location }: Refusal): ErrorProto {
  return { reason, message, ...(location !== undefined && { location }) };
}

async function within(work: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  const done = work.then(
    () => true,
    () => true,
  );
  return Promise.race([done, late]).finally(() => clearTimeout(timer));
}

async function bytesOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function send(response: ServerResponse, code: number, body: unknown): void {
  const text = body === undefined ? '' : JSON.stringify(body);
  response.writeHead(code, { 'content-type': 'application/json; charset=UTF-8' }).end(text);
}
