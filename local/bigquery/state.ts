/**
 * What BigQuery knows and refuses when data is loaded and changed: job identity, dispositions, the load transaction.
 * No sockets, no files and no SQL engine here: rows lie in a Store (duckdb.ts on disk, memory.ts for simulations).
 */
import { runChange } from './change_job.ts';
import type { JobConfiguration, QueryConfiguration } from './configuration.ts';
import { Datasets, type DatasetsOptions } from './datasets.ts';
import { type LoadOptions, runLoad } from './load_job.ts';
import { errorProto, Refusal, refusalOf } from './refusal.ts';
import { type Job, jobKey, type QueryContext } from './store.ts';

const JOB_ID = /^[A-Za-z0-9_-]{1,1024}$/;

export class State {
  readonly datasets: Datasets;
  readonly #options: DatasetsOptions & LoadOptions;

  constructor(options: DatasetsOptions & LoadOptions) {
    this.#options = options;
    this.datasets = new Datasets(options);
  }

  job(id: string, location: string): Job {
    const job = this.#options.store.get('job', jobKey(id, location));
    if (job === undefined)
      throw new Refusal('notFound', `Not found: Job ${this.#options.projectId}:${location}.${id}`);
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
    return this.#options.store.write(async (transaction) => {
      if (transaction.get('job', jobKey(id, location)))
        throw new Refusal(
          'duplicate',
          `Already Exists: Job ${this.#options.projectId}:${location}.${id}`,
        );
      const job: Job = {
        id,
        location,
        configuration,
        state: 'RUNNING',
        statistics: {},
        createdMs: this.#options.now(),
        startedMs: this.#options.now(),
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
      endedMs: this.#options.now(),
    });
    try {
      return await this.#options.store.write(async (transaction) => {
        const statistics =
          job.configuration.load === undefined
            ? await runChange(
                job.configuration.query as QueryConfiguration,
                transaction,
                { ...context, nowMicros: BigInt(this.#options.now()) * 1000n },
                this.datasets,
              )
            : await runLoad(job.configuration.load, transaction, this.datasets, this.#options);
        const ended = done({ statistics });
        transaction.put('job', jobKey(job.id, job.location), ended);
        return ended;
      });
    } catch (error) {
      const refusal = refusalOf(error, job.configuration.query?.query ?? '');
      const ended = done({ error: errorProto(refusal) });
      return this.#options.store.write(async (transaction) => {
        transaction.put('job', jobKey(job.id, job.location), ended);
        return ended;
      });
    }
  }

  unfinished(): readonly Job[] {
    return this.#options.store.all('job').filter(({ state }) => state !== 'DONE');
  }
}
