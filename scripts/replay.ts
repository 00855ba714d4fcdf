/** Runs kept data through again: the same code path, the same keys, so twice changes nothing. */
import { Argument, type Command } from 'commander';
import { markWaiting } from '../functions/land.ts';
import { type RunManifest, readJson } from '../functions/manifest.ts';
import { deadLetters, drainedSubscription } from '../functions/settings.ts';
import { tickSource } from '../functions/ticks.ts';
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

type Replayed = 'rejected' | 'bronze' | 'dead-letters';

export interface ReplayRequest {
  readonly what: Exclude<Replayed, 'dead-letters'>;
  readonly source: string;
  /** Runs landed from then on, and before then; ISO. */
  readonly from?: string;
  readonly to?: string;
}

/** Runs of a source that are put on the waiting list again. @returns their names */
export async function replay(target: Target, request: ReplayRequest): Promise<readonly string[]> {
  const { world, config } = target;
  const { domain, source } = sourceNamed(request.source);
  const wanted =
    request.what === 'rejected' ? await runsWithRejected(target, request.source) : null;
  const { control } = config.buckets;
  const manifests = await world.objects.list(control, `runs/${domain}/${source}/`);
  const chosen: string[] = [];
  for (const { name } of manifests) {
    const found = await readJson<RunManifest>(world.objects, control, name);
    if (found === null) continue;
    const { run, finished_at } = found.value;
    if (wanted !== null && !wanted.has(run)) continue;
    if (request.from !== undefined && finished_at < request.from) continue;
    if (request.to !== undefined && finished_at >= request.to) continue;
    chosen.push(run);
  }
  for (const run of chosen) {
    await markWaiting(world, config, { domain, source, run }, { anew: true });
  }
  return chosen;
}

/**
 * Has the drain take in what the source's subscription has given up.
 * @returns the subscription that keeps it, and how many there are, as far as is known
 * @throws Failure when the source does not arrive as messages
 */
export async function replayDeadLetters(
  target: Target,
  source: string,
): Promise<{ readonly subscription: string; readonly messages: number }> {
  sourceNamed(source);
  const arrives = catalog.sources[source]?.arrives;
  if (arrives?.kind !== 'pubsub_messages') {
    throw new Failure(`${source} does not arrive as messages, so none of them were given up`);
  }
  const subscription = deadLetters(drainedSubscription(arrives.topic));
  const messages = (await target.backlog()).get(subscription) ?? 0;
  await tickSource(target.world, source, { dead_letters: true });
  return { subscription, messages };
}

async function runsWithRejected(target: Target, source: string): Promise<ReadonlySet<string>> {
  const rows = await target.world.warehouse.rows(
    'SELECT DISTINCT run FROM ops.rejected WHERE source = @source',
    { source },
  );
  return new Set(rows.map((row) => String(row['run'])));
}

interface ReplayOptions extends TargetOptions {
  readonly from?: string;
  readonly to?: string;
  readonly json: boolean;
}

export function declare(command: Command): void {
  withTarget(command)
    .addArgument(
      new Argument(
        '<what>',
        'runs that brought refused records, all that was kept, or messages that were given up',
      ).choices(['rejected', 'bronze', 'dead-letters']),
    )
    .argument('<source>', 'full name, such as email.email_events')
    .option('--from <instant>', 'runs landed from then on')
    .option('--to <instant>', 'runs landed before then')
    .option('--json', 'print JSON', false)
    .addHelpText(
      'after',
      `
The runs wait for the next batch, which ./tributary settle starts at once. Runs that were set aside
come back this way too. Messages that were given up are landed like new ones, within a minute.

Examples:
  ./tributary replay rejected email.email_events && ./tributary settle
  ./tributary replay bronze email.contacts --from 2026-11-01
  ./tributary replay dead-letters website.site_events`,
    )
    .action(async (what: Replayed, source: string, options: ReplayOptions) => {
      const target = await openTarget(options);
      if (what === 'dead-letters') {
        if (options.from !== undefined || options.to !== undefined) {
          throw new Failure('dead letters are taken in all together: leave out --from and --to');
        }
        const asked = await replayDeadLetters(target, source);
        if (options.json) console.log(JSON.stringify({ source, ...asked }));
        else {
          console.log(
            `${source}: the drain takes in what lies in ${asked.subscription}, ${asked.messages} messages as far as is known`,
          );
        }
        return;
      }
      const runs = await replay(target, {
        what,
        source,
        ...(options.from === undefined ? {} : { from: instantOf(options.from) }),
        ...(options.to === undefined ? {} : { to: instantOf(options.to) }),
      });
      if (options.json) console.log(JSON.stringify({ source, runs }));
      else if (runs.length === 0) {
        throw new Failure(`${source}: no run fits, so nothing will be run through again`);
      } else console.log(`${source}: ${runs.length} runs wait to be run through again`);
    });
}
