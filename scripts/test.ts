/** Runs the tests: static checks, vitest, pytest, and one line that sums them up. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import type { Command } from 'commander';
import { root } from './place.ts';
import { say } from './progress.ts';
import { runProgram } from './run_program.ts';
import { ensureSpark } from './setup.ts';
import { staticChecks, sum, type Tally } from './static_checks.ts';

interface VitestReport {
  readonly success: boolean;
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly testResults: readonly {
    readonly status: string;
    readonly assertionResults: readonly { readonly status: string }[];
  }[];
}

/** What vitest's JSON report says; a file that could not be loaded counts as one failed test. */
export function vitestTally(report: VitestReport, code: number): Tally {
  const broken = report.testResults.filter(
    ({ status, assertionResults }) =>
      status === 'failed' && !assertionResults.some((result) => result.status === 'failed'),
  ).length;
  const failed = report.numFailedTests + broken;
  // An error outside every test shows in the exit code alone.
  return { passed: report.numPassedTests, failed: failed === 0 && code !== 0 ? 1 : failed };
}

/** What pytest's JUnit report says. */
export function pytestTally(xml: string, code: number): Tally {
  const count = (name: string): number =>
    [...xml.matchAll(/<testsuite\b[^>]*>/g)].reduce(
      (all, [tag]) => all + Number(new RegExp(`\\b${name}="(\\d+)"`).exec(tag)?.[1] ?? 0),
      0,
    );
  const failed = count('failures') + count('errors');
  return {
    passed: count('tests') - failed - count('skipped'),
    failed: failed === 0 && code !== 0 ? 1 : failed,
  };
}

/** Reads a runner's report; a runner that left none has failed as a whole. */
function tally(file: string, read: (text: string) => Tally): Tally {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return { passed: 0, failed: 1 };
  }
  return read(text);
}

export async function vitest(paths: readonly string[], reports: string): Promise<Tally> {
  const file = join(reports, 'vitest.json');
  const { code } = await runProgram(
    'vitest',
    ['run', ...paths, '--reporter=default', '--reporter=json', `--outputFile.json=${file}`],
    { show: true },
  );
  return tally(file, (text) => vitestTally(JSON.parse(text) as VitestReport, code));
}

async function pytest(
  path: string,
  python: string,
  reports: string,
  options: { readonly show?: boolean; readonly givesWay?: boolean } = { show: true },
): Promise<Tally> {
  const file = join(reports, 'pytest.xml');
  const words = ['-m', 'pytest', '--quiet', `--junitxml=${file}`, path];
  const { code, output } = await runProgram(python, words, options);
  process.stdout.write(output);
  return tally(file, (text) => pytestTally(text, code));
}

/** Everything, in two rows: each alone would leave a third of two processors idle. */
async function all(python: string, reports: string): Promise<Tally> {
  const checked = await staticChecks(python);
  say('tests in Python begin; what they print comes at the end');
  // They wait for nobody, so they give way to those that do.
  const jobs = pytest('test/jobs', python, reports, { givesWay: true });
  say('tests in TypeScript');
  const units = await vitest(['--exclude', 'test/e2e/**'], reports);
  say('tests end to end');
  // Most have a Spark of their own: two at once would only wait for each other.
  const whole = await vitest(['test/e2e', '--no-file-parallelism'], reports);
  say('the rest of the tests in Python');
  return sum(checked, units, whole, await jobs);
}

/** Which runner a path belongs to. */
export function runnersOf(path: string): { readonly vitest: boolean; readonly pytest: boolean } {
  const place = relative(root, path).replaceAll('\\', '/');
  const python = place.endsWith('.py') || place.split('::')[0]?.endsWith('.py') === true;
  if (python || /^(test\/)?jobs(\/|$)/.test(place)) return { vitest: false, pytest: true };
  return { vitest: true, pytest: place === '' || place === 'test' };
}

/** Runs `work` with a folder for reports, which is removed afterwards. */
export async function withReports<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'tributary-test-'));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The closing line, alone and last, as machines read it; and the exit code it means. */
export function close({ passed, failed }: Tally): void {
  process.stdout.write(`${passed} passed, ${failed} failed\n`);
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
}

export function declare(command: Command): void {
  command
    .argument('[path]', 'a test file or folder; without it everything is checked')
    .addHelpText(
      'after',
      `
The last line says how many passed and failed; static checks count as one test each.

Examples:
  ./tributary test
  ./tributary test test/unit/manifest.test.ts
  ./tributary test test/jobs`,
    )
    .action(async (path: string | undefined) => {
      const spark = await ensureSpark();
      const result = await withReports(async (reports) => {
        if (path === undefined) return all(spark.python, reports);
        const place = resolve(path);
        const runners = runnersOf(place);
        return sum(
          runners.vitest ? await vitest([place], reports) : sum(),
          runners.pytest ? await pytest(place, spark.python, reports) : sum(),
        );
      });
      close(result);
    });
}
