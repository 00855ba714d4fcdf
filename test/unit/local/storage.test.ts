import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import type { File } from '@google-cloud/storage';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Storage } from '../../../functions/clients/storage_sdk.ts';
import { type StorageServer, startStorage } from '../../../local/storage/server.ts';

let root: string;
let server: StorageServer;
let client: Storage;
let published: { topic: string; attributes: Readonly<Record<string, string>>; data: string }[];
let failures: number;

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'storage-'));
  published = [];
  failures = 0;
  server = await startStorage({
    root,
    log: () => undefined,
    publish: async (topic, { attributes, data }) => {
      if (failures-- > 0) throw new Error('not now');
      published.push({ topic, attributes, data: data.toString() });
    },
  });
  client = new Storage({
    apiEndpoint: server.url,
    projectId: 'p',
    retryOptions: { maxRetries: 0, autoRetry: false },
  });
  server.state.buckets.declare({ name: 'bronze' });
});

afterEach(async () => {
  await server.close();
  rmSync(root, { recursive: true, force: true });
});

const file = (name: string): File => client.bucket('bronze').file(name);
const save = (name: string, text: string | Buffer, options = {}): Promise<void> =>
  file(name).save(text, { resumable: false, ...options });
const names = async (query = {}): Promise<string[]> =>
  (await client.bucket('bronze').getFiles(query))[0].map(({ name }) => name);
const generation = async (name: string): Promise<string> =>
  String((await file(name).getMetadata())[0].generation);
const text = async (name: string): Promise<string> => (await file(name).download())[0].toString();
const code = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'ok',
    (error: { code?: unknown }) => error.code,
  );

test.each([false, true])('save, read, list, delete (resumable: %s)', async (resumable) => {
  const object = file('a/b c.txt');
  const create = { resumable, preconditionOpts: { ifGenerationMatch: 0 } };
  await object.save('hello', { ...create, metadata: { metadata: { run: '1' } } });
  expect(await text('a/b c.txt')).toBe('hello');
  expect((await object.getMetadata())[0]).toMatchObject({
    size: '5',
    crc32c: 'mnG7TA==',
    md5Hash: 'XUFAKrxLKna5cZ2REBfFkg==',
    contentType: 'text/plain',
    metadata: { run: '1' },
  });
  expect(readFileSync(join(root, 'bronze/a/b c.txt'), 'utf8')).toBe('hello');
  expect(await code(object.save('again', create))).toBe(412);
  expect(await names({ prefix: 'a/' })).toEqual(['a/b c.txt']);
  await object.delete({ ifGenerationMatch: await generation('a/b c.txt') });
  expect(await code(object.getMetadata())).toBe(404);
  expect(await names()).toEqual([]);
});

test('an upload in chunks and a large one arrive whole', async () => {
  const bytes = Buffer.alloc(3_000_001, 'abcdefg');
  await file('chunks').save(bytes, { resumable: true, chunkSize: 1 << 20 });
  await file('stream').save(bytes, { resumable: true });
  await save('multipart', bytes);
  for (const name of ['chunks', 'stream', 'multipart']) {
    expect((await file(name).download())[0].equals(bytes)).toBe(true);
  }
});

describe('preconditions hold on every verb', () => {
  let stale: string;
  beforeEach(async () => {
    await save('x', '1');
    stale = await generation('x');
    await save('x', '2');
  });

  test.each<[string, () => Promise<unknown>]>([
    ['save', () => save('x', '3', { preconditionOpts: { ifGenerationMatch: stale } })],
    [
      'resumable save',
      () =>
        file('x').save('3', { resumable: true, preconditionOpts: { ifGenerationMatch: stale } }),
    ],
    ['delete', () => file('x').delete({ ifGenerationMatch: stale })],
    ['patch', () => file('x').setMetadata({ contentType: 'a/b' }, { ifGenerationMatch: stale })],
    ['metageneration', () => file('x').setMetadata({}, { ifMetagenerationMatch: 7 })],
    [
      'compose',
      () => client.bucket('bronze').combine(['x', 'x'], 'x', { ifGenerationMatch: stale }),
    ],
    [
      'rewrite',
      () => file('x').copy(file('x'), { preconditionOpts: { ifGenerationMatch: stale } }),
    ],
    ['create', () => save('x', '3', { preconditionOpts: { ifGenerationMatch: 0 } })],
  ])('%s', async (_, act) => {
    const before = await generation('x');
    expect(await code(act())).toBe(412);
    expect([await text('x'), await generation('x')]).toEqual(['2', before]);
  });

  test('the current generation is let through, and a read may ask for what it lacks', async () => {
    const current = await generation('x');
    await file('x').setMetadata({ metadata: { a: 'b' } }, { ifGenerationMatch: current });
    const url = `${server.url}/storage/v1/b/bronze/o/x`;
    const status = async (query: string): Promise<number> =>
      (await fetch(`${url}?${query}`)).status;
    expect(await status(`ifGenerationNotMatch=${current}`)).toBe(304);
    expect(await status(`ifGenerationMatch=${stale}`)).toBe(412);
    expect(await status('ifMetagenerationMatch=2')).toBe(200);
    expect(await status('ifGenerationMatch=x')).toBe(400);
    const body = await (await fetch(`${url}?ifGenerationMatch=1`)).json();
    expect(body).toMatchObject({ error: { code: 412, errors: [{ reason: 'conditionNotMet' }] } });
  });
});

