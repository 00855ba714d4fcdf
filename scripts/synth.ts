/** `synth`: infrastructure to `cdktf.out/stacks/<environment>/cdk.tf.json`. */
import { relative } from 'node:path';
import type { Command } from 'commander';
import { readEnvironments } from '../infra/environment.ts';
import { synthesise } from '../infra/main.ts';
import { build } from './build.ts';
import { Failure } from './failure.ts';
import { root } from './place.ts';

/**
 * Builds what is uploaded and writes the stacks.
 * @param options `environments`: their names, default all
 * @returns absolute path of each stack's file, by environment
 * @throws Failure naming the environments there are, when one is asked for that is not among them
 */
export async function synth(
  options: { readonly environments?: readonly string[] } = {},
): Promise<Readonly<Record<string, string>>> {
  const all = await readEnvironments();
  const names = options.environments ?? Object.keys(all);
  const chosen = names.map((name) => {
    const environment = all[name];
    if (environment === undefined) {
      throw new Failure(
        `no environment is called ${name}: infra/environments/ has ${Object.keys(all).join(', ')}`,
      );
    }
    return [name, environment] as const;
  });
  await build();
  return synthesise({ environments: Object.fromEntries(chosen) });
}

export function declare(command: Command): void {
  command
    .argument('[environment...]', 'environments of infra/environments; default: all')
    .addHelpText(
      'after',
      `
Builds the functions and the Spark job into dist/ first.

Examples:
  ./tributary synth
  ./tributary synth dev`,
    )
    .action(async (environments: readonly string[]) => {
      const files = await synth(environments.length === 0 ? {} : { environments });
      for (const file of Object.values(files)) console.log(`written  ${relative(root, file)}`);
    });
}

if (import.meta.main) {
  const { main } = await import('./cli.ts');
  // Not awaited: the command line imports this very module, which must have ended by then.
  void main(['synth', ...process.argv.slice(2)]).then((code) => {
    process.exitCode = code;
  });
}
