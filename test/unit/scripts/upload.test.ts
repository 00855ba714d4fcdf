/** `upload` against the local Storage server, and the function over what it has put there. */
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { storageObjects } from '../../../functions/clients/objects.ts';
import type { Config } from '../../../functions/config.ts';
import type { RunManifest } from '../../../functions/manifest.ts';
import { handle, uploadRun } from '../../../functions/upload.ts';
import type { World } from '../../../functions/world.ts';
import { type StorageServer, startStorage } from '../../../local/storage/server.ts';
import { Failure } from '../../../scripts/failure.ts';
import type { Target } from '../../../scripts/target.ts';
import { inboxName, upload } from '../../../scripts/upload.ts';

const SOURCE = 'commerce.flipkart_products';
const buckets = { bronze: 'bronze', control: 'control', inbox: 'inbox' };

let folder: string;
let storage: StorageServer;
let target: Target;
let world: World;
const path = (name: string): string => join(folder, name);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'upload-'));
  storage = await startStorage({ root: path('storage') });
  for (const name of Object.values(buckets)) {
    storage.state.buckets.declare({ name, versioning: { enabled: name === 'inbox' } });
  }
  storage.state.notifications.insert('inbox', {
    topic: 'projects/p/topics/file-arrived',
    event_types: ['OBJECT_FINALIZE'],
    payload_format: 'NONE',
  });
  const config = { project: 'p', buckets, endpoints: { storage: storage.url } };
  target = { name: 'local', config: config as unknown as Config } as Target;
  let ids = 0;
  world = {
    objects: storageObjects({ project: 'p', endpoint: storage.url }),
    clock: { now: () => Date.now(), sleep: async () => {} },
    random: { next: () => 0.5, id: () => String(++ids).padStart(16, '0') },
    log: () => {},
  } as unknown as World;
});
afterAll(async () => {
  await storage.close();
  rmSync(folder, { recursive: true });
});

/** Everything that a run landed, and the original that it kept. */
async function landedAs(run: string | null) {
  const found = await world.objects.read('control', `runs/commerce/flipkart_products/${run}.json`);
  const manifest = JSON.parse(String(found?.bytes)) as RunManifest;
  const parts = await Promise.all(
    manifest.files.map(({ name }) => world.objects.read('bronze', name)),
  );
  const text = parts.map((part) => gunzipSync(part?.bytes as Buffer).toString()).join('');
  const original = await world.objects.read('bronze', manifest.upload?.original.name ?? '');
  return {
    original: original?.bytes,
    payloads: text
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { payload: string }).payload),
  };
}

/** Has the function take in what Storage tells of, and returns how many messages that were. */
async function takeAll(): Promise<number> {
  const told = storage.state.notifications.pending();
  for (const { attributes } of told) await handle({ data: {}, attributes }, world, target.config);
  storage.state.notifications.notified(told.map(({ id }) => id));
  return told.length;
}

test('a file goes into the inbox, and from there through the real client into bronze', async () => {
  writeFileSync(path('Über products.csv.gz'), gzipSync('pid,name\nA,"x\ny"\n'));
  const [first] = await upload(target, SOURCE, [path('Über products.csv.gz')]);
  expect(first).toMatchObject({
    state: 'uploaded',
    object: expect.stringMatching(
      /^commerce\/flipkart_products\/Über_products-[0-9a-f]{16}\.csv\.gz$/,
    ),
  });
  expect(await takeAll()).toBe(1);
  const { original, payloads } = await landedAs(first?.run ?? null);
  expect(payloads).toEqual(['{"pid":"A","name":"x\\ny"}']);
  expect(original).toEqual(readFileSync(path('Über products.csv.gz')));
});

