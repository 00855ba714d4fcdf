/** How the pipeline stands: sources, waiting runs, batches, loads, refused records, dead letters. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { Checkpoint } from '../functions/checkpoint.ts';
import { type Misplaced, misplacedFiles } from './misplaced.ts';
import { drained, readPipeline } from './pipeline_state.ts';
import { duration, table } from './progress.ts';
import { type Queryable, queryable, shownQueryable } from './queryable.ts';
import { openTarget, type Target, type TargetOptions, withTarget } from './target.ts';

export interface Status {
  readonly sources: readonly {
    readonly source: string;
    /** Everything the source had until then is planned; null = never pulled. */
    readonly planned_to: string | null;
    /** Everything the source had until then is in bronze; null = never read whole. */
    readonly read_to: string | null;
    /** Age of `read_to`: planning goes on while a trouble keeps anything from being read. */
    readonly lag_seconds: number | null;
    readonly open_windows: number;
    readonly pulling: boolean;
    readonly last_run: string | null;
    /** What stopped the last pull: its code, what happened and what to do; null = nothing did. */
    readonly trouble: string | null;
    readonly trouble_at: string | null;
    /** The trouble does not pass by itself; null = there is none. */
    readonly needs_person: boolean | null;
  }[];
  readonly domains: readonly {
    readonly domain: string;
    readonly waiting_runs: number;
    readonly batch: string | null;
    readonly loaded_batch: number;
    readonly stale_partitions: number;
    readonly set_aside_runs: number;
    readonly last_failure: string | null;
  }[];
  /** Domains whose last loads showed published messages. */
  readonly queryable: readonly Queryable[];
  readonly rejected: readonly {
    readonly source: string;
    readonly code: string;
    readonly records: number;
  }[];
  /** Files of the inbox that no source takes. */
  readonly misplaced: readonly Misplaced[];
  readonly messages: Readonly<Record<string, number>>;
  readonly dead_letters: Readonly<Record<string, number>>;
}

/** Refused records of the last 30 days, which is what people still act on. */
const REJECTED = `SELECT source, error_code AS code, count(*) AS records FROM ops.rejected
WHERE rejected_date >= DATE_SUB(CURRENT_DATE(), INTERVAL 30 DAY) GROUP BY source, error_code ORDER BY records DESC`;

/** Domains that take in messages. */
const drainedDomains = [...new Set([...drained.values()].map((name) => name.split('.')[0] ?? ''))];

export async function readStatus(target: Target): Promise<Status> {
  const now = Date.now();
  const [state, rejected, waits, misplaced] = await Promise.all([
    readPipeline(target),
    target.world.warehouse.rows(REJECTED),
    Promise.all(drainedDomains.map((domain) => queryable(target, domain))),
    misplacedFiles(target),
  ]);
  return {
    sources: state.sources.map(({ name, checkpoint, leased }) => {
      const read = readTo(checkpoint);
      return {
        source: name,
        planned_to: Object.values(checkpoint.edges).sort().at(-1) ?? null,
        read_to: read,
        lag_seconds: read === null ? null : Math.round((now - Date.parse(read)) / 1000),
        open_windows: checkpoint.open.length,
        pulling: leased,
        last_run: checkpoint.done[0]?.at ?? null,
        trouble:
          checkpoint.trouble === null
            ? null
            : `${checkpoint.trouble.code}: ${checkpoint.trouble.message}`,
        trouble_at: checkpoint.trouble?.at ?? null,
        needs_person: checkpoint.trouble?.needs_person ?? null,
      };
    }),
    domains: state.domains.map(({ name, ledger, waiting, failed }) => {
      const flight = ledger.in_flight;
      return {
        domain: name,
        waiting_runs: waiting,
        batch: flight === null ? null : `${name}-${flight.sequence}-${flight.attempt}`,
        loaded_batch: ledger.loaded,
        stale_partitions: ledger.stale,
        set_aside_runs: failed,
        last_failure: flight?.failures.at(-1)?.reason.split('\n')[0] ?? null,
      };
    }),
    queryable: waits.filter((found) => found !== null),
    rejected: rejected.map((row) => ({
      source: String(row['source']),
      code: String(row['code']),
      records: Number(row['records']),
    })),
    misplaced,
    messages: Object.fromEntries(state.messages),
    dead_letters: Object.fromEntries(state.dead),
  };
}

