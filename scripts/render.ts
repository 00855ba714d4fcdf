/** `render`: contracts to files. `--check` writes nothing and fails on a difference. */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { derivedFiles, findContracts, WrongCatalog } from '../schemas/derive/render.ts';
import { Failure } from './failure.ts';

/**
 * Derives every file from the contracts.
 * @param options `check`: only compare; `root`: the project's folder
 * @returns paths from the root that differ: written, or removed because their contract is gone
 * @throws WrongCatalog when a rule of the catalog is broken
 */
export async function render(options: {
  readonly check: boolean;
  readonly root?: string;
}): Promise<{ changed: string[] }> {
  const root = options.root ?? resolve(import.meta.dirname, '..');
  const derived = derivedFiles(await findContracts(join(root, 'schemas')));
  const changed: string[] = [];
  for (const [path, text] of derived) {
    if ((await textAt(join(root, path))) === text) continue;
    changed.push(path);
    if (options.check) continue;
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  }
  for (const path of await orphans(root, derived)) {
    changed.push(path);
    if (!options.check) await rm(join(root, path));
  }
  return { changed };
}

/** Rendered files whose contract is gone. */
async function orphans(
  root: string,
  derived: ReadonlyMap<string, string>,
): Promise<readonly string[]> {
  const folder = join(root, 'schemas/rendered');
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .filter((path) => !derived.has(path))
    .sort();
}

const textAt = (path: string): Promise<string | null> => readFile(path, 'utf8').catch(() => null);

export function declare(command: Command): void {
  command
    .option('--check', 'write nothing; fail when a file is not what the contracts say', false)
    .addHelpText(
      'after',
      `
Derives schemas/rendered from the contracts in schemas/<domain>/.

Examples:
  ./tributary render
  ./tributary render --check`,
    )
    .action(async ({ check }: { check: boolean }) => {
      const { changed } = await render({ check }).catch((fault: unknown) => {
        throw fault instanceof WrongCatalog ? new Failure(fault.message) : fault;
      });
      for (const path of changed) console.log(`${check ? 'differs' : 'written'}  ${path}`);
      if (check && changed.length > 0) {
        throw new Failure('rendered files are not what the contracts say: run ./tributary render');
      }
    });
}

if (import.meta.main) {
  const { main } = await import('./cli.ts');
  // Not awaited: the command line imports this very module, which must have ended by then.
  void main(['render', ...process.argv.slice(2)]).then((code) => {
    process.exitCode = code;
  });
}
