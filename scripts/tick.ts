/** Fires schedules now. */
import type { Command } from 'commander';
import { Failure } from './failure.ts';
import { openTarget, type Target, type TargetOptions, withTarget } from './target.ts';

/**
 * Fires the schedules named, or all that are not paused.
 * @returns names of the schedules fired
 * @throws Failure naming the schedules there are, when one is unknown
 */
export async function tick(target: Target, names: readonly string[]): Promise<readonly string[]> {
  const all = await target.schedules.list();
  const known = all.map(({ name }) => name);
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    throw new Failure(`no schedule is called ${unknown.join(', ')}; there are ${known.join(', ')}`);
  }
  const chosen =
    names.length > 0 ? names : all.filter(({ paused }) => !paused).map(({ name }) => name);
  await Promise.all(chosen.map((name) => target.schedules.run(name)));
  return chosen;
}

export function declare(command: Command): void {
  withTarget(command)
    .argument('[schedule...]', 'names of schedules; without any all that are not paused')
    .option('--json', 'print JSON', false)
    .addHelpText(
      'after',
      `
Firing is all it does: ./tributary settle waits until everything has arrived.

Examples:
  ./tributary tick
  ./tributary tick pull-email-email_events
  ./tributary tick --env prod sweep-tick`,
    )
    .action(async (names: readonly string[], options: TargetOptions & { json: boolean }) => {
      const fired = await tick(await openTarget(options), names);
      console.log(options.json ? JSON.stringify({ fired }) : `fired  ${fired.join(', ')}`);
    });
}
