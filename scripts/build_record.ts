/**
 * What the bundles of a folder were made of and what they are, so that the same sources are not
 * bundled again: starting the local cloud would wait for it every time.
 */
import { createHash } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** SHA-256 by path. */
type Hashes = Readonly<Record<string, string>>;

interface BuildRecord {
  /** Hash of what is no file: settings, and how they are bundled. */
  readonly key: string;
  /** Files that went in, by path from the project. */
  readonly inputs: Hashes;
  /** Files that came out, by path from the folder. */
  readonly outputs: Hashes;
}

const NAME = '.built.json';

/** Whether the folder holds what the same key and the same inputs have made. */
export async function isBuilt(outdir: string, project: string, key: string): Promise<boolean> {
  const text = await readFile(join(outdir, NAME), 'utf8').catch(() => null);
  if (text === null) return false;
  const record = JSON.parse(text) as BuildRecord;
  if (record.key !== key) return false;
  const [inputs, outputs] = await Promise.all([
    hashes(project, Object.keys(record.inputs)),
    hashes(outdir, Object.keys(record.outputs)),
  ]);
  return same(inputs, record.inputs) && same(outputs, record.outputs);
}

/** Remembers what was built; inputs that are no files, such as an entry made up, are left out. */
export async function recordBuild(
  outdir: string,
  project: string,
  made: {
    readonly key: string;
    readonly inputs: Iterable<string>;
    readonly outputs: Iterable<string>;
  },
): Promise<void> {
  const record: BuildRecord = {
    key: made.key,
    inputs: await hashes(project, made.inputs),
    outputs: await hashes(outdir, made.outputs),
  };
  const beside = join(outdir, `${NAME}.${process.pid}.new`);
  await writeFile(beside, JSON.stringify(record));
  await rename(beside, join(outdir, NAME));
}

/** Of those that are there. */
async function hashes(folder: string, paths: Iterable<string>): Promise<Hashes> {
  const found: Record<string, string> = {};
  for (const path of [...new Set(paths)].sort()) {
    const bytes = await readFile(join(folder, path)).catch(() => null);
    if (bytes !== null) found[path] = createHash('sha256').update(bytes).digest('hex');
  }
  return found;
}

const same = (one: Hashes, other: Hashes): boolean => JSON.stringify(one) === JSON.stringify(other);