test('bytes that do not fit the claimed checksum never become an object', async () => {
  const metadata = { crc32c: 'AAAAAA==' };
  expect(await code(save('x', 'hello', { metadata, validation: false }))).toBe(400);
  const resumable = { metadata, validation: false, resumable: true };
  expect(await code(file('x').save('hello', resumable))).toBe(400);
  expect(await names()).toEqual([]);
});

test('gzip objects are unpacked for plain readers only, and are ranges of what is stored', async () => {
  const packed = gzipSync('hello '.repeat(100));
  await save('x', packed, { metadata: { contentEncoding: 'gzip', contentType: 'text/plain' } });
  expect(await text('x')).toBe('hello '.repeat(100));
  expect((await file('x').download({ decompress: false }))[0].equals(packed)).toBe(true);
  const url = `${server.url}/storage/v1/b/bronze/o/x?alt=media`;
  const plain = await fetch(url, { headers: { 'accept-encoding': 'identity' } });
  expect(plain.headers.get('x-goog-stored-content-encoding')).toBe('gzip');
  expect(await plain.text()).toBe('hello '.repeat(100));
  expect(gunzipSync(readFileSync(join(root, 'bronze/x'))).length).toBe(600);
});

test('ranges', async () => {
  await save('x', '0123456789');
  const part = async (start: number, end?: number): Promise<string> =>
    (await file('x').download(end === undefined ? { start } : { start, end }))[0].toString();
  expect(await part(2, 4)).toBe('234');
  expect(await part(7)).toBe('789');
  expect(await part(8, 100)).toBe('89');
  expect(await code(part(10))).toBe(416);
});

test('lists are ordered by bytes, paged, cut by prefix, folder and offsets', async () => {
  const all = ['a', 'a-b', 'a.b', 'b/1', 'b/2/x', 'b/3', 'c', '\uff5e', '\u{1f600}'];
  for (const name of [...all].reverse()) await save(name, name);
  expect(await names()).toEqual(all);
  expect(await names({ maxResults: 2 })).toEqual(all.slice(0, 2));
  expect(await names({ startOffset: 'a.', endOffset: 'b/3' })).toEqual(['a.b', 'b/1', 'b/2/x']);
  const query = { prefix: 'b/', delimiter: '/', autoPaginate: false };
  const [files, , response] = await client.bucket('bronze').getFiles(query);
  expect(files.map(({ name }) => name)).toEqual(['b/1', 'b/3']);
  expect(response).toMatchObject({ prefixes: ['b/2/'] });
  const found: string[] = [];
  for (let pageToken = ''; ; ) {
    const page = server.state.objects.list('bronze', { delimiter: '/', maxResults: 1, pageToken });
    found.push(...page.prefixes, ...page.items.map(({ name }) => name));
    if (page.nextPageToken === undefined) break;
    pageToken = page.nextPageToken;
  }
  expect(found).toEqual(['a', 'a-b', 'a.b', 'b/', 'c', '\uff5e', '\u{1f600}']);
});

test('compose joins in order, copy keeps metadata', async () => {
  await save('1', 'one,', { metadata: { contentType: 'text/csv' } });
  await save('2', 'two');
  const [joined] = await client.bucket('bronze').combine(['1', '2', '1'], 'all');
  expect(await text('all')).toBe('one,twoone,');
  const [metadata] = await joined.getMetadata();
  expect(metadata).toMatchObject({ componentCount: 3, size: '11' });
  expect(metadata.md5Hash).toBeUndefined();
  await file('1').copy(file('deep/copy'));
  expect((await file('deep/copy').getMetadata())[0]).toMatchObject({ contentType: 'text/csv' });
  const many = Array.from({ length: 33 }, () => '1');
  expect(await code(client.bucket('bronze').combine(many, 'all'))).toBe(400);
});

test('names that cannot be paths are objects all the same, and stay inside', async () => {
  const odd = ['../x', '/x', 'a//b', 'dir/', 'f', 'f/g', `${'n'.repeat(300)}/x`, 'h/i', 'h'];
  for (const name of odd) await save(name, `<${name}>`);
  for (const name of odd) expect(await text(name)).toBe(`<${name}>`);
  expect(await names()).toEqual([...odd].sort());
  await server.close();
  server = await startStorage({ root });
  client = new Storage({ apiEndpoint: server.url, projectId: 'p' });
  for (const name of odd) expect(await text(name)).toBe(`<${name}>`);
  for (const name of odd) await file(name).delete();
  expect(await names()).toEqual([]);
  expect(await code(save('..', 'x'))).toBe(400);
  expect(await code(save('a\nb', 'x'))).toBe(400);
});

