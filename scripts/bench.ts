/** Measures what the README claims: one file of `bench/` per claim, each printing ratios. */
import { readdirSync } from 'node:fs';
import type { Command } from 'commander';
import { Failure } from './failure.ts';
import { inRoot } from './place.ts';
import { say } from './progress.ts';
import { runProgram } from './run_program.ts';

const suffix = '.ts';

/** Names of the benches there are; what they share lies in a folder below. */
function benches(): readonly string[] {
  return readdirSync(inRoot('bench'))
    .filter((file) => file.endsWith(suffix))
    .map((file) => file.slice(0, -suffix.length))
    .sort();
}

export function declare(command: Command): void {
  command
    .argument('[name]', `one of: ${benches().join(', ')}; without it all, one after another`)
    .argument('[options...]', 'passed on to the bench, such as --json')
    .allowUnknownOption()
    .addHelpText(
      'after',
      `
Figures mean something only on a machine that does nothing else meanwhile.

Examples:
  ./tributary bench                      everything, about half an hour
  ./tributary bench start                how long functions take until they answer
  ./tributary bench pull --events 100000 --more-events 400000
  ./tributary bench history --json`,
    )
    .action(async (given: string | undefined, words: readonly string[]) => {
      // Without a name the first word may be an option of all benches.
      const named = given !== undefined && !given.startsWith('-');
      const name = named ? given : undefined;
      const options = named || given === undefined ? words : [given, ...words];
      const known = benches();
      if (name !== undefined && !known.includes(name)) {
        throw new Failure(`there is no bench ${name}; there are: ${known.join(', ')}`);
      }
      for (const bench of name === undefined ? known : [name]) {
        say(`bench ${bench}`);
        const program = [inRoot('bench', `${bench}${suffix}`), ...options];
        const { code } = await runProgram('node', program, { show: true });
        if (code !== 0) throw new Failure(`the bench ${bench} ended with ${code}`);
      }
    });
}
