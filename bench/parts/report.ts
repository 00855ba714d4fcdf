/** How a bench begins and ends: where it may write, what it warns of, how it says its figures. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { localFolder, toolsFolder } from '../../scripts/place.ts';
import { say, table } from '../../scripts/progress.ts';

/** What the README may quote: a ratio, what it compares, and what it should be. */
export interface Ratio {
  readonly about: string;
  readonly ratio: number;
  readonly goal: string;
  readonly met: boolean;
}

export interface Report {
  /** One line each: what was measured. */
  readonly rows: readonly Readonly<Record<string, string | number>>[];
  readonly ratios: readonly Ratio[];
  /** Whatever else a program wants to read; only in the JSON. */
  readonly data?: Readonly<Record<string, unknown>>;
}

/**
 * Runs one bench: gives it a folder of its own, removes the folder, prints what it found (`--json`:
 * one JSON object on standard output). A goal that is missed is shown, never an error: figures of a
 * busy machine are no fault of the code.
 */
export async function runBench(
  name: string,
  measure: (folder: string) => Promise<Report>,
): Promise<void> {
  const asJson = process.argv.includes('--json');
  const [before = 0] = loadavg();
  warn(before);
  const under = join(localFolder, 'bench');
  mkdirSync(under, { recursive: true });
  const folder = mkdtempSync(join(under, `${name}-`));
  try {
    const report = await measure(folder);
    const load = { before, after: loadavg()[0] ?? 0 };
    if (asJson) {
      process.stdout.write(`${JSON.stringify({ bench: name, load, ...report })}\n`);
      return;
    }
    const ratios = report.ratios.map(({ about, ratio, goal, met }) => ({
      ratio: ratio.toFixed(2),
      of: about,
      goal: goal === '' ? '' : `${goal}: ${met ? 'met' : 'missed'}`,
    }));
    process.stdout.write(`${table(report.rows)}\n\n${table(ratios)}\n`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Other work on the machine makes every figure worse; it is said, and the bench runs all the same. */
function warn(load: number): void {
  const clouds = join(toolsFolder, 'clouds');
  const running = existsSync(clouds) ? readdirSync(clouds).filter(isCloud) : [];
  if (running.length > 0)
    say(
      `note: a local cloud runs (process ${running.join(', ')}); figures will be worse than alone`,
    );
  if (load > 1.5)
    say(`note: the machine is busy (load ${load.toFixed(1)}); do not quote the figures`);
}

/** A cloud that was killed leaves its number behind, which another process may have by now. */
function isCloud(pid: string): boolean {
  const { stdout } = spawnSync('ps', ['-o', 'args=', '-p', pid], { encoding: 'utf8' });
  return /cli\.ts/.test(stdout ?? '');
}

export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
};

export const rounded = (value: number, digits = 0): number => Number(value.toFixed(digits));
