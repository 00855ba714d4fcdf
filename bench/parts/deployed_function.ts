/** One deployed bundle in a process of its own, as Cloud Run starts it: the real framework. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { request } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { inRoot } from '../../scripts/place.ts';

const FRAMEWORK = inRoot('node_modules/@google-cloud/functions-framework/build/src/main.js');
const READY_MS = 60_000;

export interface FunctionProcess {
  readonly pid: number;
  /** Where it takes requests: `http://127.0.0.1:PORT`. */
  readonly url: string;
  /** From the spawn to the first answer that needed no work, ms. */
  readonly readyMs: number;
  /** Delivers a message as a push subscription does. @throws Error unless it is acknowledged */
  push(message: {
    readonly data: unknown;
    readonly attributes?: Readonly<Record<string, string>>;
  }): Promise<void>;
  /** The most memory it ever held, bytes (Linux's VmHWM). */
  peakMemory(): number;
  /** Processor seconds it has used so far. */
  cpuSeconds(): number;
  close(): Promise<void>;
}

/**
 * What the local cloud loads before every function keeps it on this machine. It is compiled first:
 * stripping types at its start would slow every process alike, and so flatter the slower ones.
 */
export function buildPreload(folder: string): string {
  mkdirSync(folder, { recursive: true });
  const outfile = join(folder, 'function_process.cjs');
  buildSync({
    entryPoints: [inRoot('local/function_process.ts')],
    outfile,
    bundle: true,
    format: 'cjs',
    platform: 'node',
    logLevel: 'silent',
  });
  return outfile;
}

export async function startFunction(of: {
  /** Folder with `index.js`. */
  readonly bundle: string;
  /** From `buildPreload`. */
  readonly preload: string;
  readonly variables: Readonly<Record<string, string>>;
  readonly memoryMb: number;
  readonly logFile: string;
}): Promise<FunctionProcess> {
  const port = await freePort();
  const began = performance.now();
  const child = spawn(
    process.execPath,
    [
      // What the runtime leaves to JavaScript of a container's memory, as in local/functions.ts.
      `--max-old-space-size=${Math.round(of.memoryMb * 0.85)}`,
      '--require',
      of.preload,
      FRAMEWORK,
      `--source=${of.bundle}`,
    ],
    {
      cwd: of.bundle,
      // It ends when the other end of its standard input does.
      stdio: ['pipe', 'pipe', 'pipe'],
      env: {
        ...of.variables,
        FUNCTION_TARGET: 'handler',
        FUNCTION_SIGNATURE_TYPE: 'http',
        LOG_EXECUTION_ID: 'false',
        METADATA_SERVER_DETECTION: 'none',
        NODE_ENV: 'production',
        NODE_PATH: inRoot('node_modules'),
        PATH: process.env['PATH'] ?? '',
        PORT: String(port),
        TZ: 'UTC',
      },
    },
  );
  const log = createWriteStream(of.logFile, { flags: 'a' });
  child.stdout.pipe(log, { end: false });
  child.stderr.pipe(log, { end: false });
  const ended = new Promise<never>((_, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      log.end();
      // Whoever ended it may have removed its folder already.
      const said = existsSync(of.logFile) ? readFileSync(of.logFile, 'utf8') : '';
      reject(new Error(`the function ended with ${code}:\n${said}`));
    });
  });
  ended.catch(() => {});
  await Promise.race([ended, firstAnswer(port)]);
  const readyMs = performance.now() - began;
  return {
    pid: child.pid as number,
    url: `http://127.0.0.1:${port}`,
    readyMs,
    push: async ({ data, attributes = {} }) => {
      const encoded = Buffer.from(JSON.stringify(data)).toString('base64');
      const body = JSON.stringify({ message: { data: encoded, attributes } });
      const status = await Promise.race([ended, post(port, body)]);
      if (status !== 204) {
        throw new Error(`the function answered ${status}:\n${readFileSync(of.logFile, 'utf8')}`);
      }
    },
    peakMemory: () => peakMemory(child.pid as number),
    cpuSeconds: () => cpuSeconds(child.pid as number),
    close: () => close(child),
  };
}

/** Bytes. */
export function peakMemory(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? Number.NaN) * 1024;
}

/** Linux counts in hundredths of a second here, whatever its clock (proc(5), fields 14 and 15). */
function cpuSeconds(pid: number): number {
  // The program's name, in brackets, may hold blanks.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

const close = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve();
    child.once('close', () => resolve());
    child.kill('SIGTERM');
  });

const post = (port: number, body: string): Promise<number> =>
  new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': body.length };
    const asked = request({ host: '127.0.0.1', port, method: 'POST', headers }, (answer) => {
      answer.resume();
      answer.once('end', () => resolve(answer.statusCode ?? 0));
    });
    asked.once('error', reject);
    asked.end(body);
  });

/** The framework answers this path by itself, and listens only when the bundle has been loaded. */
async function firstAnswer(port: number): Promise<void> {
  const until = performance.now() + READY_MS;
  for (;;) {
    const answered = await new Promise<boolean>((resolve) => {
      const asked = request({ host: '127.0.0.1', port, path: '/robots.txt' }, (answer) => {
        answer.resume();
        resolve(true);
      });
      asked.once('error', () => resolve(false));
      asked.end();
    });
    if (answered) return;
    if (performance.now() > until) throw new Error('the function did not answer');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
