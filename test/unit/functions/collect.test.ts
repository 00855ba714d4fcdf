/** Collect behind the real functions framework, with the local Pub/Sub behind it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getTestServer } from '@google-cloud/functions-framework/testing';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { handleRequest } from '../../../functions/collect.ts';
import type { Config } from '../../../functions/config.ts';
import { Permanent, Transient } from '../../../functions/errors.ts';
import { serveRequests } from '../../../functions/serve.ts';
import { functions } from '../../../functions/settings.ts';
import type { World } from '../../../functions/world.ts';
import { type PubsubServer, startPubsub } from '../../../local/pubsub/server.ts';

vi.mock('../../../schemas/rendered/catalog.ts', () => {
  const arrives = { kind: 'pubsub_messages', schedule: '* * * * *', collect: true };
  return {
    catalog: {
      sources: {
        'website.site_events': { arrives: { ...arrives, topic: 'site-events' } },
        'shop.clicks': { arrives: { ...arrives, topic: 'clicks' } },
        'shop.inner': { arrives: { ...arrives, topic: 'inner', collect: undefined } },
      },
      tables: {},
      domains: {},
    },
  };
});

const SITE = 'https://shop.example.com';
const TOPIC = 'projects/p/topics/site-events';
const SUBSCRIPTION = 'projects/p/subscriptions/site-events--drain';

let root: string;
let pubsub: PubsubServer;
let server: Server;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'collect-'));
  pubsub = await startPubsub({ root, log: () => {} });
  const variables: Readonly<Record<string, string>> = {
    TRIBUTARY_PROJECT: 'p',
    TRIBUTARY_REGION: 'europe-west1',
    TRIBUTARY_LOCATION: 'EU',
    TRIBUTARY_ENVIRONMENT: 'test',
    TRIBUTARY_ENDPOINTS: JSON.stringify({ pubsub: pubsub.restUrl }),
    TRIBUTARY_COLLECT: JSON.stringify({ origins: [SITE], requestsPerMinute: 500 }),
  };
  const settings = functions.find(({ name }) => name === 'collect');
  for (const name of settings?.variables ?? []) vi.stubEnv(name, variables[name] ?? '');
  serveRequests(handleRequest, 'collect');
  server = getTestServer('handler');
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
beforeEach(() => {
  pubsub.state.declareTopic({ name: TOPIC });
  try {
    pubsub.state.deleteSubscription(SUBSCRIPTION);
  } catch {
    // The first test finds none.
  }
  pubsub.state.declareSubscription({ name: SUBSCRIPTION, topic: TOPIC });
});
afterAll(async () => {
  vi.unstubAllEnvs();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await pubsub.close();
  rmSync(root, { recursive: true, force: true });
});

let sender = 0;

interface Sent {
  readonly path?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

interface Answered {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: { readonly accepted?: number; readonly error?: string } | null;
}

function send({ path = '/website/site_events', method = 'POST', headers = {}, body }: Sent = {}) {
  return new Promise<Answered>((resolve, reject) => {
    const { port } = server.address() as AddressInfo;
    sender += 1;
    const asked = request(
      {
        host: '127.0.0.1',
        port,
        path,
        method,
        // As the front end appends it: every test request comes from another address.
        headers: { 'x-forwarded-for': `10.0.${sender >> 8}.${sender & 255}`, ...headers },
      },
      (answer) => {
        const parts: Buffer[] = [];
        answer.on('data', (part: Buffer) => parts.push(part));
        answer.on('end', () => {
          const text = Buffer.concat(parts).toString();
          resolve({
            status: answer.statusCode ?? 0,
            headers: answer.headers,
            body: text.startsWith('{') ? (JSON.parse(text) as Answered['body']) : null,
          });
        });
      },
    );
    asked.once('error', reject);
    asked.end(body);
  });
}

const taken = () =>
  pubsub.state.pull(SUBSCRIPTION, 1_000).map(({ message }) => ({
    text: Buffer.from(message.data).toString(),
    attributes: message.attributes,
  }));

test('takes an object, an array and lines, whatever they are called, byte for byte', async () => {
  const json = { 'content-type': 'application/json' };
  expect(await send({ headers: json, body: '{"id":  1.50}' })).toMatchObject({
    status: 200,
    body: { accepted: 1 },
  });
  expect(
    await send({ headers: json, body: '[{"id":2},{"id":12345678901234567890}]' }),
  ).toMatchObject({ status: 200, body: { accepted: 2 } });
  const lines = { 'content-type': 'application/x-ndjson' };
  expect(await send({ headers: lines, body: '{"id":4}\n{"id":5}\n' })).toMatchObject({
    body: { accepted: 2 },
  });
  // As navigator.sendBeacon sends text: no preflight comes before it.
  const beacon = { 'content-type': 'text/plain;charset=UTF-8', origin: SITE };
  expect(await send({ headers: beacon, body: '[{"id":"ü"}]' })).toMatchObject({
    status: 200,
    headers: { 'access-control-allow-origin': SITE },
  });
  expect(await send({ headers: json, body: '[]' })).toMatchObject({ body: { accepted: 0 } });
  const messages = taken();
  expect(messages.map(({ text }) => text)).toEqual([
    '{"id":  1.50}',
    '{"id":2}',
    '{"id":12345678901234567890}',
    '{"id":4}',
    '{"id":5}',
    '{"id":"ü"}',
  ]);
  const received_at = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  expect(messages[0]?.attributes).toEqual({ received_at });
  expect(messages.at(-1)?.attributes).toEqual({ received_at, origin: SITE });
});

test('refuses what is not well-formed, naming the line, and takes nothing of it', async () => {
  const refused = await send({
    headers: { 'content-type': 'application/json', origin: SITE },
    body: '{"id":1}\n{"id":\n',
  });
  expect(refused).toMatchObject({
    status: 400,
    body: { error: 'line 2: not valid JSON' },
    // So that the page's own script can read why.
    headers: { 'access-control-allow-origin': SITE },
  });
  expect(await send({ body: '' })).toMatchObject({ status: 400 });
  expect(taken()).toEqual([]);
});

test('answers a preflight of the listed sites only, and never with credentials', async () => {
  const preflight = (origin: string) =>
    send({
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'content-type',
      },
    });
  const own = await preflight(SITE);
  expect(own.status).toBe(204);
  expect(own.headers).toMatchObject({
    'access-control-allow-origin': SITE,
    'access-control-allow-methods': 'POST',
    'access-control-allow-headers': 'content-type, x-tributary-key',
    vary: 'Origin',
  });
  expect(own.headers['access-control-allow-credentials']).toBeUndefined();
  const foreign = await preflight('https://evil.example');
  expect(foreign.status).toBe(403);
  expect(foreign.headers['access-control-allow-origin']).toBeUndefined();
  const posted = await send({ headers: { origin: 'https://evil.example' }, body: '{}' });
  expect(posted.status).toBe(403);
  expect(own.headers['set-cookie']).toBeUndefined();
  expect(taken()).toEqual([]);
});

test('knows the sources that are collected, and no others', async () => {
  const unknown = await send({ path: '/shop/inner', body: '{}' });
  expect(unknown).toMatchObject({
    status: 404,
    body: { error: 'send events to /website/site_events or /shop/clicks' },
  });
  // With two of them nobody can know which is meant.
  expect(await send({ path: '/', body: '{}' })).toMatchObject({ status: 404 });
  expect(await send({ path: '/website/site_events/?v=1', body: '{}' })).toMatchObject({
    status: 200,
  });
  expect(await send({ method: 'GET' })).toMatchObject({
    status: 405,
    headers: { allow: 'POST, OPTIONS' },
  });
});

test('refuses requests that are too large, packed, or of too many events', async () => {
  const large = `{"a":"${'x'.repeat(1_100_000)}"}`;
  expect(await send({ body: large })).toMatchObject({
    status: 413,
    headers: { connection: 'close' },
  });
  const chunked = await send({ headers: { 'transfer-encoding': 'chunked' }, body: large });
  expect(chunked.status).toBe(413);
  expect(await send({ body: '{}\n'.repeat(1_001) })).toMatchObject({ status: 413 });
  const packed = { 'content-encoding': 'gzip', 'content-type': 'application/json' };
  expect(await send({ headers: packed, body: '{}' })).toMatchObject({ status: 415 });
  expect(taken()).toEqual([]);
  expect(await send({ body: '{}\n'.repeat(1_000) })).toMatchObject({ body: { accepted: 1_000 } });
});

test('refuses an address that sends too often, whatever it claims to be', async () => {
  const answers = await Promise.all(
    Array.from({ length: 700 }, (_, i) =>
      // What stands before the last address was written by the sender itself.
      send({ path: '/nobody', headers: { 'x-forwarded-for': `1.2.3.${i & 255}, 203.0.113.9` } }),
    ),
  );
  const refused = answers.filter(({ status }) => status === 429);
  expect(refused.length).toBeGreaterThan(0);
  expect(refused.length).toBeLessThanOrEqual(200);
  expect(Number(refused[0]?.headers['retry-after'])).toBeGreaterThanOrEqual(1);
  // A sender has a whole IPv6 network to itself, in whatever spelling.
  const network = await Promise.all(
    Array.from({ length: 700 }, (_, i) => {
      const address = i % 2 === 0 ? `2001:db8::${i.toString(16)}` : `2001:0DB8:0:0:1::${i}`;
      return send({ path: '/nobody', headers: { 'x-forwarded-for': address } });
    }),
  );
  expect(network.filter(({ status }) => status === 429).length).toBeGreaterThan(0);
  const other = { 'x-forwarded-for': '203.0.113.10' };
  expect(await send({ headers: other, body: '{}' })).toMatchObject({ status: 200 });
});

test('many requests at once share few publish requests, and each is answered', async () => {
  const published: number[] = [];
  const { publish } = pubsub.state;
  const spy = vi.spyOn(pubsub.state, 'publish').mockImplementation((topic, messages) => {
    published.push(messages.length);
    return publish.call(pubsub.state, topic, messages);
  });
  const answers = await Promise.all(
    Array.from({ length: 200 }, (_, i) => send({ body: `{"id":${i}}` })),
  );
  spy.mockRestore();
  expect(answers.every(({ status, body }) => status === 200 && body?.accepted === 1)).toBe(true);
  expect(published.reduce((sum, n) => sum + n, 0)).toBe(200);
  expect(published.length).toBeLessThan(100);
  expect(new Set(taken().map(({ text }) => text)).size).toBe(200);
});

test('events that Pub/Sub does not take are not accepted, and may be sent again', async () => {
  pubsub.state.deleteTopic(TOPIC);
  const refused = await send({ body: '{"id":1}' });
  expect(refused).toMatchObject({ status: 503, headers: { 'retry-after': '5' } });
  const clicks = 'projects/p/topics/clicks';
  pubsub.state.declareTopic({ name: clicks });
  // The other topic is none the worse.
  expect(await send({ path: '/shop/clicks', body: '{}' })).toMatchObject({ status: 200 });
  pubsub.state.deleteTopic(clicks);
});

test('a sender that goes away in the middle leaves nothing behind', async () => {
  const { port } = server.address() as AddressInfo;
  for (let i = 0; i < 60; i += 1) {
    await new Promise<void>((resolve) => {
      const asked = request({
        host: '127.0.0.1',
        port,
        path: '/website/site_events',
        method: 'POST',
        headers: { 'content-length': 1_000_000 },
      });
      asked.once('error', () => resolve());
      asked.write(`{"a":"${'x'.repeat(900_000)}`, () => asked.destroy());
    });
  }
  // Were the bytes of those still counted as held, this would be refused as too much.
  expect(await send({ body: `{"a":"${'x'.repeat(900_000)}"}` })).toMatchObject({ status: 200 });
});

test('what has been answered is held no more', async () => {
  const body = 'x'.repeat(950_000);
  for (let i = 0; i < 56; i += 1) expect(await send({ body })).toMatchObject({ status: 400 });
  expect(await send({ body: '{}' })).toMatchObject({ status: 200 });
});

test('a key, where one is asked for, must be the one in Secret Manager', async () => {
  let key = 'first';
  let now = 0;
  const events: string[] = [];
  const world = {
    clock: { now: () => now, sleep: (ms: number) => new Promise((wake) => setTimeout(wake, ms)) },
    secrets: { read: async (name: string) => (name === 'collect-key' ? key : '') },
    queue: {
      publishAll: async (_: string, messages: readonly { readonly data: Buffer }[]) =>
        void events.push(...messages.map(({ data }) => data.toString())),
    },
    log: () => {},
  } as unknown as World;
  const config = {
    collect: { origins: [], requestsPerMinute: 0, keySecret: 'collect-key' },
  } as unknown as Config;
  const guarded = createServer((asked, answer) => void handleRequest(asked, answer, world, config));
  await new Promise<void>((resolve) => guarded.listen(0, '127.0.0.1', resolve));
  const { port } = guarded.address() as AddressInfo;
  const status = async (given?: string): Promise<number> => {
    const answer = await fetch(`http://127.0.0.1:${port}/shop/clicks`, {
      method: 'POST',
      body: JSON.stringify({ given }),
      headers: given === undefined ? {} : { 'x-tributary-key': given },
    });
    return answer.status;
  };
  expect(await status()).toBe(401);
  expect(await status('')).toBe(401);
  expect(await status('firs')).toBe(401);
  expect(await status('first')).toBe(200);
  key = 'second';
  now += 60_000;
  expect(await status('first')).toBe(401);
  expect(await status('second')).toBe(200);
  expect(events).toEqual(['{"given":"first"}', '{"given":"second"}']);
  guarded.closeAllConnections();
  guarded.close();
});

test('the key is asked for once, however many wait, and serves while nobody can be asked', async () => {
  let now = 0;
  let asked = 0;
  let failure: Error | null = null;
  const world = {
    clock: { now: () => now, sleep: (ms: number) => new Promise((wake) => setTimeout(wake, ms)) },
    secrets: {
      read: async () => {
        asked += 1;
        await new Promise((wake) => setTimeout(wake, 20));
        if (failure !== null) throw failure;
        return 'key';
      },
    },
    queue: { publishAll: async () => {} },
    log: () => {},
  } as unknown as World;
  const config = {
    collect: { origins: [], requestsPerMinute: 0, keySecret: 'collect-key' },
  } as unknown as Config;
  const guarded = createServer((from, answer) => {
    handleRequest(from, answer, world, config).catch(() => answer.writeHead(500).end());
  });
  await new Promise<void>((resolve) => guarded.listen(0, '127.0.0.1', resolve));
  const { port } = guarded.address() as AddressInfo;
  const status = async (): Promise<number> => {
    const headers = { 'x-tributary-key': 'key' };
    const url = `http://127.0.0.1:${port}/shop/clicks`;
    return (await fetch(url, { method: 'POST', body: '{}', headers })).status;
  };
  expect(await Promise.all(Array.from({ length: 20 }, status))).toEqual(Array(20).fill(200));
  expect(asked).toBe(1);
  failure = new Transient({ code: 'unavailable_503', message: 'not now' });
  now += 10 * 60_000;
  expect(await status()).toBe(200);
  now += 3600_000;
  expect(await status()).toBe(500);
  failure = null;
  expect(await status()).toBe(200);
  failure = new Permanent({ code: 'refused_403', message: 'taken away' });
  now += 60_000;
  expect(await status()).toBe(500);
  guarded.closeAllConnections();
  guarded.close();
});

test('more than an instance bears at once is refused for now', async () => {
  const { port } = server.address() as AddressInfo;
  const refused = Promise.withResolvers<number>();
  const senders = Array.from({ length: 60 }, (_, i) => {
    const asked = request(
      {
        host: '127.0.0.1',
        port,
        path: '/website/site_events',
        method: 'POST',
        headers: { 'content-length': 1_000_000, 'x-forwarded-for': `10.9.0.${i}` },
      },
      (answer) => {
        answer.resume();
        refused.resolve(answer.statusCode ?? 0);
      },
    );
    asked.on('error', () => {});
    // Most of a body, and then nothing for a while.
    asked.write('x'.repeat(950_000));
    return asked;
  });
  expect(await refused.promise).toBe(503);
  for (const asked of senders) asked.destroy();
  await expect.poll(async () => (await send({ body: '{}' })).status).toBe(200);
});
