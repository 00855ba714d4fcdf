/** The launcher on a made-up clone: what it installs, when, and what it refuses. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const project = join(import.meta.dirname, '../../..');
let clone: string;
let programs: string;

beforeEach(() => {
  clone = mkdtempSync(join(tmpdir(), 'clone-'));
  programs = join(clone, 'programs');
  mkdirSync(join(clone, 'scripts'));
  mkdirSync(programs);
  cpSync(join(project, 'tributary'), join(clone, 'tributary'));
  cpSync(join(project, 'scripts/prerequisites.sh'), join(clone, 'scripts/prerequisites.sh'));
  writeFileSync(join(clone, 'package-lock.json'), '{"lockfileVersion": 3}');
  writeFileSync(
    join(clone, 'scripts/cli.ts'),
    'console.log("ran", process.argv.slice(2).join(" "));',
  );
  // Counts its calls, takes a moment, and leaves what a real one would.
  program('npm', 'echo "$@" >>"$CLONE/installs"; sleep 0.3; mkdir -p "$CLONE/node_modules"');
});
afterEach(() => rmSync(clone, { recursive: true }));

function program(name: string, body: string): void {
  writeFileSync(join(programs, name), `#!/bin/sh\n${body}\n`);
  chmodSync(join(programs, name), 0o755);
}

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

async function launch(...words: readonly string[]): Promise<Ended> {
  const child = spawn(join(clone, 'tributary'), words, {
    env: {
      CLONE: clone,
      PATH: [programs, dirname(process.execPath), '/usr/bin', '/bin'].join(delimiter),
    },
  });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, out, err };
}
const installs = (): number =>
  existsSync(join(clone, 'installs'))
    ? readFileSync(join(clone, 'installs'), 'utf8').trim().split('\n').length
    : 0;

describe('the launcher', () => {
  it('installs once and passes the words on', async () => {
    const first = await launch('query', 'SELECT 1 AS "a b"');
    expect([first.code, first.out]).toEqual([0, 'ran query SELECT 1 AS "a b"\n']);
    expect(first.err).toContain('installing the Node packages');
    const second = await launch('status');
    expect([second.code, second.out, second.err]).toEqual([0, 'ran status\n', '']);
    expect(installs()).toBe(1);
  });

  it('installs again when the lock changes, and in a copy elsewhere', async () => {
    await launch();
    writeFileSync(join(clone, 'package-lock.json'), '{"lockfileVersion": 3, "packages": {}}');
    await launch();
    expect(installs()).toBe(2);
  });

  it('installs once when started twice at once', async () => {
    const both = await Promise.all([launch('one'), launch('two')]);
    expect(both.map(({ code }) => code)).toEqual([0, 0]);
    expect(installs()).toBe(1);
    expect(both.some(({ err }) => err.includes('waiting for another set-up'))).toBe(true);
  });

  it('takes over the lock of a set-up that was killed', async () => {
    const child = spawn('true');
    await once(child, 'exit');
    mkdirSync(join(clone, '.tools/lock'), { recursive: true });
    writeFileSync(join(clone, '.tools/lock/pid'), `${child.pid}\n`);
    const begun = Date.now();
    expect((await launch()).code).toBe(0);
    // At once, not after the patience for a lock without a holder.
    expect(Date.now() - begun).toBeLessThan(8_000);
    expect(existsSync(join(clone, '.tools/lock'))).toBe(false);
  });

  it('leaves no stamp when the installation fails', async () => {
    program('npm', 'mkdir -p "$CLONE/node_modules"; echo "no network" >&2; exit 1');
    const { code, err } = await launch();
    expect(code).toBe(1);
    expect(err).toContain('no network');
    expect(err).toContain('run the command again');
    expect(existsSync(join(clone, 'node_modules/.tributary-stamp'))).toBe(false);
    expect(existsSync(join(clone, '.tools/lock'))).toBe(false);
  });

  it('changes no packages under a running cloud', async () => {
    await launch();
    const clouds = join(clone, '.tools/clouds');
    mkdirSync(clouds);
    const words = ['--eval', 'setInterval(() => {}, 1e6)', 'scripts/cli.ts', 'local'];
    const cloud = spawn(process.execPath, words, { stdio: 'ignore' });
    try {
      writeFileSync(join(clouds, String(cloud.pid)), '/some/data\n');
      expect((await launch('status')).code).toBe(0);
      writeFileSync(join(clone, 'package-lock.json'), '{}');
      const { code, err } = await launch('status');
      expect(code).toBe(1);
      expect(err).toContain(`a local cloud runs on the installed packages (process ${cloud.pid}`);
      expect(installs()).toBe(1);
      // The number of one that was killed, which is another process's by now.
      rmSync(join(clouds, String(cloud.pid)));
      writeFileSync(join(clouds, String(process.pid)), '/some/data\n');
      expect((await launch('status')).code).toBe(0);
      expect(installs()).toBe(2);
    } finally {
      cloud.kill('SIGKILL');
    }
  });

  it('says what Spark lacks before anything is downloaded, and only where it is needed', async () => {
    program('java', 'echo \'openjdk version "11.0.2" 2019-01-15\' >&2');
    program('python3', 'exit 1');
    const { code, err } = await launch('demo');
    expect(code).toBe(1);
    expect(err).toContain('Java 17, as Dataproc has it (found: 11');
    expect(err).toContain('Python 3.10 or newer');
    expect(installs()).toBe(0);
    expect((await launch('status')).code).toBe(0);
    expect((await launch('demo')).code).toBe(1);
    expect((await launch('demo', '--help')).code).toBe(0);
  });

  it('asks for Node where it is too old', async () => {
    program('node', 'echo 18');
    const { code, err } = await launch('status');
    expect(code).toBe(1);
    expect(err).toMatch(/Node 2[04] or newer with npm \(found: 18\)/);
    expect(installs()).toBe(0);
  });
});
