import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { commands } from '../../../scripts/cli.ts';

const cli = join(import.meta.dirname, '../../../scripts/cli.ts');

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const tributary = (...words: readonly string[]): Promise<Ended> =>
  promisify(execFile)(process.execPath, [cli, ...words]).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    (error: Ended) => error,
  );

describe('the command line', () => {
  it('lists every command, and loads none to do so', async () => {
    const { code, stdout } = await tributary('--help');
    expect(code).toBe(0);
    for (const name of Object.keys(commands))
      expect(stdout).toMatch(new RegExp(`^  ${name}\\b`, 'm'));
  });

  it.each(Object.keys(commands))('explains %s with examples', async (name) => {
    const command = new Command(name);
    (await commands[name]?.load())?.declare(command);
    let help = '';
    command.configureOutput({
      writeOut: (text) => {
        help += text;
      },
    });
    command.outputHelp();
    expect(help).toMatch(/Examples?:\n {2}\.\/tributary /);
    expect(help).toContain(`./tributary ${name}`);
  });

  it('says what is wrong with a line, and exits with an error', async () => {
    const unknown = await tributary('statsu');
    expect(unknown.code).toBe(1);
    expect(unknown.stderr).toContain('Did you mean status?');
    const option = await tributary('tick', '--envv', 'dev');
    expect(option.code).toBe(1);
    expect(option.stderr).toContain('--envv');
  });

  it('says what to do when nothing runs', async () => {
    const empty = mkdtempSync(join(tmpdir(), 'none-'));
    const { code, stderr, stdout } = await tributary('status', '--data', empty);
    rmSync(empty, { recursive: true });
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toContain('no local cloud is running: start one with ./tributary local');
  });

  it('names the environments there are', async () => {
    const { code, stderr } = await tributary('status', '--env', 'nowhere');
    expect(code).toBe(1);
    expect(stderr).toMatch(/no environment is called nowhere: there are .*dev/);
  });
});
