/** Two ways to run a batch's program: a driver that stays, or a process of its own for each. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileOf, localSettings, ownProperties, type SparkPlace } from './spark.ts';
import type { Batch, Ended, Running } from './state.ts';

export interface Drivers {
  start(batch: Batch): Running;
  /** Resolves when a batch could begin at once. */
  ready(): Promise<void>;
  close(): Promise<void>;
}

const DRIVER = join(import.meta.dirname, 'driver.py');

/** Ends a program and everything it started, such as its JVM. */
function killGroup(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** The files a batch runs, and where its output goes. @throws Error naming what is not there */
function filesOf(
  place: SparkPlace,
  { request, outputUri }: Batch,
): { readonly main: string; readonly zips: readonly string[]; readonly output: string } {
  const main = fileOf(place, request.mainPythonFileUri);
  const zips = request.pythonFileUris.map((uri) => fileOf(place, uri));
  for (const [i, file] of [main, ...zips].entries()) {
    const uri = [request.mainPythonFileUri, ...request.pythonFileUris][i];
    if (!existsSync(file)) throw new Error(`${uri} does not exist`);
  }
  const output = `${fileOf(place, outputUri)}.000000000`;
  mkdirSync(dirname(output), { recursive: true });
  return { main, zips, output };
}

/** A program that could not even begin. */
const stillborn = (error: unknown): Running => ({
  ended: Promise.resolve({
    exitCode: 1,
    message: error instanceof Error ? error.message : String(error),
  }),
  stop: () => {},
});

interface Warm {
  readonly child: ChildProcess;
  readonly ready: Promise<void>;
  /** Resolves with the driver's answer to an order, or rejects when the driver ends first. */
  order(order: Readonly<Record<string, unknown>>): Promise<Ended>;
  readonly gone: Promise<void>;
}

function warm(place: SparkPlace, settings: Readonly<Record<string, string>>): Warm {
  mkdirSync(place.scratch, { recursive: true });
  const log = openSync(join(place.scratch, 'driver.log'), 'a');
  const child = spawn(place.python, ['-u', DRIVER], {
    cwd: place.scratch,
    // A group of its own: the JVM is ended together with it.
    detached: true,
    env: driverEnvironment(place),
    stdio: ['pipe', log, log, 'pipe'],
  });
  closeSync(log);
  const waiting = new Map<string, (ended: Ended) => void>();
  let lost = false;
  const gone = new Promise<void>((resolve) => {
    const over = (): void => {
      lost = true;
      resolve();
    };
    child.once('close', over).once('error', over);
  });
  const input = child.stdin as Writable;
  // It may end between two orders; `gone` tells, so a broken pipe need not.
  input.on('error', () => {});
  const send = (order: unknown): void => {
    input.write(`${JSON.stringify(order)}\n`);
  };
  send({ settings });
  const ready = new Promise<void>((resolve, reject) => {
    createInterface({ input: child.stdio[3] as Readable }).on('line', (line) => {
      const answer = JSON.parse(line) as {
        ready?: true;
        id: string;
        code: number;
        message: string;
      };
      if (answer.ready) resolve();
      else waiting.get(answer.id)?.({ exitCode: answer.code, message: answer.message });
    });
    gone.then(() =>
      reject(new Error(`the Spark driver ended at its start; see ${place.scratch}/driver.log`)),
    );
  });
  // Somebody may wait for it only later.
  ready.catch(() => {});
  return {
    child,
    ready,
    gone,
    order: async (order) => {
      const answer = new Promise<Ended>((resolve) => waiting.set(String(order['id']), resolve));
      await ready;
      if (!lost) send(order);
      const ended = await Promise.race([answer, gone]);
      waiting.delete(String(order['id']));
      return ended ?? { exitCode: 137, message: 'the Spark driver ended' };
    },
  };
}

/** What Spark's processes see of the environment: nothing of ours but where Java is. */
function driverEnvironment(place: SparkPlace): NodeJS.ProcessEnv {
  const kept = Object.fromEntries(
    ['PATH', 'HOME', 'JAVA_HOME', 'JAVA_TOOL_OPTIONS', 'LANG', 'TMPDIR'].flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
  return {
    ...kept,
    PYSPARK_PYTHON: place.python,
    PYSPARK_DRIVER_PYTHON: place.python,
    PYTHONDONTWRITEBYTECODE: '1',
    TZ: 'UTC',
  };
}

/** One driver for all batches: a batch costs its work, not the start of a JVM. */
export function warmDrivers(place: SparkPlace): Drivers {
  const settings = localSettings(place);
  let closed = false;
  let current = warm(place, settings);
  const follow = (driver: Warm): void => {
    driver.gone.then(() => killGroup(driver.child));
  };
  follow(current);
  const alive = (): Warm => {
    const { exitCode, signalCode, killed } = current.child;
    if (exitCode !== null || signalCode !== null || killed) {
      current = warm(place, settings);
      follow(current);
    }
    return current;
  };
  return {
    start: (batch) => {
      let files: ReturnType<typeof filesOf>;
      try {
        files = filesOf(place, batch);
      } catch (error) {
        return stillborn(error);
      }
      const driver = alive();
      const ended = driver
        .order({
          id: batch.uuid,
          ...files,
          args: batch.request.args,
          properties: ownProperties(batch.request.properties, settings),
        })
        .catch((error: Error) => ({ exitCode: 1, message: error.message }));
      return {
        // A new driver warms up while nobody waits for it.
        ended: ended.finally(() => {
          if (!closed) alive();
        }),
        stop: () => killGroup(driver.child),
      };
    },
    ready: () => alive().ready,
    close: async () => {
      closed = true;
      killGroup(current.child);
      await current.gone;
    },
  };
}

/** A process for each batch, through spark-submit: slower, and nearest to production. */
export function submitDrivers(place: SparkPlace): Drivers {
  const settings = localSettings(place);
  const submit = join(dirname(place.python), 'spark-submit');
  return {
    start: (batch) => {
      let files: ReturnType<typeof filesOf>;
      try {
        files = filesOf(place, batch);
      } catch (error) {
        return stillborn(error);
      }
      const properties = ownProperties(batch.request.properties, settings);
      const output = openSync(files.output, 'a');
      const child = spawn(
        submit,
        [
          ...Object.entries({ ...properties, ...settings }).flatMap(([name, value]) => [
            '--conf',
            `${name}=${value}`,
          ]),
          ...(files.zips.length > 0 ? ['--py-files', files.zips.join(',')] : []),
          files.main,
          ...batch.request.args,
        ],
        {
          cwd: place.scratch,
          detached: true,
          env: driverEnvironment(place),
          stdio: ['ignore', output, output],
        },
      );
      closeSync(output);
      const ended = new Promise<Ended>((resolve) => {
        child.once('error', (error) => resolve({ exitCode: 127, message: error.message }));
        child.once('close', (exitCode, signal) =>
          resolve({
            exitCode: exitCode ?? 137,
            message: signal === null ? `see ${batch.outputUri}` : `ended by ${signal}`,
          }),
        );
      });
      return { ended, stop: () => killGroup(child) };
    },
    ready: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
}
