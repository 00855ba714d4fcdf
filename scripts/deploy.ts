/**
 * `deploy`: builds, synthesises, and has Terraform bring a project to what the stack says: a plan,
 * a question, an apply of exactly that plan. It wraps plain Terraform, so nothing that it does
 * cannot be done by hand in `cdktf.out/stacks/<environment>` (docs/deploy.md).
 */
import { spawn } from 'node:child_process';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import { type Environment, readEnvironments } from '../infra/environment.ts';
import { buildJars, sha256At } from './build.ts';
import { Failure } from './failure.ts';
import { lossesOf } from './losses.ts';
import { inRoot } from './place.ts';
import { runProgram } from './run_program.ts';
import { synth } from './synth.ts';

/** Write-only arguments and provider 6 need no later one. */
const LEAST_TERRAFORM = [1, 9] as const;

export interface DeployOptions {
  readonly environment: string;
  /** Only show what would change. */
  readonly planOnly?: boolean;
  /** Do not ask: for machines. */
  readonly yes?: boolean;
  /** Apply also a plan that removes tables, columns, secrets, buckets or subscriptions. */
  readonly allowLoss?: boolean;
  /** `terraform`, or another program that takes its arguments. */
  readonly terraform?: string;
  /** Passed on to `terraform plan`, such as `-target=…`. */
  readonly words?: readonly string[];
  /** Builds and synthesises an environment; returns the folder Terraform runs in. */
  readonly prepare?: (name: string, environment: Environment) => Promise<string>;
}

/**
 * Plans and applies.
 * @throws Failure when the environment is not for deploying, Terraform is absent or fails, the plan
 *   would lose data, or the answer was no
 */
export async function deploy(options: DeployOptions): Promise<void> {
  const terraform = options.terraform ?? 'terraform';
  const environment = await deployable(options.environment);
  await requireTerraform(terraform);
  if (!options.planOnly && !options.yes && !process.stdin.isTTY) {
    throw new Failure('there is nobody to ask: give --yes to apply, or --plan to look only');
  }
  const folder = await (options.prepare ?? prepared)(options.environment, environment);
  const run = (...words: readonly string[]) => shown(terraform, [`-chdir=${folder}`, ...words]);

  await expected(run('init', '-input=false'), [0], 'terraform init');
  const planned = await expected(
    run('plan', '-input=false', '-detailed-exitcode', '-out=plan', ...(options.words ?? [])),
    // 0 = nothing to do, 2 = something to do.
    [0, 2],
    'terraform plan',
  );
  if (planned === 0) {
    console.log(`${options.environment} is what the stack says`);
    return;
  }
  const shownPlan = await runProgram(terraform, [`-chdir=${folder}`, 'show', '-json', 'plan']);
  const losses = lossesOf(shownPlan.output);
  for (const loss of losses) console.log(`loss: ${loss}`);
  if (options.planOnly) return;
  if (losses.length > 0 && options.allowLoss !== true) {
    throw new Failure(
      `nothing was changed, because data would be lost (above): give --allow-loss if that is meant`,
    );
  }
  if (!options.yes && !(await agreed(environment.project))) {
    throw new Failure('nothing was changed');
  }
  await expected(run('apply', '-input=false', 'plan'), [0], 'terraform apply');
}

async function prepared(name: string, environment: Environment): Promise<string> {
  if (environment.spark.jars.length > 0) await buildJars();
  for (const { file, sha256 } of environment.spark.jars) {
    if ((await sha256At(inRoot('dist/jars', file))) !== sha256) {
      throw new Failure(`dist/jars/${file} is missing or has another checksum than ${sha256}`);
    }
  }
  const files = await synth({ environments: [name] });
  return dirname(files[name] ?? '');
}

async function deployable(name: string): Promise<Environment> {
  const environments = await readEnvironments();
  const environment = environments[name];
  if (environment === undefined) {
    throw new Failure(
      `no environment is called ${name}: infra/environments/ has ${Object.keys(environments).join(', ')}`,
    );
  }
  if (environment.stateBucket === null) {
    throw new Failure(
      `${name} has no stateBucket, so it is not for deploying${name === 'local' ? ': ./tributary local starts it' : ''}`,
    );
  }
  return environment;
}

async function requireTerraform(program: string): Promise<void> {
  const { code, output } = await runProgram(program, ['version', '-json']);
  if (code !== 0) {
    throw new Failure(
      `${program} is not there: install Terraform ${LEAST_TERRAFORM.join('.')} or later and put it on PATH (docs/deploy.md)`,
    );
  }
  // Not parsed whole: warnings about Terraform's own settings may stand before it.
  const version = /"terraform_version":\s*"([^"]+)"/.exec(output)?.[1];
  if (version === undefined) {
    throw new Failure(`${program} does not say which version it is: ${output.slice(0, 200)}`);
  }
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [leastMajor, leastMinor] = LEAST_TERRAFORM;
  if (major < leastMajor || (major === leastMajor && minor < leastMinor)) {
    throw new Failure(`${program} is ${version}; ${LEAST_TERRAFORM.join('.')} or later is needed`);
  }
}

/** Runs on the terminal itself: Terraform colours, progress and Ctrl-C stay Terraform's. */
const shown = (program: string, words: readonly string[]): Promise<number> =>
  new Promise((resolve, reject) => {
    spawn(program, words, { stdio: 'inherit' })
      .on('error', reject)
      .on('close', (code) => resolve(code ?? 1));
  });

async function expected(
  ending: Promise<number>,
  codes: readonly number[],
  about: string,
): Promise<number> {
  const code = await ending;
  if (!codes.includes(code)) {
    throw new Failure(`${about} ended with ${code}; its message is above`, { exitCode: code });
  }
  return code;
}

async function agreed(project: string): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await terminal.question(`Apply this to ${project}? Only "yes" is taken: `);
    return answer.trim() === 'yes';
  } finally {
    terminal.close();
  }
}

export function declare(command: Command): void {
  command
    .argument('<environment>', 'a name of infra/environments')
    .argument('[terraform-arguments...]', 'after --: passed on to terraform plan')
    .option('--plan', 'show what would change, change nothing')
    .option('--yes', 'apply without asking')
    .option('--allow-loss', 'apply also what removes tables, columns, secrets or subscriptions')
    .option('--terraform <program>', 'the program to run', 'terraform')
    .addHelpText(
      'after',
      `
docs/deploy.md takes a new project there step by step.

Examples:
  ./tributary deploy dev --plan
  ./tributary deploy dev
  ./tributary deploy dev -- -target=google_project_service.project_run`,
    )
    .action(
      async (
        environment: string,
        words: readonly string[],
        given: {
          readonly plan?: true;
          readonly yes?: true;
          readonly allowLoss?: true;
          readonly terraform: string;
        },
      ) => {
        await deploy({
          environment,
          words,
          planOnly: given.plan === true,
          yes: given.yes === true,
          allowLoss: given.allowLoss === true,
          terraform: given.terraform,
        });
      },
    );
}

if (import.meta.main) {
  const { main } = await import('./cli.ts');
  // Not awaited: the command line imports this very module, which must have ended by then.
  void main(['deploy', ...process.argv.slice(2)]).then((code) => {
    process.exitCode = code;
  });
}
