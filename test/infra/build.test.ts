import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { unzipSync } from 'fflate';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { functions } from '../../functions/settings.ts';
import { catalog } from '../../schemas/rendered/catalog.ts';
import { buildFunction, buildJobs, zipped } from '../../scripts/build.ts';

const root = resolve(import.meta.dirname, '../..');
/** Asked for within a `try`, for colours on a terminal; absent is fine. */
const optional = ['pg-native', 'supports-color'];

let outdir: string;

beforeAll(async () => {
  outdir = await mkdtemp(join(tmpdir(), 'build-'));
  await symlink(join(root, 'node_modules'), join(outdir, 'node_modules'));
});

afterAll(() => rm(outdir, { recursive: true, force: true }));

test.each(functions)(
  '$name needs nothing but its own files and the framework, and starts',
  async (settings) => {
    const { outside } = await buildFunction(settings, outdir);
    expect(outside.filter((name) => !optional.includes(name))).toEqual([
      '@google-cloud/functions-framework',
    ]);
    const files = unzipSync(await readFile(join(outdir, `${settings.name}.zip`)));
    const index = Buffer.from(files['index.js'] ?? []).toString();
    // What is imported when it is first needed lies beside it, and is not read before.
    const later = [...new Set(index.match(/(?<=require\("\.\/)[^"]+/g))].sort();
    expect(Object.keys(files)).toEqual(expect.arrayContaining(['index.js', ...later]));
    expect(later).toContain('storage_sdk.js');
    expect(index.length).toBeLessThan(500_000);
    const loaded = await promisify(execFile)(process.execPath, [
      '-p',
      `[${later.map((file) => `Object.keys(require(${JSON.stringify(join(outdir, settings.name, file))})).length`)}]`,
    ]);
    expect(JSON.parse(loaded.stdout).every((names: number) => names > 0)).toBe(true);
    const manifest = JSON.parse(Buffer.from(files['package.json'] ?? []).toString()) as {
      readonly dependencies: Readonly<Record<string, string>>;
    };
    expect(Object.keys(manifest.dependencies)).toEqual(['@google-cloud/functions-framework']);
    expect(manifest.dependencies['@google-cloud/functions-framework']).toMatch(/^\d+\.\d+\.\d+$/);

    // Without its variables it must say which; that it says so proves that it was loaded whole.
    const started = promisify(execFile)(
      process.execPath,
      [join(outdir, settings.name, 'index.js')],
      {
        env: { METADATA_SERVER_DETECTION: 'none' },
      },
    );
    const failure = await started.then(
      () => '',
      (fault: { stderr: string }) => fault.stderr.slice(-6000),
    );
    for (const variable of settings.variables.filter((name) => name !== 'TRIBUTARY_ENDPOINTS')) {
      expect(failure).toContain(`${variable} is missing`);
    }
  },
);

test('the same sources are the same bytes', async () => {
  const [settings] = functions;
  if (settings === undefined) throw new Error('there are no functions');
  const path = join(outdir, `${settings.name}.zip`);
  await buildFunction(settings, outdir);
  const first = await readFile(path);
  await rm(path);
  await buildFunction(settings, outdir);
  expect((await readFile(path)).equals(first)).toBe(true);
  const file = { 'a.py': Buffer.from('1'), 'b.py': Buffer.from('2') };
  const turned = { 'b.py': Buffer.from('2'), 'a.py': Buffer.from('1') };
  expect(Buffer.from(zipped(turned)).equals(zipped(file))).toBe(true);
});

test("the job's zip holds its package, its SQL and every rendered contract", async () => {
  await buildJobs(outdir);
  const names = Object.keys(unzipSync(await readFile(join(outdir, 'jobs.zip'))));
  expect(names).toContain('jobs/__init__.py');
  expect(names).toContain('jobs/transform.py');
  for (const name of [...Object.keys(catalog.sources), ...Object.keys(catalog.tables)]) {
    expect(names).toContain(`schemas/rendered/${name.replace('.', '/')}.json`);
  }
  for (const name of Object.keys(catalog.tables).filter((name) => !name.startsWith('ops.'))) {
    expect(names).toContain(`jobs/sql/${name.replace('.', '/')}.sql`);
  }
  expect(names.filter((name) => !/\.(py|sql|json)$/.test(name))).toEqual([]);
  expect(await readFile(join(outdir, 'jobs/transform.py'), 'utf8')).toBe(
    await readFile(join(root, 'jobs/transform.py'), 'utf8'),
  );
});
