/** A local cloud in a process of its own, as people start it, so that it can be killed. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { settle } from '../../scripts/settle.ts';
import { openTarget, type Target } from '../../scripts/target.ts';

const root = join(import.meta.dirname, '../..');

export interface RunningCloud {
  readonly pid: number;
  readonly target: Target;
  /** Ends it at once, as a power cut does; its children go with it. */
  kill(): Promise<void>;
  /** Ends it as Ctrl-C does. */
  stop(): Promise<void>;
}

/** Starts `./tributary local` and resolves when it says that it is ready. */
export async function startLocal(options: {
  readonly data: string;
  readonly events: string;
  readonly objects: string;
}): Promise<RunningCloud> {
  const words = ['scripts/cli.ts', 'local', '--quiet-schedules', '--shop-size', '0'];
  words.push('--data', options.data);
  const given = ['--hubspot-events', options.events, '--hubspot-objects', options.objects];
  const child = spawn(process.execPath, [...words, ...given], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, METADATA_SERVER_DETECTION: 'none', HUBSPOT_TOKEN: 'any' },
  });
  await ready(child);
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    await gone;
  };
  return {
    pid: child.pid ?? 0,
    target: await openTarget({ data: options.data }),
    kill: () => end('SIGKILL'),
    stop: () => end('SIGINT'),
  };
}

async function ready(child: ChildProcess): Promise<void> {
  const said: string[] = [];
  child.stderr?.on('data', (bytes: Buffer) => said.push(bytes.toString()));
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  await new Promise<void>((resolve, reject) => {
    lines.on('line', (line) => {
      said.push(line);
      if (line === 'ready') resolve();
    });
    child.once('exit', (code) => {
      reject(
        new Error(`the local cloud ended with ${code} before it was ready:\n${said.join('')}`),
      );
    });
  });
}

/** Waits until everything has arrived; fails with what is stuck. */
export async function settled(target: Target, timeoutMs = 300_000): Promise<void> {
  const stuck = await settle(target, { timeoutMs });
  if (stuck.length > 0) {
    throw new Error(`not settled:\n${stuck.map(({ what }) => `  ${what}`).join('\n')}`);
  }
}

/** Every row of a table without `updated_at`, as sorted text: what "the same table" means. */
export async function rowsOf(target: Target, table: string): Promise<readonly string[]> {
  const rows = await target.world.warehouse.rows(`SELECT * FROM ${table}`);
  return rows
    .map(({ updated_at: _, ...row }) => JSON.stringify(row, Object.keys(row).sort()))
    .sort();
}

/** All tables of the email domain at once. */
export async function emailTables(
  target: Target,
  names: readonly string[],
): Promise<Readonly<Record<string, readonly string[]>>> {
  const all: Record<string, readonly string[]> = {};
  for (const name of names) all[name] = await rowsOf(target, name);
  return all;
}