/**
 * Up to when a source is read: a pass that reads for the first time is as far as the begin of its
 * oldest open window. Passes that read again, and ranges somebody asked for, say nothing about it.
 */
export function readTo({ edges, open }: Checkpoint): string | null {
  const reached = Object.entries(edges)
    .filter(([pass]) => !pass.startsWith('again-'))
    .map(([pass, edge]) =>
      open
        .filter((window) => window.pass === pass)
        .reduce((oldest, { from }) => (from < oldest ? from : oldest), edge),
    );
  // A first listing begins with time itself: until it is done nothing is known to be whole.
  if (reached.some((instant) => Date.parse(instant) <= 0)) return null;
  return reached.sort().at(-1) ?? null;
}

/** Seconds, as people speak of how far something is behind. */
function age(seconds: number): string {
  const hours = seconds / 3600;
  if (hours < 2) return duration(seconds * 1000);
  return hours < 48 ? `${Math.round(hours)} h` : `${Math.round(hours / 24)} d`;
}

/** The status as people read it. */
export function shownStatus(status: Status): string {
  const counted = (counts: Readonly<Record<string, number>>) =>
    Object.entries(counts).map(([subscription, messages]) => ({ subscription, messages }));
  const sections: readonly (readonly [string, readonly Readonly<Record<string, unknown>>[]])[] = [
    [
      'sources',
      status.sources.map(
        ({ source, planned_to, lag_seconds, open_windows, pulling, last_run, trouble }) => ({
          source,
          lag:
            lag_seconds !== null
              ? age(lag_seconds)
              : planned_to === null
                ? 'never pulled'
                : 'never read whole',
          open_windows,
          pulling: pulling ? 'yes' : '',
          last_run,
          trouble: trouble === null ? '' : 'see below',
        }),
      ),
    ],
    ['domains', status.domains.map(({ batch, ...rest }) => ({ ...rest, batch_in_flight: batch }))],
    ['rejected in 30 days', status.rejected],
    ['messages not acknowledged', counted(status.messages)],
    ['dead letters', counted(status.dead_letters)],
  ];
  const troubles = status.sources.flatMap(({ source, trouble, trouble_at, open_windows }) =>
    trouble === null
      ? []
      : [
          `${source} at ${trouble_at}: ${trouble}`,
          `  ${open_windows} windows stay open until they are read; every tick of its schedule asks again`,
        ],
  );
  const misplaced = status.misplaced.map(
    ({ file, arrived_at, reason }) => `${file} of ${arrived_at}: ${reason}`,
  );
  return [
    ...sections.map(([title, rows]) => `${title}\n${rows.length === 0 ? '(none)' : table(rows)}`),
    ...(status.queryable.length === 0 ? [] : [shownQueryable(status.queryable)]),
    ...(misplaced.length === 0 ? [] : [`files that name no source\n${misplaced.join('\n')}`]),
    ...(troubles.length === 0 ? [] : [`troubles\n${troubles.join('\n')}`]),
  ].join('\n\n');
}

export function declare(command: Command): void {
  withTarget(command)
    .option('--watch', 'look again every two seconds, until Ctrl-C', false)
    .option('--json', 'print JSON', false)
    .addHelpText(
      'after',
      `
Examples:
  ./tributary status
  ./tributary status --watch --env prod
  ./tributary status --json | jq '.dead_letters'`,
    )
    .action(async (options: TargetOptions & { watch: boolean; json: boolean }) => {
      const target = await openTarget(options);
      for (;;) {
        const status = await readStatus(target);
        // A terminal shows one picture that changes; a file gets one after the other.
        if (options.watch && process.stdout.isTTY) process.stdout.write('\x1b[H\x1b[2J');
        console.log(options.json ? JSON.stringify(status) : shownStatus(status));
        if (!options.watch) return;
        await sleep(2_000);
      }
    });
}
