/** What `publish` sends, with the official client against the local Pub/Sub. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type PubsubServer, startPubsub } from '../../../local/pubsub/server.ts';
import { Failure } from '../../../scripts/failure.ts';
import { linesOf, type Published, publish } from '../../../scripts/publish.ts';

const TOPIC = 'projects/p/topics/site-events';
const SUBSCRIPTION = 'projects/p/subscriptions/all';

let root: string;
let server: PubsubServer;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'publish-'));
  server = await startPubsub({ root, log: () => {} });
  server.state.declareTopic({ name: TOPIC });
});
beforeEach(() => {
  if (server.state.listSubscriptions('projects/p').length > 0) {
    server.state.deleteSubscription(SUBSCRIPTION);
  }
  server.state.createSubscription({ name: SUBSCRIPTION, topic: TOPIC });
});
afterAll(async () => {
  await server.close();
  rmSync(root, { recursive: true, force: true });
});

async function* pieces(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

const run = (
  bytes: Buffer | string,
  more: { readonly rate?: number; readonly attributes?: Readonly<Record<string, string>> } = {},
  topic = 'site-events',
): Promise<Published> =>
  publish(
    { topic, input: pieces(Buffer.from(bytes as string), 1 << 16), ...more },
    { projectId: 'p', apiEndpoint: server.grpcUrl },
  );

const taken = () =>
  server.state.pull(SUBSCRIPTION, 1_000).map(({ message }) => ({
    data: Buffer.from(message.data),
    attributes: message.attributes,
  }));

describe('publish', () => {
  test('a message a line, its bytes as they are, with attributes', async () => {
    const odd = Buffer.concat([
      Buffer.from('{"a": 1}\r\n\n  \nno json\n'),
      Buffer.from([0xff, 0x7b, 0x0a]),
      Buffer.from('{"b":"ü"}'),
    ]);
    const done = await run(odd, { attributes: { origin: 'import' } });
    expect(done).toMatchObject({
      topic: 'site-events',
      published: 4,
      failed: 0,
      not_json_objects: 2,
    });
    expect(done.per_second).toBeGreaterThan(0);
    const messages = taken();
    expect(messages.map(({ data }) => data)).toEqual([
      Buffer.from('{"a": 1}'),
      Buffer.from('no json'),
      Buffer.from([0xff, 0x7b]),
      Buffer.from('{"b":"ü"}'),
    ]);
    expect(messages[0]?.attributes).toEqual({ origin: 'import' });
  });

  test('a source stands for its topic', async () => {
    expect(await run('{"a":1}\n', {}, 'website.site_events')).toMatchObject({ published: 1 });
    expect(taken()).toHaveLength(1);
    await expect(run('{}', {}, 'email.contacts')).rejects.toThrow(/does not arrive as messages/);
  });

  test('says which line failed, and publishes the others', async () => {
    const large = `{"a":"${'x'.repeat(10_100_000)}"}`;
    const done = await run(`{"n":1}\n{"n":2}\n${large}\n{"n":4}\n`);
    expect(done).toMatchObject({ published: 3, failed: 1 });
    expect(done.failures).toEqual([{ line: 3, reason: expect.stringMatching(/10000000|limit/) }]);
    expect(taken().map(({ data }) => data.toString())).toEqual(['{"n":1}', '{"n":2}', '{"n":4}']);
  });

  test('a gzipped file is refused with what to do, a byte order mark is no part of a line', async () => {
    const gzipped = run(gzipSync('{"a":1}\n'));
    await expect(gzipped).rejects.toThrow(/gunzip -c FILE \| .\/tributary publish TOPIC -/);
    expect(taken()).toEqual([]);
    const marked = await run('\uFEFF{"a":1}\n');
    expect(marked).toMatchObject({ published: 1, not_json_objects: 0 });
    expect(taken().map(({ data }) => data.toString())).toEqual(['{"a":1}']);
  });

  test('a line that is larger than a message is named and not held', async () => {
    const piece = Buffer.alloc(1 << 20, 0x78);
    async function* input(): AsyncGenerator<Buffer> {
      yield Buffer.from('{"a":1}\nno json\n');
      for (let i = 0; i < 120; i += 1) yield piece;
      yield Buffer.from('\n{"b":1}\n');
    }
    const done = await publish(
      { topic: 'site-events', input: input() },
      { projectId: 'p', apiEndpoint: server.grpcUrl },
    );
    expect(done).toMatchObject({
      published: 3,
      failed: 1,
      failures: [{ line: 3, reason: `${120 << 20} bytes; a message has at most 10000000` }],
      not_json_objects: 1,
      first_not_json_object: 2,
    });
    for await (const { bytes } of linesOf(input())) expect(bytes.length).toBeLessThan(12 << 20);
  });

  test('a topic that is missing is named, with those there are', async () => {
    const missing = run('{"n":1}\n', {}, 'nobody');
    await expect(missing).rejects.toThrow(Failure);
    await expect(missing).rejects.toThrow(/no topic nobody; sources arrive on .*site-events/);
  });

  test('keeps a rate', async () => {
    const lines = Array.from({ length: 40 }, (_, i) => `{"n":${i}}`).join('\n');
    const began = performance.now();
    expect(await run(lines, { rate: 100 })).toMatchObject({ published: 40 });
    expect(performance.now() - began).toBeGreaterThan(350);
  });

  test('many lines arrive whole, each once', async () => {
    const lines = Array.from({ length: 30_000 }, (_, i) => `{"n":${i}}`).join('\n');
    expect(await run(lines)).toMatchObject({ published: 30_000, failed: 0 });
    expect(server.state.backlog(SUBSCRIPTION).unacknowledged).toBe(30_000);
  });

  test('lines are the same wherever their pieces begin', async () => {
    const text = Buffer.from('a\n\nbc\r\ndé\n\n f');
    for (let size = 1; size <= text.length; size += 1) {
      const found: [number, string][] = [];
      for await (const { line, bytes } of linesOf(pieces(text, size))) {
        found.push([line, bytes.toString()]);
      }
      expect(found).toEqual([
        [1, 'a'],
        [3, 'bc'],
        [4, 'dé'],
        [6, ' f'],
      ]);
    }
  });
});
