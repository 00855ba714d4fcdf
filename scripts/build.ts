/**
 * `build`: what is uploaded, into `dist/`.
 *
 *   <function>/index.js, package.json    one bundle per function, as the framework starts it
 *   <function>/<SDK>.js                  what it imports only when it is first needed
 *   <function>.zip                       the same files, for Cloud Functions
 *   jobs/transform.py, jobs.zip          the Spark job: main file; package, SQL, rendered contracts
 *   jars/                                Delta for Dataproc, with --jars
 *
 * The same sources give the same bytes: names carry content hashes, so nothing is deployed anew
 * that has not changed.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFile, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { type BuildResult, build as bundle, type Plugin, type StdinOptions } from 'esbuild';
import { type Zippable, zipSync } from 'fflate';
import { type FunctionSettings, functions } from '../functions/settings.ts';
import { deltaJars } from '../infra/environment.ts';
import { isBuilt, recordBuild } from './build_record.ts';
import { Failure } from './failure.ts';

const project = resolve(import.meta.dirname, '..');

/** Stays outside the bundles: bundled, it does not find the handler (toolchain: framework 5). */
const FRAMEWORK = '@google-cloud/functions-framework';

/** Zip knows no time zone and nothing before 1980: one fixed local time is the same bytes anywhere. */
const FIXED_TIME = new Date(1980, 0, 1);

export interface BuildOptions {
  /** Folder that receives everything; default `dist`. */
  readonly outdir?: string;
}

/**
 * Builds bundles and job files.
 * @throws Failure naming what the sources lack
 */
export async function build(options: BuildOptions = {}): Promise<void> {
  const outdir = options.outdir ?? join(project, 'dist');
  await Promise.all([buildFunctions(outdir), buildJobs(outdir)]);
}

/** All functions, unless they lie there as the same sources have made them. */
async function buildFunctions(outdir: string): Promise<void> {
  const key = createHash('sha256')
    .update(JSON.stringify(functions))
    .update(await readFile(import.meta.filename))
    .update(await readFile(join(project, 'package-lock.json')))
    .digest('hex');
  if (await isBuilt(outdir, project, key)) return;
  const built = await Promise.all(functions.map((settings) => buildFunction(settings, outdir)));
  await recordBuild(outdir, project, {
    key,
    inputs: built.flatMap(({ inputs }) => [...inputs]),
    outputs: built.flatMap(({ outputs }) => [...outputs]),
  });
}

export interface BuiltFunction {
  /** Names of the modules left outside the bundle. */
  readonly outside: readonly string[];
  /** What went in, by path from the project; the entry, which is no file, among it. */
  readonly inputs: ReadonlySet<string>;
  /** What came out, by path from the folder. */
  readonly outputs: readonly string[];
}

