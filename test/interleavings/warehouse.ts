/**
 * BigQuery's load and transaction semantics: a job id is used once, loads replace their staging
 * table, and the load transaction is one step that either happens whole or not at all. Two
 * transactions that overlap in time and change one table: the later one is aborted.
 */
import { Permanent } from '../../functions/errors.ts';
import type { JobState, Warehouse } from '../../functions/world.ts';
import type { Buckets } from './buckets.ts';
import type { Process, Simulation } from './simulation.ts';
import type { Row } from './spark.ts';

/** A job with what it worked on, so that another warehouse can be given the same. */
export type EndedJob =
  | {
      readonly load: Parameters<Warehouse['load']>[0];
      readonly rows: readonly Row[];
      readonly state: JobState;
    }
  | { readonly script: Parameters<Warehouse['script']>[0]; readonly state: JobState };

/** How badly jobs fare. */
export interface JobWeather {
  readonly fails: number;
  /** Jobs that are refused for good, as for a schema that does not fit. */
  readonly refused: number;
  /** Jobs that take minutes. */
  readonly slow: number;
}

export const calmJobs: JobWeather = { fails: 0, refused: 0, slow: 0 };

export class Tables {
  weather: JobWeather = calmJobs;
  readonly rows = new Map<string, readonly Row[]>();
  readonly jobs = new Map<string, JobState>();
  /** Answers of questions that only a scenario asks. */
  answers: (sql: string) => readonly Row[] | null = () => null;
  /** Scenarios: jobs that are refused for good. */
  refuses: (jobId: string) => boolean = () => false;
  /** Told of every job that did its work, in the order in which they ended. */
  ended: (job: EndedJob) => void = () => undefined;
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
            this.#begin(job.jobId, async () => {
              const state = await this.#load(`${job.dataset}.${job.table}`, job.uris);
              this.ended({
                load: job,
                rows: this.rows.get(`${job.dataset}.${job.table}`) ?? [],
                state,
              });
              return state;
            }),
          exists,
        ),
      script: (job) =>
        call(
          'script',
          job.jobId,
          () => {
            const work = this.#script(job.sql);
            return this.#begin(job.jobId, () => {
              const state = work();
              this.ended({ script: job, state });
              return state;
            });
          },
          exists,
        ),
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
      : random.between(20, 500);
    const fails = random.chance(this.weather.fails);
    const refused = this.refuses(jobId) || random.chance(this.weather.refused);
    this.#simulation.after(takes, async () => {
      const reason = fails ? 'backendError' : 'invalidQuery';
      const outcome: JobState =
        fails || refused ? { state: 'failed', reason, message: 'because' } : await work();
      this.#simulation.note(null, `job ${jobId}: ${JSON.stringify(outcome)}`);
      this.jobs.set(jobId, outcome);
    });
    return 'started';
  }

  async #load(table: string, uris: readonly string[]): Promise<JobState> {
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
        const asserted = /^ASSERT .*WHERE domain = '(\w+)'\) (<|=) (\d+) AS '(.*)'$/.exec(
          statement,
        );
        const deleted = /^DELETE FROM `([\w.]+)` WHERE (.*)$/.exec(statement);
        const copied = /^INSERT INTO `([\w.]+)` \((.*)\) SELECT .* FROM `([\w.]+)`$/.exec(
          statement,
        );
        const valued = /^INSERT INTO `([\w.]+)` \((.*)\) VALUES \((.*)\)$/.exec(statement);
        if (asserted !== null) {
          const [, domain = '', operator, sequence, message = ''] = asserted;
          const row = held('ops.fence').find((candidate) => candidate['domain'] === domain);
          const fence = Number(row?.['sequence'] ?? 0);
          const holds = operator === '<' ? fence < Number(sequence) : fence === Number(sequence);
          if (!holds) return invalid(message);
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
    const counted = /^SELECT COUNT\(\*\) AS found FROM `([\w.]+)`$/.exec(sql);
    if (counted !== null) {
      const rows = this.rows.get(counted[1] ?? '');
      if (rows !== undefined) return [{ found: rows.length }];
      throw new Permanent({ code: 'bigquery_refused', message: `Not found: Table ${counted[1]}` });
    }
    const fresh =
      /^SELECT CAST\(MAX\((\w+)\) AS STRING\) AS newest FROM `([\w.]+)` WHERE (.*)$/.exec(sql);
    if (fresh === null) throw new Error(`the model cannot answer: ${sql}`);
    const [, column = '', table = '', condition = ''] = fresh;
    const rows = (this.rows.get(table) ?? []).filter(conditionOf(condition));
    const newest = rows.map((row) => String(row[column])).sort();
    return [{ newest: newest.at(-1) ?? null }];
  }
}

/** The conditions that are used: AND, OR, parentheses, and a column beside literals. */
function conditionOf(text: string): (row: Row) => boolean {
  const tokens = text.match(/'[^']*'|[(),]|!=|>=|=|[\w]+/g) ?? [];
  let at = 0;
  const next = (): string => tokens[at++] ?? '';
  const literal = (): string => {
    const token = next();
    return (token === 'DATE' ? next() : token).replace(/^'(.*)'$/, '$1');
  };
  const single = (): ((row: Row) => boolean) => {
    const first = next();
    if (first === 'TRUE' || first === 'FALSE') return () => first === 'TRUE';
    if (first === '(') {
      const inner = either();
      next();
      return inner;
    }
    const operator = next();
    if (operator === 'IN') {
      const wanted = new Set<string>();
      for (next(); tokens[at - 1] !== ')'; next()) wanted.add(literal());
      return (row) => wanted.has(String(row[first]));
    }
    const value = literal();
    if (operator === '=') return (row) => String(row[first]) === value;
    if (operator === '!=') return (row) => String(row[first]) !== value;
    if (operator === '>=') return (row) => String(row[first]) >= value;
    throw new Error(`the model cannot read the condition: ${text}`);
  };
  const both = (): ((row: Row) => boolean) => {
    const parts = [single()];
    for (; tokens[at] === 'AND'; ) {
      next();
      parts.push(single());
    }
    return (row) => parts.every((part) => part(row));
  };
  const either = (): ((row: Row) => boolean) => {
    const parts = [both()];
    for (; tokens[at] === 'OR'; ) {
      next();
      parts.push(both());
    }
    return (row) => parts.some((part) => part(row));
  };
  const whole = either();
  if (at !== tokens.length) throw new Error(`the model cannot read the condition: ${text}`);
  return whole;
}
