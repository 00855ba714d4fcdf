/** Says what this machine and this configuration have and lack; never prints a secret. */
import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { functions, type Variable, variables } from '../functions/settings.ts';
import { functionVariables } from './function_variables.ts';
import { inRoot } from './place.ts';
import { runProgram } from './run_program.ts';
import { sparkTools } from './setup.ts';
import { localEndpoints, type TargetOptions, withTarget } from './target.ts';

interface Finding {
  readonly what: string;
  readonly state: 'ok' | 'lacks' | 'note';
  readonly detail: string;
}

async function machine(): Promise<readonly Finding[]> {
  const own = await runProgram('sh', [inRoot('scripts/prerequisites.sh'), 'spark']);
  const terraform = await runProgram('terraform', ['version']);
  const lacking = own.output
    .split('\n')
    .filter((line) => line.startsWith('  - '))
    .map((line): Finding => ({ what: 'machine', state: 'lacks', detail: line.slice(4) }));
  return [
    { what: 'Node', state: 'ok', detail: process.version },
    ...(lacking.length > 0
      ? lacking
      : [{ what: 'Python and Java', state: 'ok', detail: 'as Spark needs them' } as const]),
    existsSync(sparkTools.python) && sparkTools.jars.every((jar) => existsSync(jar))
      ? { what: 'Spark', state: 'ok', detail: 'set up in .tools' }
      : { what: 'Spark', state: 'note', detail: 'not set up yet; the first use does it' },
    terraform.code === 0
      ? {
          what: 'Terraform',
          state: 'ok',
          detail: /Terraform (v[\d.]+)/.exec(terraform.output)?.[1] ?? 'found',
        }
      : { what: 'Terraform', state: 'note', detail: 'not found; only ./tributary deploy needs it' },
  ];
}

function localCloud(options: TargetOptions): Finding {
  try {
    const { pid, data } = localEndpoints(options);
    return { what: 'local cloud', state: 'ok', detail: `process ${pid}, state in ${data}` };
  } catch {
    return { what: 'local cloud', state: 'note', detail: 'not running' };
  }
}

interface Setting {
  readonly variable: Variable;
  readonly functions: readonly string[];
  readonly about: string;
  readonly value: string;
}

/** Variables of the functions with the values that an environment's stack gives them. */
async function settings(environment: string): Promise<readonly Setting[]> {
  const values = await functionVariables(environment);
  return (Object.keys(variables) as Variable[]).map((variable) => ({
    variable,
    functions: functions
      .filter((each) => each.variables.includes(variable))
      .map(({ name }) => name),
    about: variables[variable],
    value: values?.[variable] ?? '(the stack is not synthesised: ./tributary synth)',
  }));
}

export function declare(command: Command): void {
  withTarget(command)
    .option('--json', 'print JSON', false)
    .addHelpText(
      'after',
      `
Exit code 0: nothing is lacking. Variables are shown with the values that the synthesised stack
gives them; secrets are named there and never read.

Examples:
  ./tributary doctor
  ./tributary doctor --env prod`,
    )
    .action(async (options: TargetOptions & { json: boolean }) => {
      const environment = options.env ?? 'local';
      const findings = [
        ...(await machine()),
        ...(environment === 'local' ? [localCloud(options)] : []),
      ];
      const configuration = await settings(environment);
      if (options.json) console.log(JSON.stringify({ findings, environment, configuration }));
      else {
        for (const { what, state, detail } of findings) {
          console.log(`${state.padEnd(6)} ${what}: ${detail}`);
        }
        console.log(`\nvariables of the functions, from cdktf.out/stacks/${environment}`);
        for (const { variable, about, value, functions: readers } of configuration) {
          console.log(`${variable}\n    ${about}\n    read by ${readers.join(', ')}\n    ${value}`);
        }
      }
      if (findings.some(({ state }) => state === 'lacks')) process.exitCode = 1;
    });
}
