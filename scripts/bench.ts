/** Measures what the README claims: one file of `bench/` per claim, each printing ratios. */
import { existsSync, readdirSync } from 'node:fs';
import type { Command } from 'commander';
import { Failure } from './failure.ts';
import { inRoot } from './place.ts';
import { say } from './progress.ts';
import { runProgram } from './run_program.ts';
import { ensureSpark } from './setup.ts';

const suffix = '.bench.ts';

/** Names of the benches there are. */
function benches(): readonly string[] {
  const folder = inRoot('bench');
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((file) => file.endsWith(suffix))
    .map((file) => file.slice(0, -suffix.length))
    .sort();
}

export function declare(command: Command): void {
  command
    .argument('[name]', `one of: ${benches().join(', ') || '(none yet)'}; without it all`)
    .argument('[options...]', 'passed on to the bench')
    .allowUnknownOption()
    .addHelpText(
      'after',
      `
Examples:
  ./tributary bench
  ./tributary bench pull`,
    )
    .action(async (name: string | undefined, options: readonly string[]) => {
      const known = benches();
      if (name !== undefined && !known.includes(name)) {
        throw new Failure(`there is no bench ${name}; there are: ${known.join(', ') || 'none'}`);
      }
      await ensureSpark();
      for (const bench of name === undefined ? known : [name]) {
        say(`bench ${bench}`);
        const words = [inRoot('bench', `${bench}${suffix}`), ...options];
        const { code } = await runProgram('node', words, { show: true });
        if (code !== 0) throw new Failure(`the bench ${bench} ended with ${code}`);
      }
    });
}
