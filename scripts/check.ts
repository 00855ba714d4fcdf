/** The quick check while working: types, lint, rendered files and unit tests, without Python. */
import type { Command } from 'commander';
import { staticChecks, sum } from './static_checks.ts';
import { close, vitest, withReports } from './test.ts';

export function declare(command: Command): void {
  command
    .addHelpText(
      'after',
      `
Needs neither Python nor Java. "./tributary test" checks everything.

Example:
  ./tributary check`,
    )
    .action(async () => {
      const checked = await staticChecks(null);
      close(sum(checked, await withReports((reports) => vitest(['test/unit'], reports))));
    });
}