test('the same file again changes nothing, other content under its name is another file', async () => {
  writeFileSync(path('a.csv'), 'pid\nA\n');
  const [first] = await upload(target, SOURCE, [path('a.csv')]);
  const { generation } = storage.state.objects.get('inbox', first?.object ?? '');
  const [again] = await upload(target, SOURCE, [path('a.csv')]);
  expect(again).toMatchObject({ state: 'known', run: null, object: first?.object });
  expect(storage.state.objects.get('inbox', first?.object ?? '').generation).toBe(generation);
  const [anew] = await upload(target, SOURCE, [path('a.csv')], { again: true });
  expect(anew?.state).toBe('uploaded');
  expect(anew?.object).toMatch(/\/a-[0-9a-f]{16}-[0-9a-z]+\.csv$/);
  appendFileSync(path('a.csv'), 'B\n');
  const [other] = await upload(target, SOURCE, [path('a.csv')]);
  expect(other?.state).toBe('uploaded');
  expect(other?.object).not.toBe(first?.object);
});

test('a file that was written over before it was taken in is taken in all the same', async () => {
  await takeAll();
  const name = 'commerce/flipkart_products/written_over.csv';
  const generations: string[] = [];
  for (const pid of ['OLD', 'NEW']) {
    const { generation } = await storage.state.objects.write(
      'inbox',
      name,
      Buffer.from(`pid\n${pid}\n`),
      {},
    );
    generations.push(generation);
  }
  expect(await takeAll()).toBe(2);
  const runs = generations.map((generation) => uploadRun('inbox', name, generation));
  expect((await landedAs(runs[0] ?? '')).payloads).toEqual(['{"pid":"OLD"}']);
  expect((await landedAs(runs[1] ?? '')).payloads).toEqual(['{"pid":"NEW"}']);
});

test('a file too large for one request arrives whole, with its progress told', async () => {
  const line = `{"pid":"P","text":"${'x'.repeat(1_000)}"}\n`;
  writeFileSync(path('large.ndjson'), line.repeat(10_000));
  const shares: number[] = [];
  const [sent] = await upload(target, SOURCE, [path('large.ndjson')], {
    sent: (_file, share) => shares.push(share),
  });
  expect(shares.at(-1)).toBe(1);
  expect(shares.length).toBeGreaterThan(1);
  await takeAll();
  const { payloads, original } = await landedAs(sent?.run ?? null);
  expect(payloads).toHaveLength(10_000);
  expect(original?.length).toBe(line.length * 10_000);
});

test('nothing is sent when a file or the source cannot be taken, and each is named', async () => {
  writeFileSync(path('b.csv'), 'pid\nB\n');
  writeFileSync(path('b.xlsx'), 'PK');
  const files = [path('b.csv'), path('none.csv'), folder, path('b.xlsx')];
  await expect(upload(target, SOURCE, files)).rejects.toThrow(
    new Failure(
      `nothing was uploaded: ${path('none.csv')} does not exist; ${folder} is no file; ${path('b.xlsx')} ends in none of csv, json, ndjson, jsonl (each also with .gz); save it as one of these`,
    ),
  );
  await expect(upload(target, 'email.contacts', [path('b.csv')])).rejects.toThrow(
    /^email\.contacts does not come in files; these do: .*commerce\.flipkart_products/,
  );
  await expect(upload(target, 'commerce.unknown', [path('b.csv')])).rejects.toThrow(
    'no source is called commerce.unknown',
  );
  const names = storage.state.objects.list('inbox', {}).items.map(({ name }) => name);
  expect(names.filter((name) => name.includes('/b-'))).toEqual([]);
});

test.each([
  ['a.csv', 'a-0123456789abcdef.csv'],
  ['A b?#.CSV.gz', 'A_b_-0123456789abcdef.csv.gz'],
  ['_private.json', 'private-0123456789abcdef.json'],
  ['..ndjson', 'file-0123456789abcdef.ndjson'],
  ['a.2026-11.jsonl', 'a.2026-11-0123456789abcdef.jsonl'],
])('%s lies in the inbox as %s', (base, name) => {
  expect(inboxName(base, '0123456789abcdef')).toBe(name);
});
