/** `jobs` and `queries` of the REST API. */
import { randomUUID } from 'node:crypto';
import {
  checkConfiguration,
  type JobConfiguration,
  type QueryConfiguration,
} from '../configuration.ts';
import type { QueryResult } from '../duckdb.ts';
import { type ErrorProto, errorProto, Refusal, refusalOf } from '../refusal.ts';
import { type Job, jobKey } from '../store.ts';
import { dryRun } from './dry_run.ts';
import { formatOf, pageOf, schemaOf } from './pages.ts';
import { isSelect, type Select, Selects } from './selects.ts';
import type { Body, Call, Route, Service } from './service.ts';
import { type FormatOptions, queryParameters } from './wire.ts';

export class Jobs {
  readonly #service: Service;
  readonly #selects: Selects;
  readonly #running = new Map<string, Promise<Job>>();

  constructor(service: Service) {
    this.#service = service;
    this.#selects = new Selects(service);
  }

  routes(): readonly Route[] {
    return [
      ['POST', /^jobs$/, (call) => this.#insert(call)],
      ['GET', /^jobs$/, (call) => this.#list(call)],
      [
        'GET',
        /^jobs\/([^/]+)$/,
        ({ params: [id = ''], query }) =>
          resourceOf(this.#find(id, query.get('location')), this.#service.projectId),
      ],
      ['POST', /^jobs\/([^/]+)\/cancel$/, (call) => this.#cancel(call)],
      ['POST', /^queries$/, (call) => this.#query(call)],
      ['GET', /^queries\/([^/]+)$/, (call) => this.#results(call)],
    ];
  }

  /** Runs what a stop has left unfinished. */
  resume(): void {
    for (const job of this.#service.state.unfinished()) this.#start(job);
  }

  /** Stops the SELECTs; the others run to their end. */
  async settled(): Promise<void> {
    await Promise.all([this.#selects.stop(), Promise.allSettled(this.#running.values())]);
  }

  async #insert({ body }: Call): Promise<unknown> {
    const reference = (body['jobReference'] ?? {}) as { jobId?: string; location?: string };
    const configuration = (body['configuration'] ?? {}) as JobConfiguration;
    const id = reference.jobId ?? `job_${randomUUID()}`;
    const location = reference.location ?? this.#service.location;
    this.#checkLocation(location);
    if (configuration.load === undefined && configuration.query === undefined)
      throw new Refusal('notImplemented', 'Only load and query jobs are supported locally');
    checkConfiguration(configuration);
    if (configuration.dryRun === true)
      return this.#service.store.gate.shared(() => dryRun(configuration, location, this.#service));
    if (configuration.query !== undefined && isSelect(configuration.query))
      return resourceOf(this.#selects.start(id, location, configuration), this.#service.projectId);
    if (this.#selects.get(id) !== undefined)
      throw new Refusal(
        'duplicate',
        `Already Exists: Job ${this.#service.projectId}:${location}.${id}`,
      );
    const job = await this.#service.state.accept(id, location, configuration);
    void this.#start(job);
    return resourceOf(job, this.#service.projectId);
  }

  #checkLocation(location: string): void {
    if (location.toLowerCase() !== this.#service.location.toLowerCase())
      throw new Refusal(
        'notFound',
        `Not found: no dataset of this project lies in location ${location}; this server's is ${this.#service.location}`,
      );
  }

  #start(job: Job): Promise<Job> {
    const work = this.#execution(job)
      .catch((error: unknown): Job => {
        // The store itself failed (a full disk): callers learn it, and the next start runs the job again.
        const ended: Job = { ...job, state: 'DONE', error: errorProto(refusalOf(error, '')) };
        this.#service.store.maps.job.set(jobKey(job.id, job.location), ended);
        return ended;
      })
      .finally(() => this.#running.delete(job.id));
    this.#running.set(job.id, work);
    return work;
  }

  async #execution(job: Job): Promise<Job> {
    const { query } = job.configuration;
    return this.#service.state.run(job, {
      parameters: queryParameters(query?.queryParameters ?? []),
      defaultDataset: query?.defaultDataset?.datasetId,
    });
  }

  #find(id: string, location: string | null): Job | Select {
    const select = this.#selects.get(id);
    if (select !== undefined) return select;
    return this.#service.state.job(id, location ?? this.#service.location);
  }

  #list({ query }: Call): unknown {
    const jobs = [...this.#service.store.all('job'), ...this.#selects.all()].sort(
      (a, b) => b.createdMs - a.createdMs,
    );
    const start = Number(query.get('pageToken') ?? 0);
    const limit = Number(query.get('maxResults') ?? 50);
    const states = query.getAll('stateFilter');
    const wanted = jobs
      .map(
        (job) =>
          resourceOf(job, this.#service.projectId) as {
            status: { state: string; errorResult?: ErrorProto };
          },
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
  #cancel({ query, params: [id = ''] }: Call): unknown {
    const job = this.#find(id, query.get('location'));
    if ('abort' in job) job.abort.abort();
    return { kind: 'bigquery#jobCancelResponse', job: resourceOf(job, this.#service.projectId) };
  }

  async #query({ body }: Call): Promise<unknown> {
    const {
      query,
      maxResults,
      timeoutMs,
      formatOptions,
      dryRun: dry,
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
    const at = location ?? this.#service.location;
    this.#checkLocation(at);
    const configuration: JobConfiguration = { query: { ...rest, query } as QueryConfiguration };
    checkConfiguration(configuration);
    if (dry === true)
      return {
        ...((await this.#service.store.gate.shared(() =>
          dryRun(configuration, at, this.#service),
        )) as Body),
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
    if (isSelect(configuration.query as QueryConfiguration))
      this.#selects.start(id, at, configuration);
    else void this.#start(await this.#service.state.accept(id, at, configuration));
    return {
      ...((await this.#results({ body, query: params, params: [id] })) as Body),
      kind: 'bigquery#queryResponse',
    };
  }

  async #results({ query, params: [id = ''] }: Call): Promise<unknown> {
    const first = this.#find(id, query.get('location'));
    const { projectId } = this.#service;
    const jobReference = { projectId, jobId: id, location: first.location };
    const work = 'abort' in first ? first.done : (this.#running.get(id) ?? Promise.resolve());
    const finished = await within(work, Number(query.get('timeoutMs') ?? 10_000));
    if (!finished)
      return { kind: 'bigquery#getQueryResultsResponse', jobReference, jobComplete: false };
    const job = this.#find(id, query.get('location'));
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
    const page = await pageOf(
      result,
      result.columns.map((_, i) => `o${i}`),
      result.totalRows,
      query,
      formatOf(query),
      this.#service.store,
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

function resourceOf(job: Job | Select, projectId: string): unknown {
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
