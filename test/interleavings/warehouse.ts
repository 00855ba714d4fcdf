/**
 * BigQuery's load and transaction semantics: a job id is used once, loads replace their staging
 * table, and the load transaction is one step that either happens whole or not at all. Two
 * transactions that overlap in time and change one table: the later one is aborted.
 */
import type { JobState, Warehouse } from '../../functions/world.ts';
import type { Buckets } from './buckets.ts';
import type { Process, Simulation } from './simulation.ts';
import type { Row } from './spark.ts';

/** How badly jobs fare. */
export interface JobWeather {
  readonly fails: number;
  /** Jobs that take minutes. */
  readonly slow: number;
}

export const calmJobs: JobWeather = { fails: 0, slow: 0 };

export class Tables {
  weather: JobWeather = calmJobs;
  readonly rows = new Map<string, readonly Row[]>();
  readonly jobs = new Map<string, JobState>();
  /** Answers of questions that only a scenario asks. */
  answers: (sql: string) => readonly Row[] | null = () => null;
  /** Told after every committed transaction, with the tables it changed. */
  committed: (changed: ReadonlySet<string>) => void = () => undefined;
  readonly #changed = new Map<string, number>();
  readonly #simulation: Simulation;
  readonly #buckets: Buckets;
  #commits = 0;

  constructor(simulation: Simulation, buckets: Buckets) {
    this.#simulation = simulation;
    this.#buckets = buckets;
  }

  fence(domain: string): number {
    const row = this.rows.get('ops.fence')?.find((candidate) => candidate['domain'] === domain);
    return Number(row?.['sequence'] ?? 0);
  }

