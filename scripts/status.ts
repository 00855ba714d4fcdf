/** How the pipeline stands: sources, waiting runs, batches, loads, refused records, dead letters. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { readPipeline } from './pipeline_state.ts';
import { duration, table } from './progress.ts';
import { openTarget, type Target, type TargetOptions, withTarget } from './target.ts';

export interface Status {
  readonly sources: readonly {
    readonly source: string;
    /** Everything the source had until then is planned; null = never pulled. */
    readonly planned_to: string | null;
    readonly lag_seconds: number | null;
    readonly open_windows: number;
    readonly pulling: boolean;
    readonly last_run: string | null;
    readonly trouble: string | null;
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
  readonly rejected: readonly {
    readonly source: string;
    readonly code: string;
    readonly records: number;
  }[];
  readonly messages: Readonly<Record<string, number>>;
  readonly dead_letters: Readonly<Record<string, number>>;
}

/** Refused records of the last 30 days, which is what people still act on. */
const REJECTED = `SELECT source, error_code AS code, count(*) AS records FROM ops.rejected
WHERE rejected_date >= DATE_SUB(CURRENT_DATE(), INTERVAL 30 DAY) GROUP BY source, error_code ORDER BY records DESC`;

export async function readStatus(target: Target): Promise<Status> {
  const now = Date.now();
  const [state, rejected] = await Promise.all([
    readPipeline(target),
    target.world.warehouse.rows(REJECTED),
  ]);
  return {
    sources: state.sources.map(({ name, checkpoint, leased }) => {
      const edges = Object.values(checkpoint.edges).sort();
      const edge = edges.at(-1) ?? null;
      return {
        source: name,
        planned_to: edge,
        lag_seconds: edge === null ? null : Math.round((now - Date.parse(edge)) / 1000),
        open_windows: checkpoint.open.length,
        pulling: leased,
        last_run: checkpoint.done[0]?.at ?? null,
        trouble:
          checkpoint.trouble === null
            ? null
            : `${checkpoint.trouble.code}: ${checkpoint.trouble.message}`,
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
    rejected: rejected.map((row) => ({
      source: String(row['source']),
      code: String(row['code']),
      records: Number(row['records']),
    })),
    messages: Object.fromEntries(state.messages),
    dead_letters: Object.fromEntries(state.dead),
  };
}

/** The status as people read it. */
export function shownStatus(status: Status): string {
  const counted = (counts: Readonly<Record<string, number>>) =>
    Object.entries(counts).map(([subscription, messages]) => ({ subscription, messages }));
  const sections: readonly (readonly [string, readonly Readonly<Record<string, unknown>>[]])[] = [
    [
      'sources',
      status.sources.map(({ source, lag_seconds, open_windows, pulling, last_run, trouble }) => ({
        source,
        lag: lag_seconds === null ? 'never pulled' : duration(lag_seconds * 1000),
        open_windows,
        pulling: pulling ? 'yes' : '',
        last_run,
        trouble,
      })),
    ],
    ['domains', status.domains.map(({ batch, ...rest }) => ({ ...rest, batch_in_flight: batch }))],
    ['rejected in 30 days', status.rejected],
    ['messages not acknowledged', counted(status.messages)],
    ['dead letters', counted(status.dead_letters)],
  ];
  return sections
    .map(([title, rows]) => `${title}\n${rows.length === 0 ? '(none)' : table(rows)}`)
    .join('\n\n');
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
