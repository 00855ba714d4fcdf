/** Runs a program of the project's tools, either shown as it goes or collected. */
import { spawn } from 'node:child_process';
import { setPriority } from 'node:os';
import { root } from './place.ts';

export interface Ended {
  readonly code: number;
  /** What it printed, both streams in order; empty when it was shown. */
  readonly output: string;
  readonly ms: number;
}

/**
 * @param show pass its output on to the terminal instead of collecting it
 * @param givesWay runs on what others leave of the processors; so does all that it starts
 * @returns how it ended; a program that cannot be started ends with 127
 */
export async function runProgram(
  program: string,
  words: readonly string[],
  options: {
    readonly show?: boolean;
    readonly givesWay?: boolean;
    readonly environment?: Readonly<Record<string, string>>;
  } = {},
): Promise<Ended> {
  const begun = performance.now();
  const child = spawn(program, words, {
    cwd: root,
    env: { ...process.env, ...options.environment },
    stdio: ['ignore', options.show ? 'inherit' : 'pipe', options.show ? 'inherit' : 'pipe'],
  });
  if (options.givesWay && child.pid !== undefined) setPriority(child.pid, 5);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  const code = await new Promise<number>((resolve) => {
    child.on('error', (error) => {
      output += error.message;
      resolve(127);
    });
    // A program ended by a signal has no code of its own.
    child.on('close', (ended) => resolve(ended ?? 1));
  });
  return { code, output, ms: performance.now() - begun };
}
