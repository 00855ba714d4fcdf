/** A program of this project in a process of its own, which says in one JSON line when it is ready. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { root } from '../../scripts/place.ts';

export interface Program {
  /** Its first line. */
  readonly said: Readonly<Record<string, unknown>>;
  readonly pid: number;
  close(): Promise<void>;
}

export async function startProgram(file: string, words: readonly string[]): Promise<Program> {
  const child = spawn(process.execPath, [file, ...words], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, METADATA_SERVER_DETECTION: 'none' },
  });
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const said = await new Promise<Readonly<Record<string, unknown>>>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => reject(new Error(`${file} ended with ${code}`)));
    createInterface({ input: child.stdout }).once('line', (line) => resolve(JSON.parse(line)));
  });
  return {
    said,
    pid: child.pid as number,
    close: async () => {
      child.kill('SIGTERM');
      await closed;
    },
  };
}
