/** Pulls a source now, or a range of it again. */
import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import { addWindows, rangeOf } from '../functions/pull.ts';
import { tickSource } from '../functions/ticks.ts';
import type { Window } from '../functions/window.ts';
import { catalog } from '../schemas/rendered/catalog.ts';
import { Failure } from './failure.ts';
import {
  instantOf,
  openTarget,
  sourceNamed,
  type Target,
  type TargetOptions,
  withTarget,
} from './target.ts';

/** Asks the pull function for what a source has new. */
export async function pull(target: Target, name: string): Promise<void> {
  const arrives = catalog.sources[name]?.arrives;
  if (arrives?.kind === 'uploaded_files') {
    throw new Failure(
      `${name} is not pulled, its files are put in: ./tributary upload ${name} FILE`,
    );
  }
  await tickSource(target.world, name);
}

/**
 * Windows of a range that is read again. They stand in the checkpoint until each is read, so
 * whatever is cut off goes on by itself.
 */
export function backfill(name: string, from: string, to: string, now: number): readonly Window[] {
  if (from >= to) throw new Failure(`the range ${from} to ${to} is empty: --to must lie later`);
  // A range asked for twice is read twice: the pass is named for the moment it was asked.
  return rangeOf(name, from, to, `backfill-${now.toString(36)}`);
}

const DAY_MS = 86_400_000;

/** What a range means before anything is read, in a sentence. */
function estimate(name: string, windows: readonly Window[], from: string, to: string): string {
  const days = (Date.parse(to) - Date.parse(from)) / DAY_MS;
  const span = `${from} to ${to} (${days < 10 ? days.toFixed(1) : Math.round(days)} days)`;
  const whole = windows.length === 1 && windows[0]?.pass === 'full';
  return `${name}: ${span} is read again in ${windows.length} windows${whole ? ', a full listing' : ''}, beside the schedule and within the same rate limit`;
}

async function agreed(question: string): Promise<boolean> {
  if (!process.stdin.isTTY) return false;
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await terminal.question(`${question} [y/N] `);
  terminal.close();
  return /^y(es)?$/i.test(answer.trim());
}

interface PullOptions extends TargetOptions {
  readonly from?: string;
  readonly to?: string;
  readonly estimate: boolean;
  readonly yes: boolean;
}

export function declare(command: Command): void {
  withTarget(command)
    .argument('<source>', 'full name, such as email.email_events')
    .option('--from <instant>', 'begin of a range to read again, inclusive')
    .option('--to <instant>', 'end of the range, exclusive (default: now)')
    .option('--estimate', 'only say what the range means', false)
    .option('--yes', 'do not ask', false)
    .addHelpText(
      'after',
      `
Instants are days or ISO 8601, in UTC. A range is split into windows that are read one after the
other; what is cut off goes on with the next schedule. Reading twice changes no table.

Examples:
  ./tributary pull email.email_events
  ./tributary pull email.email_events --from 2026-10-01 --to 2026-11-01 --estimate
  ./tributary pull email.email_events --from 2026-10-01 --to 2026-11-01 --yes`,
    )
    .action(async (name: string, options: PullOptions) => {
      const of = sourceNamed(name);
      const target = await openTarget(options);
      if (options.from === undefined) {
        if (options.to !== undefined) throw new Failure('--to needs --from');
        await pull(target, name);
        console.log(`asked for ${name}; ./tributary settle waits for it`);
        return;
      }
      const now = Date.now();
      const from = instantOf(options.from);
      const to = options.to === undefined ? new Date(now).toISOString() : instantOf(options.to);
      const windows = backfill(name, from, to, now);
      console.log(estimate(name, windows, from, to));
      if (options.estimate) return;
      if (!options.yes && !(await agreed('Read it again?'))) {
        throw new Failure('nothing was asked for; --yes answers the question');
      }
      await addWindows(target.world, target.config, of, windows);
      await pull(target, name);
      console.log(
        `asked for ${windows.length} windows; ./tributary status shows how many are open`,
      );
    });
}
