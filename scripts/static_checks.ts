/** Checks that need no test runner: types, lint, rendered files. Each counts as one test. */
import { duration, say } from './progress.ts';
import { runProgram } from './run_program.ts';

export interface Tally {
  readonly passed: number;
  readonly failed: number;
}

export const sum = (...tallies: readonly Tally[]): Tally => ({
  passed: tallies.reduce((all, { passed }) => all + passed, 0),
  failed: tallies.reduce((all, { failed }) => all + failed, 0),
});

interface Check {
  readonly name: string;
  readonly program: string;
  readonly words: readonly string[];
}

const checks: readonly Check[] = [
  { name: 'types', program: 'tsc', words: ['-p', '.'] },
  {
    name: 'lint and format',
    program: 'biome',
    words: ['ci', '--error-on-warnings', '--colors=off'],
  },
  { name: 'rendered contracts', program: 'node', words: ['scripts/cli.ts', 'render', '--check'] },
];

/** @param python the environment that holds ruff; without it Python is not checked */
export async function staticChecks(python: string | null): Promise<Tally> {
  const ruff = ['-m', 'ruff'];
  const all: readonly Check[] =
    python === null
      ? checks
      : [
          ...checks,
          { name: 'lint of Python', program: python, words: [...ruff, 'check', '--quiet', '.'] },
          {
            name: 'format of Python',
            program: python,
            words: [...ruff, 'format', '--quiet', '--check', '.'],
          },
        ];
  const ended = await Promise.all(
    all.map(async (check) => ({ check, ...(await runProgram(check.program, check.words)) })),
  );
  for (const { check, code, output, ms } of ended) {
    say(`${code === 0 ? 'ok    ' : 'FAILED'} ${check.name} (${duration(ms)})`);
    if (code !== 0) say(output.trimEnd());
  }
  const failed = ended.filter(({ code }) => code !== 0).length;
  return { passed: ended.length - failed, failed };
}
