/**
 * Replaces rows of several tables at once: one load job per table into a staging table, then one
 * transaction over all of them that asserts that the fence is lower and raises it. Job ids follow
 * from what is replaced by what, so whatever was started before is adopted.
 */
import { createHash } from 'node:crypto';
import { Permanent, Transient } from './errors.ts';
import type { BigQueryField, JobState, World } from './world.ts';

/** Jobs newly started for one step of one delivery; the sweep delivers again. */
const FRESH_TRIES = 4;

const STAGING = 'ops_staging';

export interface Replacement {
  readonly domain: string;
  readonly sequence: number;
  /** Other domains' fences as the rows were made; the transaction refuses when one has moved. */
  readonly unmoved?: ReadonlyMap<string, number>;
}

/** Stages every output, then replaces all of them in one fenced transaction. */
export async function replaceRows(
  world: World,
  of: Replacement,
  outputs: readonly Output[],
  deadline: number,
): Promise<void> {
  const stages = await stageAll(world, of, outputs, deadline);
  await commit(world, of, stages, deadline);
  for (const { staging } of stages) {
    if (staging !== null) await world.warehouse.dropTable(STAGING, staging);
  }
}

/** One table's new content: which rows go, and the files whose rows come. */
export interface Output {
  readonly dataset: string;
  readonly table: string;
  readonly schema: readonly BigQueryField[];
  /** GoogleSQL over the table's columns: the rows that go. */
  readonly replaces: string;
  readonly files: readonly string[];
  readonly format: 'PARQUET' | 'NEWLINE_DELIMITED_JSON';
  readonly rows: number;
}

interface Stage {
  readonly output: Output;
  /** The staging table, or null when nothing comes in. */
  readonly staging: string | null;
}

/** Loads every table's files beside the tables people read; all at once, each under its own id. */
async function stageAll(
  world: World,
  of: { readonly domain: string; readonly sequence: number },
  outputs: readonly Output[],
  deadline: number,
): Promise<readonly Stage[]> {
  return Promise.all(
    outputs.map(async (output) => {
      if (output.files.length === 0) return { output, staging: null };
      const staging = stagingName(of, output);
      const rows = await runJob(world, `load_${staging}`, deadline, {
        start: (jobId) =>
          world.warehouse.load({
            jobId,
            dataset: STAGING,
            table: staging,
            uris: output.files,
            format: output.format,
            schema: output.schema,
          }),
        stillThere: () => stagingThere(world, staging),
      });
      if (rows !== output.rows) {
        throw new Permanent({
          code: 'row_count_differs',
          message: `${output.dataset}.${output.table}: the batch says ${output.rows} rows, BigQuery loaded ${rows}`,
        });
      }
      return { output, staging };
    }),
  );
}

/** Other files or another schema are another staging table and another job, never an adopted one. */
function stagingName(
  of: { readonly domain: string; readonly sequence: number },
  output: Output,
): string {
  const content = JSON.stringify([output.files, output.schema]);
  const hash = createHash('sha256').update(content).digest('hex').slice(0, 8);
  return `${of.domain}_${of.sequence}_${output.dataset}_${output.table}_${hash}`;
}

/** Staging tables expire by themselves; BigQuery remembers their jobs for longer. */
async function stagingThere(world: World, staging: string): Promise<boolean> {
  try {
    await world.warehouse.rows(`SELECT COUNT(*) AS found FROM \`${STAGING}.${staging}\``);
    return true;
  } catch (failure) {
    if (failure instanceof Permanent) return false;
    throw failure;
  }
}

/** The transaction: readers see all tables of the batch at once, or none of it. */
async function commit(
  world: World,
  of: Replacement,
  stages: readonly Stage[],
  deadline: number,
): Promise<void> {
  const { domain, sequence } = of;
  const sql = transaction(of, stages);
  const hash = createHash('sha256').update(sql).digest('hex').slice(0, 8);
  try {
    await runJob(world, `commit_${domain}_${sequence}_${hash}`, deadline, {
      start: (jobId) => world.warehouse.script({ jobId, sql }),
      stillThere: () => Promise.resolve(true),
    });
  } catch (failure) {
    // Another delivery of the same manifest may have been faster; the fence says so.
    if ((await fenceOf(world, domain)) >= sequence) return;
    throw failure;
  }
}

