import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '../../..');
let copy: string;

beforeAll(async () => {
  copy = await mkdtemp(join(tmpdir(), 'contracts-'));
  await mkdir(join(copy, 'schemas/derive'), { recursive: true });
  await mkdir(join(copy, 'test/unit/contracts'), { recursive: true });
  await symlink(join(root, 'node_modules'), join(copy, 'node_modules'));
  for (const path of ['contract.ts', 'derive/bigquery.ts', 'derive/spark.ts']) {
    await copyFile(join(root, 'schemas', path), join(copy, 'schemas', path));
  }
  for (const path of ['derive/json_schema.ts', 'derive/terraform.ts']) {
    await copyFile(join(root, 'schemas', path), join(copy, 'schemas', path));
  }
  await copyFile(
    join(root, 'test/unit/contracts/wrong_contracts.ts'),
    join(copy, 'test/unit/contracts/wrong_contracts.ts'),
  );
  const { compilerOptions } = JSON.parse(await readFile(join(root, 'tsconfig.json'), 'utf8'));
  await writeFile(
    join(copy, 'tsconfig.json'),
    JSON.stringify({ compilerOptions, include: ['schemas', 'test'] }),
  );
  await writeFile(join(copy, 'package.json'), '{"type":"module"}');
});

afterAll(() => rm(copy, { recursive: true, force: true }));

/** What the compiler says about the copy: nothing when it holds. */
async function compiled(): Promise<string> {
  const run = promisify(execFile)(
    process.execPath,
    [join(root, 'node_modules/typescript/bin/tsc'), '-p', copy],
    { cwd: copy },
  );
  return run.then(
    () => '',
    (fault: { stdout: string }) => fault.stdout,
  );
}

test('wrong contracts do not compile', async () => {
  expect(await compiled()).toBe('');
});

test('a new column type does not compile until every target maps it', async () => {
  const path = join(copy, 'schemas/contract.ts');
  const text = await readFile(path, 'utf8');
  await writeFile(path, text.replace("'STRING' | 'INT64'", "'STRING' | 'BYTES' | 'INT64'"));
  const faults = await compiled();
  for (const target of ['bigquery', 'spark', 'json_schema', 'terraform']) {
    expect(faults).toMatch(new RegExp(`schemas/derive/${target}\\.ts.*'BYTES' is missing`));
  }
  await writeFile(path, text);
});
