import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Storage } from '@google-cloud/storage';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type StorageServer, startStorage } from '../../../local/storage/server.ts';

let root: string;
let server: StorageServer;
let client: Storage;
const published: { topic: string; attributes: Readonly<Record<string, string>> }[] = [];

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'storage-'));
  published.length = 0;
  server = await startStorage({
    root,
    publish: async (topic, { attributes }) => published.push({ topic, attributes }),
  });
  client = new Storage({ apiEndpoint: server.url, projectId: 'p' });
  server.state.declareBucket({ name: 'bronze' });
});

afterEach(async () => {
  await server.close();
  rmSync(root, { recursive: true, force: true });
});

const code = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'ok',
    (error: { code?: unknown }) => error.code,
  );

test.each([false, true])(
  'an object is saved, read, listed and deleted (resumable: %s)',
  async (resumable) => {
    const file = client.bucket('bronze').file('a/b c.txt');
    const create = { resumable, preconditionOpts: { ifGenerationMatch: 0 } };
    await file.save('hello', { ...create, metadata: { metadata: { run: '1' } } });
    expect((await file.download())[0].toString()).toBe('hello');
    expect((await file.getMetadata())[0]).toMatchObject({ size: '5', metadata: { run: '1' } });
    expect(await code(file.save('again', create))).toBe(412);
    const [files] = await client.bucket('bronze').getFiles({ prefix: 'a/' });
    expect(files.map((each) => each.name)).toEqual(['a/b c.txt']);
    await file.delete({ ifGenerationMatch: files[0]?.metadata.generation as string });
    expect(await code(file.getMetadata())).toBe(404);
  },
);