/** The script in its one fixed form. */
function transaction(of: Replacement, stages: readonly Stage[]): string {
  const { domain, sequence, unmoved = new Map<string, number>() } = of;
  const fence = (name: string): string =>
    `(SELECT COALESCE(MAX(sequence), 0) FROM \`ops.fence\` WHERE domain = '${name}')`;
  const replaced = stages.flatMap(({ output, staging }) => {
    const target = `\`${output.dataset}.${output.table}\``;
    const columns = output.schema.map((column) => `\`${column.name}\``).join(', ');
    const gone = `DELETE FROM ${target} WHERE ${output.replaces}`;
    if (staging === null) return [gone];
    return [
      gone,
      `INSERT INTO ${target} (${columns}) SELECT ${columns} FROM \`${STAGING}.${staging}\``,
    ];
  });
  return [
    'BEGIN TRANSACTION',
    `ASSERT ${fence(domain)} < ${sequence} AS 'fence of ${domain} is at or above ${sequence}'`,
    ...[...unmoved].map(
      ([other, at]) =>
        `ASSERT ${fence(other)} = ${at} AS 'fence of ${other} is no longer at ${at}'`,
    ),
    ...replaced,
    `DELETE FROM \`ops.fence\` WHERE domain = '${domain}'`,
    `INSERT INTO \`ops.fence\` (\`domain\`, \`sequence\`) VALUES ('${domain}', ${sequence})`,
    'COMMIT TRANSACTION;',
  ].join(';\n');
}

/** The last sequence of a domain that readers see; 0 = none. */
export async function fenceOf(world: World, domain: string): Promise<number> {
  const [row] = await world.warehouse.rows(
    'SELECT COALESCE(MAX(sequence), 0) AS sequence FROM `ops.fence` WHERE domain = @domain',
    { domain },
  );
  return Number(row?.['sequence'] ?? 0);
}

/**
 * Runs a job under ids that follow from its name, adopting what an earlier try has started. A used
 * id is never run again, so a try that failed before, or whose result has gone, is passed over and
 * the next id taken.
 * @returns the rows a load has brought
 */
async function runJob(
  world: World,
  name: string,
  deadline: number,
  job: {
    readonly start: (jobId: string) => Promise<'started' | 'exists'>;
    readonly stillThere: () => Promise<boolean>;
  },
): Promise<number | null> {
  let fresh = 0;
  for (let attempt = 1; ; attempt += 1) {
    const jobId = `${name}_a${attempt}`;
    const began = await job.start(jobId);
    const state = await ended(world, jobId, deadline);
    if (state.state === 'done') {
      if (began === 'started' || (await job.stillThere())) return state.outputRows;
      continue;
    }
    if (began === 'exists') continue;
    fresh += 1;
    if (!passes(state) || fresh >= FRESH_TRIES) {
      const Kind = passes(state) ? Transient : Permanent;
      throw new Kind({
        code: 'job_failed',
        message: `BigQuery job ${jobId}: ${state.reason}: ${state.message}`,
      });
    }
    await world.clock.sleep(Math.min(60_000, 1_000 * 2 ** fresh) * (0.5 + world.random.next()));
  }
}

/** BigQuery's reasons that another try may cure (its page "Error messages"). */
const passing: ReadonlySet<string> = new Set([
  'backendError',
  'internalError',
  'jobBackendError',
  'jobInternalError',
  'jobRateLimitExceeded',
  'rateLimitExceeded',
  'quotaExceeded',
  'stopped',
  'timeout',
  'tableUnavailable',
  'aborted',
]);

/** Domains share the tables of `ops`, so their transactions may cancel each other; that is no fault. */
const passes = (failure: { readonly reason: string; readonly message: string }): boolean =>
  passing.has(failure.reason) || /concurrent (update|transaction)/i.test(failure.message);

async function ended(
  world: World,
  jobId: string,
  deadline: number,
): Promise<Extract<JobState, { state: 'done' | 'failed' }>> {
  for (let pause = 100; ; pause = Math.min(5_000, pause * 1.5)) {
    const state = await world.warehouse.job(jobId);
    if (state.state === 'done' || state.state === 'failed') return state;
    if (state.state === 'missing') {
      throw new Transient({ code: 'job_vanished', message: `BigQuery does not know job ${jobId}` });
    }
    if (world.clock.now() > deadline) {
      throw new Transient({ code: 'job_slow', message: `BigQuery job ${jobId} is still running` });
    }
    await world.clock.sleep(pause);
  }
}
