/** Runs kept data through again: the same code path, the same keys, so twice changes nothing. */
import { Argument, type Command } from 'commander';
import { markWaiting } from '../functions/land.ts';
import { type RunManifest, readJson } from '../functions/manifest.ts';
import { Failure } from './failure.ts';
import {
  instantOf,
  openTarget,
  sourceNamed,
  type Target,
  type TargetOptions,
  withTarget,
} from './target.ts';

export interface ReplayRequest {
  readonly what: 'rejected' | 'bronze';
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
      new Argument('<what>', 'runs that brought refused records, or all that was kept').choices([
        'rejected',
        'bronze',
      ]),
    )
    .argument('<source>', 'full name, such as email.email_events')
    .option('--from <instant>', 'runs landed from then on')
    .option('--to <instant>', 'runs landed before then')
    .option('--json', 'print JSON', false)
    .addHelpText(
      'after',
      `
The runs wait for the next batch, which ./tributary settle starts at once. Runs that were set aside
come back this way too.

Examples:
  ./tributary replay rejected email.email_events && ./tributary settle
  ./tributary replay bronze email.contacts --from 2026-11-01`,
    )
    .action(async (what: 'rejected' | 'bronze', source: string, options: ReplayOptions) => {
      const runs = await replay(await openTarget(options), {
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