  client(process: Process): Warehouse {
    const call = <T>(
      verb: string,
      what: string,
      effect: () => T | Promise<T>,
      repeat?: (first: T) => T,
    ): Promise<T> => this.#simulation.call(process, 'bigquery', verb, what, effect, repeat);
    const exists = (): 'exists' => 'exists';
    return {
      load: (job) =>
        call(
          'load',
          `${job.jobId} ${job.uris.length} files`,
          () =>
            this.#begin(job.jobId, () =>
              this.#load(job.jobId, `${job.dataset}.${job.table}`, job.uris),
            ),
          exists,
        ),
      script: (job) =>
        call('script', job.jobId, () => this.#begin(job.jobId, this.#script(job.sql)), exists),
      job: (jobId) =>
        call('job', jobId, () => this.jobs.get(jobId) ?? { state: 'missing' as const }),
      rows: (sql, params = {}) => call('rows', sql.slice(0, 40), () => this.#ask(sql, params)),
      dropTable: (dataset, table) =>
        call('drop', `${dataset}.${table}`, () => {
          this.rows.delete(`${dataset}.${table}`);
        }),
    };
  }

  #begin(jobId: string, work: () => JobState | Promise<JobState>): 'started' | 'exists' {
    if (this.jobs.has(jobId)) return 'exists';
    this.jobs.set(jobId, { state: 'running' });
    const { random } = this.#simulation;
    const takes = random.chance(this.weather.slow)
      ? random.between(30_000, 600_000)
      : random.between(20, 2_000);
    const fails = random.chance(this.weather.fails);
    this.#simulation.after(takes, async () => {
      const outcome: JobState = fails
        ? { state: 'failed', reason: 'backendError', message: 'try again' }
        : await work();
      this.#simulation.note(null, `job ${jobId}: ${JSON.stringify(outcome)}`);
      this.jobs.set(jobId, outcome);
    });
    return 'started';
  }

  async #load(_jobId: string, table: string, uris: readonly string[]): Promise<JobState> {
    const rows: Row[] = [];
    for (const uri of uris) {
      const [, bucket = '', name = ''] = /^gs:\/\/([^/]+)\/(.+)$/.exec(uri) ?? [];
      const bytes = await this.#buckets.bytes(bucket, name);
      if (bytes === null) return { state: 'failed', reason: 'notFound', message: uri };
      for (const line of bytes.toString().split('\n')) {
        if (line !== '') rows.push(JSON.parse(line) as Row);
      }
    }
    this.rows.set(table, rows);
    return { state: 'done', outputRows: rows.length };
  }

  /** A script in the one form that is used; what it cannot read is a failed job. */
  #script(sql: string): () => JobState {
    const began = this.#commits;
    return () => {
      const invalid = (message: string): JobState => ({
        state: 'failed',
        reason: 'invalidQuery',
        message,
      });
      const statements = sql.replace(/;\s*$/, '').split(';\n');
      if (statements.shift() !== 'BEGIN TRANSACTION' || statements.pop() !== 'COMMIT TRANSACTION') {
        return invalid('no transaction');
      }
      const next = new Map<string, readonly Row[]>();
      const held = (table: string): readonly Row[] => next.get(table) ?? this.rows.get(table) ?? [];
      for (const statement of statements) {
        const asserted = /^ASSERT .*WHERE domain = '(\w+)'\) < (\d+) AS '(.*)'$/.exec(statement);
        const deleted = /^DELETE FROM `([\w.]+)` WHERE (.*)$/.exec(statement);
        const copied = /^INSERT INTO `([\w.]+)` \((.*)\) SELECT .* FROM `([\w.]+)`$/.exec(
          statement,
        );
        const valued = /^INSERT INTO `([\w.]+)` \((.*)\) VALUES \((.*)\)$/.exec(statement);
        if (asserted !== null) {
          const [, domain = '', sequence, message = ''] = asserted;
          const row = held('ops.fence').find((candidate) => candidate['domain'] === domain);
          if (Number(row?.['sequence'] ?? 0) >= Number(sequence)) return invalid(message);
        } else if (deleted !== null) {
          const [, table = '', condition = ''] = deleted;
          const gone = conditionOf(condition);
          next.set(
            table,
            held(table).filter((row) => !gone(row)),
          );
        } else if (copied !== null) {
          const [, table = '', columns = '', from = ''] = copied;
          const staged = this.rows.get(from);
          if (staged === undefined) {
            return { state: 'failed', reason: 'notFound', message: `Not found: Table ${from}` };
          }
          const names = columns.split(', ').map((column) => column.replaceAll('`', ''));
          const rows = staged.map((row) =>
            Object.fromEntries(names.map((name) => [name, row[name] ?? null])),
          );
          next.set(table, [...held(table), ...rows]);
        } else if (valued !== null) {
          const [, table = '', , values = ''] = valued;
          const [domain = '', sequence] = values.split(', ');
          const row = { domain: domain.replaceAll("'", ''), sequence: Number(sequence) };
          next.set(table, [...held(table), row]);
        } else {
          return invalid(`cannot read: ${statement}`);
        }
      }
      for (const table of next.keys()) {
        if ((this.#changed.get(table) ?? 0) > began) {
          return invalid(`Transaction is aborted due to concurrent update against table ${table}`);
        }
      }
      this.#commits += 1;
      for (const [table, rows] of next) {
        this.rows.set(table, rows);
        this.#changed.set(table, this.#commits);
      }
      this.committed(new Set(next.keys()));
      return { state: 'done', outputRows: null };
    };
  }

  #ask(sql: string, params: Readonly<Record<string, unknown>>): readonly Row[] {
    const answer = this.answers(sql);
    if (answer !== null) return answer;
    if (/FROM `ops\.fence` WHERE domain = @domain/.test(sql)) {
      return [{ sequence: this.fence(String(params['domain'])) }];
    }
    const fresh =
      /^SELECT CAST\(MAX\((\w+)\) AS STRING\) AS newest, COUNT\(\*\) AS row_count FROM `([\w.]+)` WHERE (\w+) >= @since$/.exec(
        sql,
      );
    if (fresh === null) throw new Error(`the model cannot answer: ${sql}`);
    const [, column = '', table = '', partition = ''] = fresh;
    const rows = (this.rows.get(table) ?? []).filter(
      (row) => String(row[partition]) >= String(params['since']),
    );
    const newest =
      rows
        .map((row) => String(row[column]))
        .sort()
        .at(-1) ?? null;
    return [{ newest, row_count: rows.length }];
  }
}

/** The conditions that deletions use: a column in literal days, names of runs, one batch. */
function conditionOf(text: string): (row: Row) => boolean {
  if (text === 'TRUE') return () => true;
  if (text === 'FALSE') return () => false;
  if (text.includes(') OR (')) {
    const parts = text.split(' OR ').map(conditionOf);
    return (row) => parts.some((part) => part(row));
  }
  const bare = text.replace(/^\((.*)\)$/, '$1');
  const parts = bare.split(' AND ').map((part) => {
    const one = /^(\w+) = (.+)$/.exec(part);
    const some = /^(\w+) IN \((.*)\)$/.exec(part);
    const literal = (value: string): string => value.replace(/^(?:DATE )?'(.*)'$/, '$1');
    if (one !== null) {
      const [, column = '', value = ''] = one;
      return (row: Row) => String(row[column]) === literal(value);
    }
    if (some !== null) {
      const [, column = '', values = ''] = some;
      const wanted = new Set(values.split(', ').map(literal));
      return (row: Row) => wanted.has(String(row[column]));
    }
    throw new Error(`the model cannot read the condition: ${part}`);
  });
  return (row) => parts.every((part) => part(row));
}