test('files of other processes are objects, also when they replace or remove ours', async () => {
  await save('t/ours', 'ours');
  const ours = await generation('t/ours');
  mkdirSync(join(root, 'bronze/t/_delta_log'));
  writeFileSync(join(root, 'bronze/t/_delta_log/0.json'), '{}');
  expect(await names({ prefix: 't/' })).toEqual(['t/_delta_log/0.json', 't/ours']);
  expect(await text('t/_delta_log/0.json')).toBe('{}');
  const foreign = await generation('t/_delta_log/0.json');
  await save('t/_delta_log/0.json', '[]', { preconditionOpts: { ifGenerationMatch: foreign } });
  writeFileSync(join(root, 'new'), 'theirs');
  renameSync(join(root, 'new'), join(root, 'bronze/t/ours'));
  expect(await text('t/ours')).toBe('theirs');
  expect(Number(await generation('t/ours'))).toBeGreaterThan(Number(ours));
  const stale = { preconditionOpts: { ifGenerationMatch: ours } };
  expect(await code(save('t/ours', 'x', stale))).toBe(412);
  unlinkSync(join(root, 'bronze/t/ours'));
  expect(await code(file('t/ours').getMetadata())).toBe(404);
});

test('versions are kept where the bucket says so, and lifecycle removes by age', async () => {
  server.state.buckets.declare({
    name: 'kept',
    versioning: { enabled: true },
    lifecycle: {
      rule: [
        { action: { type: 'Delete' }, condition: { age: 3, isLive: false } },
        { action: { type: 'Delete' }, condition: { age: 3, customTimeBefore: '2020-01-01' } },
      ],
    },
  });
  const bucket = client.bucket('kept');
  await bucket.file('x').save('1', { resumable: false });
  const [{ generation: first }] = await bucket.file('x').getMetadata();
  await bucket.file('x').save('2', { resumable: false });
  await bucket.file('x').delete();
  expect(await code(bucket.file('x').download())).toBe(404);
  const [versions] = await bucket.getFiles({ versions: true });
  expect(versions).toHaveLength(2);
  const old = bucket.file('x', { generation: Number(first) });
  expect((await old.download())[0].toString()).toBe('1');
  expect(server.state.applyLifecycle(Date.now() + 2 * 86_400_000).deleted).toEqual([]);
  const { deleted, skipped } = server.state.applyLifecycle(Date.now() + 4 * 86_400_000);
  expect(deleted).toHaveLength(2);
  expect(skipped).toEqual(['kept: condition customTimeBefore is not supported locally']);
  expect((await bucket.getFiles({ versions: true }))[0]).toEqual([]);
});

test('notifications go to their topic until it takes them', async () => {
  const bucket = client.bucket('bronze');
  await bucket.createNotification('projects/p/topics/runs', {
    eventTypes: ['OBJECT_FINALIZE', 'OBJECT_DELETE'],
    objectNamePrefix: 'runs/',
    customAttributes: { env: 'test' },
    payloadFormat: 'JSON_API_V1',
  });
  failures = 2;
  await save('other', 'x');
  await save('runs/1', 'x');
  const first = await generation('runs/1');
  await save('runs/1', 'y');
  await file('runs/1').delete();
  await expect.poll(() => published.length, { timeout: 5000 }).toBe(4);
  const events = published.map(({ attributes }) => attributes['eventType']).sort();
  const [del, fin] = ['OBJECT_DELETE', 'OBJECT_FINALIZE'];
  expect(events).toEqual([del, del, fin, fin]);
  const created = published.find(({ attributes }) => attributes['objectGeneration'] === first);
  expect(created?.topic).toBe('projects/p/topics/runs');
  const overwrite = published.find(({ attributes }) => attributes['overwroteGeneration'] === first);
  expect(overwrite?.attributes).toMatchObject({
    objectId: 'runs/1',
    bucketId: 'bronze',
    env: 'test',
  });
  expect(JSON.parse(overwrite?.data ?? '')).toMatchObject({ name: 'runs/1', size: '1' });
  const [configs] = await bucket.getNotifications();
  await configs[0]?.delete();
  expect((await bucket.getNotifications())[0]).toEqual([]);
});

test('buckets are created, found and refused as the service does', async () => {
  const [bucket] = await client.createBucket('lake');
  expect(await code(client.createBucket('lake'))).toBe(409);
  await bucket.file('x').save('1', { resumable: false });
  expect(await code(bucket.delete())).toBe(409);
  await bucket.file('x').delete();
  await bucket.delete();
  expect(await code(bucket.getMetadata())).toBe(404);
  expect(await code(client.bucket('lake').file('x').save('1', { resumable: false }))).toBe(404);
  expect((await client.getBuckets())[0].map(({ name }) => name)).toEqual(['bronze']);
});
