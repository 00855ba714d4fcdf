/** Which calls go wrong, and how a run tells what that broke. */
import type { Fate, Fates, Seeded } from './simulation.ts';

/** This fate for the first calls that match, however often. */
export function fate(kind: Fate, matches: string, times = 1): Fates {
  const pattern = new RegExp(matches);
  let left = times;
  return ({ service, verb, what }, process) => {
    if (left === 0 || !pattern.test(`${process.name} ${service}.${verb} ${what}`)) return 'plain';
    left -= 1;
    return kind;
  };
}

/** This fate for one call alone, counted from 1, unless the call is spared. */
export function fateAt(
  call: number,
  kind: Fate,
  spared: (verb: string) => boolean = () => false,
): Fates {
  let made = 0;
  return ({ verb }) => {
    made += 1;
    return made === call && !spared(verb) ? kind : 'plain';
  };
}

/** Any fate by its share of all calls; plain otherwise. */
export function drawnFates(
  random: Seeded,
  shares: readonly (readonly [fate: Fate, share: number])[],
): Fates {
  return () => {
    let draw = random.next();
    for (const [drawn, share] of shares) {
      if (draw < share) return drawn;
      draw -= share;
    }
    return 'plain';
  };
}

/**
 * Runs a plan, and once more with its trace when it fails: the same plan is the same run.
 * @returns what is wrong; null = nothing
 */
export async function faultOf<T>(
  run: (trace: boolean) => Promise<T>,
  held: (result: T) => void = () => undefined,
): Promise<string | null> {
  let result: T;
  try {
    result = await run(false);
  } catch {
    return run(true).then(
      () => 'failed and then did not: something is not deterministic',
      (error: unknown) => (error instanceof Error ? (error.stack ?? error.message) : String(error)),
    );
  }
  held(result);
  return null;
}
