/**
 * Cloud Functions: each is a process of the real functions framework behind a gate, which does what
 * Cloud Run does before a request reaches an instance: who may call, how many at once, how long.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import {
  createWriteStream,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import {
  Agent,
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { connect } from 'node:net';
import { basename, join } from 'node:path';
import { unzipSync } from 'fflate';
import type { DeclaredFunction } from './declared.ts';
import { freePort, listen } from './loopback.ts';

/** Longer than Cloud Run lets a request wait for an instance: this machine is slower than many. */
const QUEUE_MS = 60_000;
const READY_MS = 30_000;
const LONGEST_RESTART_MS = 5_000;

const PACKAGES = join(import.meta.dirname, '..', 'node_modules');
// By path: the package does not export its own program.
const LONG_LOG_BYTES = 10_000_000;

const FRAMEWORK = join(PACKAGES, '@google-cloud/functions-framework/build/src/main.js');

/** Where a function is called; open before the function itself is known. */
export interface Gate {
  readonly url: string;
  /** Starts the function behind it. Resolves when it takes requests. */
  start(declared: DeclaredFunction, surroundings: FunctionSurroundings): Promise<void>;
  /** The function's process, for tests that kill it. */
  pid(): number | undefined;
  close(): Promise<void>;
}

export interface FunctionSurroundings {
  /** Zip of the bundle. */
  readonly zip: string;
  /** Where bundles are unpacked. */
  readonly folder: string;
  readonly logFile: string;
  /** Put in the place of what the stack says, because only this machine knows them. */
  readonly variables: Readonly<Record<string, string>>;
  readonly log: (line: string) => void;
}

export async function openGate(): Promise<Gate> {
  let instance: Instance | undefined;
  const { promise: started, resolve: begin } = Promise.withResolvers<Instance>();
  const server = createServer((request, response) => {
    // Messages of an earlier life may come before the function does: they wait for it.
    void started.then((one) => one.serve(request, response));
  });
  server.requestTimeout = 0;
  server.keepAliveTimeout = 60_000;
  const listening = await listen(server);
  const { url } = listening;
  return {
    url,
    start: async (declared, surroundings) => {
      instance = new Instance(url, declared, surroundings);
      begin(instance);
      await instance.ready();
    },
    pid: () => instance?.pid,
    close: async () => {
      await instance?.close();
      await listening.close();
    },
  };
}

function refuse(response: ServerResponse, status: number, message: string): void {
  if (response.headersSent || response.destroyed) return;
  response.writeHead(status, { 'content-type': 'text/plain' }).end(`${message}\n`);
}

class Instance {
  readonly #url: string;
  readonly #declared: DeclaredFunction;
  readonly #around: FunctionSurroundings;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #bundle: string;
  #child: ChildProcess | undefined;
  #port = 0;
  #up: Promise<void> = Promise.resolve();
  #busy = 0;
  readonly #queue: (() => void)[] = [];
  #failures = 0;
  #closed = false;

  constructor(url: string, declared: DeclaredFunction, around: FunctionSurroundings) {
    this.#url = url;
    this.#declared = declared;
    this.#around = around;
    this.#bundle = unpack(around.zip, around.folder);
    this.#start();
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  async ready(): Promise<void> {
    await this.#up;
  }

  #start(): void {
    this.#up = this.#launch();
    // Whoever calls meanwhile hears of it; nobody else needs to.
    this.#up.catch(() => {});
  }

  async #launch(): Promise<void> {
    const { name, entryPoint, memoryMb, variables } = this.#declared;
    const port = await freePort();
    putAsideIfLong(this.#around.logFile);
    const logs = createWriteStream(this.#around.logFile, { flags: 'a' });
    const child = spawn(
      process.execPath,
      [
        // What the runtime leaves to JavaScript of a container's memory.
        `--max-old-space-size=${Math.round(memoryMb * 0.85)}`,
        '--disable-warning=ExperimentalWarning',
        '--import',
        join(import.meta.dirname, 'function_process.ts'),
        FRAMEWORK,
        `--source=${this.#bundle}`,
      ],
      {
        cwd: this.#bundle,
        // Ctrl-C is meant for the cloud, which then ends its functions in order.
        detached: true,
        stdio: ['pipe', 'pipe', 'pipe'],
        // Exactly what the stack declares, and what the platform itself sets.
        env: {
          ...variables,
          ...this.#around.variables,
          FUNCTION_TARGET: entryPoint,
          FUNCTION_SIGNATURE_TYPE: 'http',
          K_SERVICE: name,
          LOG_EXECUTION_ID: 'false',
          METADATA_SERVER_DETECTION: 'none',
          NODE_ENV: 'production',
          NODE_PATH: PACKAGES,
          PATH: process.env['PATH'] ?? '',
          PORT: String(port),
          TZ: 'UTC',
        },
      },
    );
    child.stdout?.pipe(logs, { end: false });
    child.stderr?.pipe(logs, { end: false });
    this.#child = child;
    this.#port = port;
    const gone = new Promise<never>((_, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => {
        logs.end();
        const how = signal ?? `exit code ${code}`;
        reject(new Error(`the function ${name} ended with ${how}; see ${this.#around.logFile}`));
        if (!this.#closed) this.#restart(how);
      });
    });
    gone.catch(() => {});
    await Promise.race([gone, answers(port, READY_MS)]);
    this.#failures = 0;
  }

  #restart(how: string): void {
    const { name } = this.#declared;
    this.#around.log(`the function ${name} ended with ${how} and is started again`);
    const pause = Math.min(LONGEST_RESTART_MS, 100 * 2 ** this.#failures);
    this.#failures += 1;
    this.#up = new Promise<void>((resolve) => setTimeout(resolve, pause)).then(() =>
      this.#closed ? undefined : this.#launch(),
    );
    this.#up.catch(() => {});
  }

  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const denied = this.#denied(request.headers.authorization);
    if (denied !== null) {
      request.resume();
      refuse(response, 403, denied);
      return;
    }
    // Read whole before a place is taken: a slow sender must not hold one.
    const parts: Buffer[] = [];
    try {
      for await (const part of request) parts.push(part as Buffer);
    } catch {
      return;
    }
    if (!(await this.#place(response))) {
      refuse(response, 429, 'no instance was free');
      return;
    }
    try {
      await this.#up;
      await this.#forward(request, Buffer.concat(parts), response);
    } catch (error) {
      refuse(response, 503, error instanceof Error ? error.message : String(error));
    } finally {
      this.#busy -= 1;
      this.#queue.shift()?.();
    }
  }