/** One function: bundle, package.json, zip. */
export async function buildFunction(
  settings: FunctionSettings,
  outdir: string,
): Promise<BuiltFunction> {
  const { version } = JSON.parse(
    await readFile(join(project, 'node_modules', FRAMEWORK, 'package.json'), 'utf8'),
  ) as { readonly version: string };
  const later = new Map<string, StdinOptions>();
  const entry: StdinOptions = {
    contents: [
      ...(settings.open === true
        ? [
            `import { handleRequest as handle } from './functions/${settings.entry}.ts';`,
            "import { serveRequests as serve } from './functions/serve.ts';",
          ]
        : [
            `import { handle } from './functions/${settings.entry}.ts';`,
            "import { serve } from './functions/serve.ts';",
          ]),
      `serve(handle, ${JSON.stringify(settings.name)});`,
    ].join('\n'),
    resolveDir: project,
    sourcefile: `${settings.name}.ts`,
    loader: 'ts',
  };
  const manifest = {
    name: settings.name,
    private: true,
    main: 'index.js',
    engines: { node: '24' },
    dependencies: { [FRAMEWORK]: version },
  };
  const files: Record<string, Buffer> = {
    'package.json': Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`),
  };
  const outside = new Set<string>();
  const inputs = new Set<string>();
  const add = async (name: string, stdin: StdinOptions): Promise<void> => {
    const { result, imports } = await (name === 'index.js' ? oneFile : sharedFile)(settings, stdin);
    for (const [one, of] of imports) later.set(one, of);
    files[name] = Buffer.from(result.outputFiles[0]?.contents ?? []);
    for (const path of Object.keys(result.metafile.inputs)) inputs.add(path);
    for (const { imports } of Object.values(result.metafile.outputs)) {
      for (const { path } of imports.filter(({ external }) => external)) outside.add(path);
    }
  };
  await add('index.js', entry);
  // A file that is imported later may import others later.
  for (const [name, stdin] of later) await add(name, stdin);
  const outputs: Record<string, Uint8Array> = { [`${settings.name}.zip`]: zipped(files) };
  for (const [name, bytes] of Object.entries(files)) outputs[`${settings.name}/${name}`] = bytes;
  for (const [path, bytes] of Object.entries(outputs)) await put(join(outdir, path), bytes);
  return {
    outside: [...outside].filter(
      (path) => !path.startsWith('node:') && !builtins.has(path) && !later.has(path.slice(2)),
    ),
    inputs,
    outputs: Object.keys(outputs),
  };
}

interface OneFile {
  readonly result: BuildResult<{ write: false; metafile: true }>;
  /** What it needs only later, by the file's name. */
  readonly imports: ReadonlyMap<string, StdinOptions>;
}

/** What is imported later: most functions need the same SDKs, and each takes a second to bundle. */
const shared = new Map<string, Promise<OneFile>>();

function sharedFile(settings: FunctionSettings, stdin: StdinOptions): Promise<OneFile> {
  const key = `${stdin.resolveDir} ${stdin.contents}`;
  const known = shared.get(key);
  if (known !== undefined) return known;
  const file = oneFile(settings, stdin);
  shared.set(key, file);
  return file;
}

/** One file with everything it needs at once. */
async function oneFile(settings: FunctionSettings, stdin: StdinOptions): Promise<OneFile> {
  const imports = new Map<string, StdinOptions>();
  const result = await bundle({
    stdin,
    absWorkingDir: project,
    bundle: true,
    // CommonJS starts faster than modules do, and one file faster than many (toolchain 3).
    format: 'cjs',
    platform: 'node',
    target: 'node24',
    minify: true,
    legalComments: 'none',
    external: [FRAMEWORK],
    // So that what is imported later is required like everything else.
    supported: { 'dynamic-import': false },
    plugins: [filesForLater(imports)],
    write: false,
    metafile: true,
    logLevel: 'silent',
  }).catch((fault: unknown) => {
    throw new Failure(`the function ${settings.name} cannot be bundled: ${String(fault)}`);
  });
  return { result, imports };
}

/**
 * What our own code imports when it is first needed becomes a file of its own: the SDKs are
 * megabytes, and even code that is not run has to be read before the function takes requests.
 */
const filesForLater = (later: Map<string, StdinOptions>): Plugin => ({
  name: 'files for later',
  setup(build) {
    build.onResolve({ filter: /./ }, ({ kind, path, importer, resolveDir }) => {
      const ours = importer.startsWith(join(project, 'functions'));
      if (kind !== 'dynamic-import' || !ours) return undefined;
      const name = `${path
        .replace(/(\/index)?\.[jt]s$/, '')
        .replace(/[^a-z0-9_]+/g, '-')
        .replace(/^-/, '')}.js`;
      later.set(name, { contents: `export * from ${JSON.stringify(path)};`, resolveDir });
      return { path: `./${name}`, external: true };
    });
  },
});

const builtins: ReadonlySet<string> = new Set((await import('node:module')).builtinModules);

/** The Spark job's main file, and a zip with everything it imports and reads. */
export async function buildJobs(outdir: string): Promise<void> {
  const files: Record<string, Uint8Array> = {};
  const wanted: readonly (readonly [string, RegExp])[] = [
    ['jobs', /\.(py|sql)$/],
    ['schemas/rendered', /\.json$/],
  ];
  for (const [folder, pattern] of wanted) {
    const entries = await readdir(join(project, folder), { recursive: true, withFileTypes: true });
    for (const entry of entries.filter(({ name }) => pattern.test(name))) {
      const path = join(entry.parentPath, entry.name);
      files[path.slice(project.length + 1)] = await readFile(path);
    }
  }
  const main = files['jobs/transform.py'];
  if (main === undefined) throw new Failure('jobs/transform.py is missing: there is no Spark job');
  await put(join(outdir, 'jobs/transform.py'), main);
  await put(join(outdir, 'jobs.zip'), zipped(files));
}

/** The same files give the same bytes, whenever and wherever they are zipped. */
export function zipped(files: Readonly<Record<string, Uint8Array>>): Uint8Array {
  const entries: Zippable = {};
  for (const name of Object.keys(files).sort()) {
    const bytes = files[name];
    if (bytes !== undefined) entries[name] = [bytes, { mtime: FIXED_TIME, level: 6 }];
  }
  return zipSync(entries);
}

/** Renamed into place: whoever reads it meanwhile sees the old file or the new one, never half. */
async function put(path: string, bytes: Uint8Array): Promise<void> {
  if ((await readFile(path).catch(() => null))?.equals(bytes)) return;
  await mkdir(join(path, '..'), { recursive: true });
  const beside = `${path}.${process.pid}.new`;
  await writeFile(beside, bytes);
  await rename(beside, path);
}

/**
 * Fetches the Delta jars that Dataproc needs; PySpark's own resolver does it, from Maven.
 * @throws Failure when Python or the network is missing, or a checksum differs
 */
export async function buildJars(outdir = join(project, 'dist')): Promise<void> {
  const folder = join(outdir, 'jars');
  await mkdir(folder, { recursive: true });
  const lacking: string[] = [];
  for (const jar of deltaJars) {
    if ((await sha256At(join(folder, jar.file))) !== jar.sha256) lacking.push(jar.file);
  }
  if (lacking.length === 0) return;
  const ivy = join(outdir, 'ivy');
  const program = `
from pyspark.sql import SparkSession
(SparkSession.builder.master('local[1]').config('spark.ui.enabled', 'false')
 .config('spark.driver.bindAddress', '127.0.0.1').config('spark.driver.host', '127.0.0.1')
 .config('spark.jars.packages', 'io.delta:delta-spark_2.13:3.3.2')
 .config('spark.jars.ivy', ${JSON.stringify(ivy)}).getOrCreate().stop())`;
  try {
    await promisify(execFile)(join(project, '.tools/venv/bin/python'), ['-c', program]);
  } catch (cause) {
    throw new Failure(
      `the jars ${lacking.join(' and ')} were not fetched; run ./tributary setup first, and check the network`,
      { cause },
    );
  }
  for (const jar of deltaJars) {
    // Ivy puts the organisation before the name.
    const found = join(ivy, 'jars', `io.delta_${jar.file}`);
    const got = await sha256At(found);
    if (got !== jar.sha256) {
      throw new Failure(`${jar.file} has the checksum ${got}, not ${jar.sha256}: it was not taken`);
    }
    await copyFile(found, join(folder, jar.file));
  }
  await rm(ivy, { recursive: true, force: true });
}

/** SHA-256 of a file, hexadecimal; null when there is none. */
export async function sha256At(path: string): Promise<string | null> {
  const bytes = await readFile(path).catch(() => null);
  return bytes === null ? null : createHash('sha256').update(bytes).digest('hex');
}

if (import.meta.main) {
  const words = process.argv.slice(2);
  const unknown = words.filter((word) => word !== '--jars');
  try {
    if (unknown.length > 0) throw new Failure(`build takes --jars only, not ${unknown.join(' ')}`);
    await build();
    if (words.includes('--jars')) await buildJars();
  } catch (fault) {
    if (!(fault instanceof Failure)) throw fault;
    console.error(fault.message);
    process.exitCode = fault.exitCode;
  }
}
