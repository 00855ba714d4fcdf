/** Sets up what Spark needs in `.tools`: a Python environment and Delta's jars, all by checksum. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  createReadStream,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { copyFile, readdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import { processIdentity } from '../local/process_identity.ts';
import { Failure } from './failure.ts';
import { inRoot, root, toolsFolder } from './place.ts';
import { duration, say } from './progress.ts';

/** Delta for Spark 3.5 on Scala 2.12, which is what PySpark's own jars are built for. */
const DELTA = 'io.delta:delta-spark_2.12:3.3.2';
const jars: Readonly<Record<string, string>> = {
  'delta-spark_2.12-3.3.2.jar': '4e92085d5d794cf949c50bb665b91384857cad58680c2d0bfc9c7ad353e98e85',
  'delta-storage-3.3.2.jar': 'c096975a2ca97ccc9b4005aa5cce16c9ac3903139d340da6665b66ace67d7c36',
};

/** What runs Spark on this machine. */
export interface SparkTools {
  readonly python: string;
  readonly jars: readonly string[];
}

const venv = join(toolsFolder, 'venv');
const stampFile = join(toolsFolder, 'spark-stamp');

export const sparkTools: SparkTools = {
  python: join(venv, 'bin/python'),
  jars: Object.keys(jars).map((name) => join(toolsFolder, 'jars', name)),
};

/** Everything the set-up depends on; an environment also knows its own absolute path. */
function wanted(): string {
  const sum = createHash('sha256');
  for (const name of ['python.txt', 'uv.txt'])
    sum.update(readFileSync(inRoot('requirements', name)));
  return `${sum.update(JSON.stringify(jars)).digest('hex')} ${root}\n`;
}

const installed = (): boolean =>
  existsSync(stampFile) && readFileSync(stampFile, 'utf8') === wanted();

/** Runs a program quietly; what it printed is shown when it fails. */
async function run(program: string, words: readonly string[], hint: string): Promise<string> {
  const child = spawn(program, words, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject).on('close', resolve);
  });
  if (code === 0) return output;
  throw new Failure(`${hint} (${program} ended with ${code}):\n${output.slice(-4000)}`);
}

async function sha256(file: string): Promise<string> {
  const sum = createHash('sha256');
  await pipeline(createReadStream(file), sum);
  return sum.digest('hex');
}

async function installPython(): Promise<void> {
  const again = 'the Python packages were not installed; run the command again';
  rmSync(venv, { recursive: true, force: true });
  await run('python3', ['-m', 'venv', venv], again);
  const pip = ['-m', 'pip', 'install', '--quiet', '--require-hashes', '-r'];
  await run(sparkTools.python, [...pip, inRoot('requirements/uv.txt')], again);
  const packages = inRoot('requirements/python.txt');
  const uv = ['pip', 'install', '--quiet', '--python', sparkTools.python, '--require-hashes'];
  try {
    // The machine's own certificates: networks that look into TLS have theirs there.
    await run(join(venv, 'bin/uv'), [...uv, '--system-certs', '-r', packages], again);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    // Slower, but it knows what pip is set to on this machine: another index, another proxy.
    say('  once more with pip (uv could not install them)');
    await run(sparkTools.python, [...pip, packages], again);
  }
}

/** Spark resolves the jars itself, once; from then on they are plain files that were checked. */
async function fetchJars(): Promise<void> {
  const folder = join(toolsFolder, 'jars');
  mkdirSync(folder, { recursive: true });
  const ivy = join(toolsFolder, 'ivy');
  const program = `
from pyspark.sql import SparkSession
(SparkSession.builder.master('local[1]').config('spark.ui.enabled', 'false')
 .config('spark.driver.bindAddress', '127.0.0.1').config('spark.driver.host', '127.0.0.1')
 .config('spark.jars.packages', '${DELTA}').config('spark.jars.ivy', ${JSON.stringify(ivy)})
 .getOrCreate().stop())`;
  await run(sparkTools.python, ['-c', program], 'Delta was not fetched; run the command again');
  const found = await readdir(join(ivy, 'jars'));
  for (const [name, expected] of Object.entries(jars)) {
    // Ivy puts the organisation before the name.
    const source = found.find((file) => file.endsWith(name));
    if (source === undefined) throw new Failure(`Spark resolved ${DELTA} without ${name}`);
    const beside = join(folder, `${name}.new`);
    await copyFile(join(ivy, 'jars', source), beside);
    const got = await sha256(beside);
    if (got !== expected) {
      throw new Failure(`${name} has the checksum ${got}, not ${expected}: it was not installed`);
    }
    await rename(beside, join(folder, name));
  }
  rmSync(ivy, { recursive: true, force: true });
}

/** Holds the lock that the launcher takes too, so that two set-ups never mix. */
async function locked(work: () => Promise<void>): Promise<void> {
  const lock = join(toolsFolder, 'lock');
  mkdirSync(toolsFolder, { recursive: true });
  for (let waited = 0; ; waited += 1) {
    try {
      mkdirSync(lock);
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const holder = Number(await readFile(join(lock, 'pid'), 'utf8').catch(() => '0'));
    if (holder > 0 ? processIdentity(holder) === null : waited > 10) {
      await rename(lock, `${lock}.${process.pid}`).catch(() => undefined);
      rmSync(`${lock}.${process.pid}`, { recursive: true, force: true });
      continue;
    }
    if (waited === 0) say(`waiting for another set-up to end (process ${holder})`);
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
  const release = (): void => rmSync(lock, { recursive: true, force: true });
  const interrupted = (): never => {
    release();
    process.exit(130);
  };
  writeFileSync(join(lock, 'pid'), `${process.pid}\n`);
  process.once('SIGINT', interrupted).once('SIGTERM', interrupted);
  try {
    await work();
  } finally {
    process.off('SIGINT', interrupted).off('SIGTERM', interrupted);
    release();
  }
}

/** Spark's tools, installed first when they are missing or of another version. */
export async function ensureSpark(): Promise<SparkTools> {
  if (installed()) return sparkTools;
  await run('sh', [inRoot('scripts/prerequisites.sh'), 'spark'], 'Spark cannot run here').catch(
    (error: unknown) => {
      throw new Failure(error instanceof Error ? error.message : String(error));
    },
  );
  await locked(async () => {
    if (installed()) return;
    const begun = Date.now();
    say('setting up Spark in .tools (once)');
    say('  installing PySpark and the tools for Python (about 350 MB)');
    await installPython();
    say('  fetching the Delta jars');
    await fetchJars();
    writeFileSync(stampFile, wanted());
    say(`  Spark is set up: ${duration(Date.now() - begun)}`);
  });
  return sparkTools;
}

export function declare(command: Command): void {
  command
    .addHelpText(
      'after',
      `
Every command sets up what it needs by itself; this one does it now, for instance before going
offline. It is quick when nothing is missing.

Example:
  ./tributary setup`,
    )
    .action(async () => {
      await ensureSpark();
      say('everything is set up');
    });
}
