/** SELECTs: queries that change nothing, live in memory, and keep their rows in the results database. */
import type { JobConfiguration, QueryConfiguration } from '../configuration.ts';
import type { QueryResult } from '../duckdb.ts';
import { parse } from '../parse/parse.ts';
import { isDml } from '../parse/script.ts';
import { type ErrorProto, errorProto, Refusal, refusalOf } from '../refusal.ts';
import { jobKey } from '../store.ts';
import { type TranslatedQuery, translateQuery } from '../translate/translate.ts';
import type { Service } from './service.ts';
import { queryParameters } from './wire.ts';

/** At most so many results are kept. */
const KEPT_RESULTS = 200;

export interface Select {
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

export class Selects {
  readonly #service: Service;
  readonly #byId = new Map<string, Select>();

  constructor(service: Service) {
    this.#service = service;
  }

  get(id: string): Select | undefined {
    return this.#byId.get(id);
  }

  all(): readonly Select[] {
    return [...this.#byId.values()];
  }

  /** Stops all that are running. */
  async stop(): Promise<void> {
    for (const select of this.#byId.values()) select.abort.abort();
    await Promise.allSettled(this.all().map(({ done }) => done));
  }

  /** Starts a SELECT. @throws Refusal of reason duplicate for a used id */
  start(id: string, location: string, configuration: JobConfiguration): Select {
    if (this.#byId.has(id) || this.#service.store.get('job', jobKey(id, location)) !== undefined)
      throw new Refusal(
        'duplicate',
        `Already Exists: Job ${this.#service.projectId}:${location}.${id}`,
      );
    const select: Select = {
      id,
      location,
      configuration,
      createdMs: this.#service.now(),
      endedMs: undefined,
      bytes: 0,
      error: undefined,
      result: undefined,
      abort: new AbortController(),
      done: Promise.resolve(),
    };
    this.#byId.set(id, select);
    select.done = this.#execute(select);
    this.#evict();
    return select;
  }

  async #execute(select: Select): Promise<void> {
    try {
      await this.#service.store.gate.shared(async () => {
        const query = translated(select.configuration, this.#service);
        select.bytes = await this.#service.store.bytes(query.uses);
        const limit = select.configuration.query?.maximumBytesBilled;
        // BigQuery bills 10 MB at least for each table read.
        const billed =
          query.uses.length === 0 ? 0 : Math.max(select.bytes, 10_485_760 * query.uses.length);
        if (limit !== undefined && limit !== null && billed > Number(limit))
          throw new Refusal(
            'bytesBilledLimitExceeded',
            `Query exceeded limit for bytes billed: ${limit}. ${billed} or higher required.`,
          );
        select.result = await this.#service.store.query(query, select.abort.signal);
      });
    } catch (error) {
      select.error = errorProto(refusalOf(error, select.configuration.query?.query ?? ''));
    }
    select.endedMs = this.#service.now();
  }

  /** Forgets the oldest results. */
  #evict(): void {
    for (const [id, select] of this.#byId) {
      if (this.#byId.size <= KEPT_RESULTS) return;
      if (select.endedMs === undefined) continue;
      this.#byId.delete(id);
      if (select.result !== undefined)
        void this.#service.store.forget(select.result).catch(() => undefined);
    }
  }
}

/** A statement that does not parse counts as a SELECT: its job fails with the position. */
export function isSelect({ query }: QueryConfiguration): boolean {
  try {
    const statements = parse(query);
    return statements.length === 1 && !isDml(statements[0]);
  } catch {
    return true;
  }
}

/** @throws Refusal with the position of the fault */
export function translated(configuration: JobConfiguration, service: Service): TranslatedQuery {
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
      service.store.translateOptions({
        nowMicros: BigInt(service.now()) * 1000n,
        parameters: queryParameters(query.queryParameters ?? []),
        defaultDataset: query.defaultDataset?.datasetId,
      }),
    );
  } catch (error) {
    throw refusalOf(error, query.query);
  }
}