  /** Why a caller may not call; null = it may. Tokens are unsigned here, their claims count. */
  #denied(authorization: string | undefined): string | null {
    if (this.#declared.invokers.includes('allUsers')) return null;
    const claims = claimsOf(authorization);
    if (claims === null) return 'the request carries no identity token';
    if (!this.#declared.invokers.includes(claims.email)) {
      return `${claims.email} lacks roles/run.invoker on ${this.#declared.name}`;
    }
    if (claims.aud !== this.#url) return `the token is meant for ${claims.aud}`;
    return null;
  }

  /** Takes one of the places for requests at once. @returns false when none came free in time */
  async #place(response: ServerResponse): Promise<boolean> {
    const until = Date.now() + QUEUE_MS;
    while (this.#busy >= this.#declared.concurrency) {
      const left = until - Date.now();
      if (left <= 0 || response.destroyed || this.#closed) {
        // The wake-up that brought us here belongs to the next in line.
        this.#queue.shift()?.();
        return false;
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#queue.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
    this.#busy += 1;
    return true;
  }

  #forward(request: IncomingMessage, body: Buffer, response: ServerResponse): Promise<void> {
    return new Promise((resolve, reject) => {
      const onward = httpRequest(
        {
          host: '127.0.0.1',
          port: this.#port,
          method: request.method,
          path: request.url,
          headers: { ...request.headers, 'content-length': body.length },
          agent: this.#agent,
        },
        (answer) => {
          clearTimeout(timer);
          if (!response.destroyed) {
            response.writeHead(answer.statusCode ?? 502, answer.headers);
            answer.pipe(response);
          }
          answer.once('close', resolve);
        },
      );
      const timer = setTimeout(() => {
        refuse(response, 504, 'the function took longer than its timeout');
        onward.destroy();
        resolve();
      }, this.#declared.timeoutSeconds * 1000);
      onward.once('error', (error) => {
        clearTimeout(timer);
        reject(error);
      });
      onward.end(body);
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const wake of this.#queue.splice(0)) wake();
    this.#agent.destroy();
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    await new Promise<void>((resolve) => {
      child.once('close', () => resolve());
      child.kill('SIGTERM');
    });
  }
}

function claimsOf(
  authorization: string | undefined,
): { readonly email: string; readonly aud: string } | null {
  const [, payload] = authorization?.replace(/^Bearer /, '').split('.') ?? [];
  try {
    return JSON.parse(Buffer.from(payload ?? '', 'base64url').toString()) as {
      email: string;
      aud: string;
    };
  } catch {
    return null;
  }
}

/** Unpacks a bundle once; its name carries the hash of its content. */
function unpack(zip: string, folder: string): string {
  const target = join(folder, basename(zip, '.zip'));
  mkdirSync(target, { recursive: true });
  for (const [name, bytes] of Object.entries(unzipSync(readFileSync(zip)))) {
    const file = join(target, name);
    if (!existsSync(file) || !readFileSync(file).equals(bytes)) writeFileSync(file, bytes);
  }
  return target;
}

/** Resolves when something listens on a port. */
async function answers(port: number, withinMs: number): Promise<void> {
  const until = Date.now() + withinMs;
  for (;;) {
    const connected = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1');
      socket.once('connect', () => {
        socket.destroy();
        resolve(true);
      });
      socket.once('error', () => resolve(false));
    });
    if (connected) return;
    if (Date.now() > until) throw new Error(`nothing listened within ${withinMs / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** A log begins anew with a process once it is long; the one before it is kept. */
function putAsideIfLong(file: string): void {
  if (existsSync(file) && statSync(file).size > LONG_LOG_BYTES) renameSync(file, `${file}.1`);
}
