import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Journal } from '../../../local/journal.ts';
import type { Blobs } from '../../../local/storage/blobs.ts';
import { DiskBlobs } from '../../../local/storage/disk.ts';
import type { Entry } from '../../../local/storage/memory.ts';
import { startStorage } from '../../../local/storage/server.ts';
import { StorageState } from '../../../local/storage/state.ts';

const MODULE = new URL('../../../local/storage/server.ts', import.meta.url).href;
const CONFIG = { topic: 'projects/p/topics/runs', event_types: ['OBJECT_FINALIZE'] };
// Publishing never succeeds here, so every notification is owed when the process is killed.
const PROGRAM = `
  const { startStorage } = await import(${JSON.stringify(MODULE)});
  const server = await startStorage({ root: process.argv[1], publish: () => new Promise(() => {}) });
  server.state.buckets.declare({ name: 'bronze' });
  server.state.notifications.declare('bronze', [${JSON.stringify(CONFIG)}]);
  await server.durable();
  console.log(server.url);
`;

let root: string;
const children: ChildProcess[] = [];

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'storage-restart-'));
});

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(root, { recursive: true, force: true });
});

test('after kill -9 what was answered is there, with its metadata, and its notification is sent', async () => {
  const child = spawn(process.execPath, ['--input-type=module', '-e', PROGRAM, root], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  const [line] = (await once(child.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
  const upload = `${line.toString().trim()}/upload/storage/v1/b/bronze/o?uploadType=media&name=`;
  const written = new Map<string, string>();
  const lanes = Array.from({ length: 4 }, async (_, lane) => {
    for (let i = 0; ; i++) {
      const name = `runs/${lane}/${i}`;
      const headers = { 'content-type': 'application/x-run' };
      const answer = await fetch(upload + encodeURIComponent(name), {
        method: 'POST',
        body: name,
        headers,
      });
      const { generation } = (await answer.json()) as { generation: string };
      written.set(name, generation);
      if (written.size === 40) child.kill('SIGKILL');
    }
  });
  await Promise.allSettled(lanes);
  expect(written.size).toBeGreaterThanOrEqual(40);

  const notified = new Set<string>();
  const server = await startStorage({
    root,
    log: () => undefined,
    publish: async (_topic, { attributes }) => notified.add(attributes['objectId'] ?? ''),
  });
  try {
    for (const [name, generation] of written) {
      const { resource, bytes } = await server.state.objects.read('bronze', name);
      expect(bytes.toString()).toBe(name);
      expect(resource).toMatchObject({ generation, contentType: 'application/x-run' });
    }
    await expect.poll(() => [...written.keys()].every((name) => notified.has(name))).toBe(true);
    expect(server.state.notifications.pending()).toEqual([]);
    const highest = Math.max(...[...written.values()].map(Number));
    const { generation } = await server.state.objects.write('bronze', 'next', Buffer.from('x'));
    expect(Number(generation)).toBeGreaterThan(highest);
    expect(readdirSync(join(root, '.tributary/staged'))).toEqual([]);
  } finally {
    await server.close();
  }
});

/** Dies at the given call, as a killed process would between its journal and its files. */
function dyingAt(blobs: DiskBlobs, call: keyof Blobs): Blobs {
  return new Proxy(blobs, {
    get(target, key) {
      if (key === call) {
        return () => {
          throw new Error('killed');
        };
      }
      const value = Reflect.get(target, key) as unknown;
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

test.each<[keyof Blobs, boolean, 'write' | 'delete', string | undefined]>([
  ['place', false, 'write', 'new'],
  ['place', true, 'write', 'new'],
  ['archive', true, 'write', 'new'],
  ['archive', true, 'delete', undefined],
  ['remove', false, 'delete', undefined],
])(
  'a change cut off at %s (versioned: %s) is finished at the next start',
  async (call, enabled, verb, left) => {
    const clock = { now: () => 1_700_000_000_000 };
    const path = join(root, 'journal');
    const open = (at?: keyof Blobs): { state: StorageState; journal: Journal<Entry> } => {
      const journal = new Journal<Entry>(path);
      const disk = new DiskBlobs(root);
      const blobs = at ? dyingAt(disk, at) : disk;
      const record = (entry: Entry): void => journal.append(entry);
      const state = new StorageState({ clock, blobs, entries: journal.entries(), record });
      return { state, journal };
    };
    const first = open();
    first.state.buckets.declare({ name: 'b-1', versioning: { enabled } });
    await first.state.objects.write('b-1', 'x', Buffer.from('old'));
    await first.journal.close();
    const second = open(call);
    if (verb === 'write') {
      await expect(second.state.objects.write('b-1', 'x', Buffer.from('new'))).rejects.toThrow(
        'killed',
      );
    } else expect(() => second.state.objects.delete('b-1', 'x')).toThrow('killed');
    await second.journal.close();

    const third = open();
    const { items } = third.state.objects.list('b-1', { versions: true });
    const live = items.filter(({ timeDeleted }) => timeDeleted === undefined);
    if (left === undefined) expect(live).toEqual([]);
    else expect((await third.state.objects.read('b-1', 'x')).bytes.toString()).toBe(left);
    const old = items.filter(({ timeDeleted }) => timeDeleted !== undefined);
    expect(old).toHaveLength(enabled ? 1 : 0);
    for (const { generation } of old) {
      expect((await third.state.objects.read('b-1', 'x', { generation })).bytes.toString()).toBe(
        'old',
      );
    }
    await third.journal.close();
  },
);

test('a torn last line of a journal is cut off, what came before stays', async () => {
  const path = join(root, 'deep/journal');
  mkdirSync(join(root, 'deep'));
  const journal = new Journal<{ n: number }>(path);
  expect([...journal.entries()]).toEqual([]);
  for (let n = 0; n < 3; n++) journal.append({ n });
  await journal.close();
  const whole = readFileSync(path);
  writeFileSync(path, whole.subarray(0, whole.length - 4));
  const again = new Journal<{ n: number }>(path);
  expect([...again.entries()]).toEqual([{ n: 0 }, { n: 1 }]);
  again.append({ n: 9 });
  again.rewrite([{ n: 7 }]);
  again.append({ n: 8 });
  await again.close();
  const last = new Journal<{ n: number }>(path);
  expect([...last.entries()]).toEqual([{ n: 7 }, { n: 8 }]);
  await last.close();
  expect(existsSync(`${path}.new`)).toBe(false);
});
