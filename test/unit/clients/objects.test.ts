import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { storageObjects } from '../../../functions/clients/objects.ts';
import { type StorageServer, startStorage } from '../../../local/storage/server.ts';

/** What happens to the next requests on their way: nothing, or a fault before or after the server. */
type Fault = 'none' | '503 before' | '503 after' | 'cut after' | '403 before';
let faults: Fault[] = [];
const seen: string[] = [];

let root: string;
let storage: StorageServer;
let proxy: Server;
let endpoint: string;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'objects-'));
  storage = await startStorage({ root });
  storage.state.buckets.declare({ name: 'control' });
  proxy = createServer((incoming, outgoing) => {
    const fault = faults.shift() ?? 'none';
    seen.push(`${incoming.method} ${incoming.url}`);
    const status = Number(fault.slice(0, 3));
    const refuse = (): void => {
      outgoing.writeHead(status, { 'content-type': 'application/json' });
      outgoing.end(JSON.stringify({ error: { code: status, message: 'refused on the way' } }));
    };
    if (fault.endsWith('before')) {
      incoming.resume().on('end', refuse);
      return;
    }
    const target = new URL(incoming.url ?? '/', storage.url);
    const onward = request(
      target,
      { method: incoming.method, headers: { ...incoming.headers, host: target.host } },
      (answer) => {
        if (fault === 'cut after') {
          answer.resume().on('end', () => outgoing.destroy());
        } else if (fault === '503 after') {
          answer.resume().on('end', refuse);
        } else {
          outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
          answer.pipe(outgoing);
        }
      },
    );
    incoming.pipe(onward);
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  endpoint = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
});
afterEach(() => {
  faults = [];
  seen.length = 0;
});
afterAll(async () => {
  await new Promise((resolve) => {
    proxy.close(resolve);
    proxy.closeAllConnections();
  });
  await storage.close();
  rmSync(root, { recursive: true });
});

const objects = () => storageObjects({ project: 'p', endpoint });
const json = { contentType: 'application/json' };
const bytes = Buffer.from('{"a":1}');

async function written(name: string, content = bytes): Promise<string> {
  const result = await objects().write('control', name, content, { ifGeneration: '0', ...json });
  if (result.outcome !== 'written') throw new Error(`${name} was there`);
  return result.generation;
}

describe('objects', () => {
  it('writes, reads back the same bytes, and says what it wrote', async () => {
    const all = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    const generation = await written('a/bytes', all);
    const found = await objects().read('control', 'a/bytes');
    expect(found?.bytes.equals(all)).toBe(true);
    expect(found?.object).toMatchObject({ name: 'a/bytes', generation, size: 256 });
    expect(await objects().stat('control', 'a/bytes')).toEqual(found?.object);
  });

  it('keeps gzip as it is', async () => {
    const gzip = Buffer.from('H4sIAAAAAAAAA8tIzcnJVyjPL8pJAQCFEUoNCwAAAA==', 'base64');
    await written('a/part.ndjson.gz', gzip);
    expect((await objects().read('control', 'a/part.ndjson.gz'))?.bytes.equals(gzip)).toBe(true);
  });

  it('knows what is absent, and that a missing bucket is no absence', async () => {
    expect(await objects().read('control', 'nothing')).toBeNull();
    expect(await objects().stat('control', 'nothing')).toBeNull();
    await expect(objects().read('elsewhere', 'nothing')).rejects.toMatchObject({
      name: 'Permanent',
    });
  });

  it('refuses to write over what is there, and over another generation', async () => {
    const generation = await written('b/once');
    const again = { ifGeneration: '0', ...json };
    expect(await objects().write('control', 'b/once', bytes, again)).toEqual({
      outcome: 'refused',
    });
    const over = { ifGeneration: generation, ...json };
    const moved = await objects().write('control', 'b/once', Buffer.from('2'), over);
    expect(moved.outcome).toBe('written');
    expect((await objects().write('control', 'b/once', bytes, over)).outcome).toBe('refused');
    expect((await objects().read('control', 'b/once'))?.bytes.toString()).toBe('2');
  });

  it.each<Fault>(['503 before', '503 after', 'cut after'])(
    'writes once and says so when the answer is lost: %s',
    async (fault) => {
      faults = [fault];
      const generation = await written(`c/${fault}`);
      expect((await objects().stat('control', `c/${fault}`))?.generation).toBe(generation);
    },
  );

  it('does not take an equal object of somebody else for its own', async () => {
    await written('c/equal');
    faults = ['503 before'];
    const result = await objects().write('control', 'c/equal', bytes, {
      ifGeneration: '0',
      ...json,
    });
    expect(result).toEqual({ outcome: 'refused' });
  });

  it('goes on retrying after refusals, whatever was called before', async () => {
    const one = objects();
    await one.write('control', 'd/1', bytes, { ifGeneration: '0', ...json });
    faults = ['503 before', 'cut after'];
    expect((await one.stat('control', 'd/1'))?.size).toBe(7);
    faults = ['503 before'];
    expect((await one.read('control', 'd/1'))?.bytes.equals(bytes)).toBe(true);
    faults = ['503 before'];
    expect((await one.list('control', 'd/')).map(({ name }) => name)).toEqual(['d/1']);
  });

  it('gives up as transient when it lasts, at once as permanent when it is refused', async () => {
    faults = Array.from({ length: 5 }, () => '503 before' as const);
    await expect(objects().stat('control', 'd/1')).rejects.toMatchObject({
      name: 'Transient',
      code: 'unavailable_503',
    });
    faults = ['403 before'];
    seen.length = 0;
    await expect(objects().stat('control', 'd/1')).rejects.toMatchObject({
      name: 'Permanent',
      code: 'refused_403',
    });
    expect(seen).toHaveLength(1);
  });

  it('removes exactly one generation', async () => {
    const generation = await written('e/1');
    const other = { ifGeneration: '12345' };
    expect(await objects().remove('control', 'e/1', other)).toBe('gone');
    expect(await objects().stat('control', 'e/1')).not.toBeNull();
    expect(await objects().remove('control', 'e/1', { ifGeneration: generation })).toBe('removed');
    expect(await objects().remove('control', 'e/1', { ifGeneration: generation })).toBe('gone');
    const second = await written('e/2');
    faults = ['cut after'];
    expect(await objects().remove('control', 'e/2', { ifGeneration: second })).toBe('removed');
  });

  it('lists by prefix, from a name on, up to a limit, over all pages', async () => {
    for (const i of [1, 2, 3, 4]) await written(`f/${i}`);
    await written('g/1');
    const names = async (options?: { startAt?: string; limit?: number }) =>
      (await objects().list('control', 'f/', options)).map(({ name }) => name);
    expect(await names()).toEqual(['f/1', 'f/2', 'f/3', 'f/4']);
    expect(await names({ startAt: 'f/3' })).toEqual(['f/3', 'f/4']);
    expect(await names({ limit: 2 })).toEqual(['f/1', 'f/2']);
    expect(await names({ startAt: 'f/9' })).toEqual([]);
  });

  it('never writes without a precondition, and sends a checksum', async () => {
    await written('h/1');
    const upload = seen.find((line) => line.startsWith('POST /upload'));
    expect(upload).toContain('ifGenerationMatch=0');
    expect(upload).toContain('uploadType=multipart');
  });
});
