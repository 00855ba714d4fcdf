import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { LARGEST_ANSWER_BYTES, wholeFetch } from '../../../functions/clients/fetch.ts';
import { pubsubQueue } from '../../../functions/clients/queue.ts';
import { managedSecrets } from '../../../functions/clients/secrets.ts';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;
let answers: Answer[] = [];
let seen: { line: string; authorization: string | undefined; body: string }[] = [];
let server: Server;
let endpoint: string;

beforeAll(async () => {
  server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (text: string) => {
      body += text;
    });
    request.on('end', () => {
      const { authorization } = request.headers;
      seen.push({ line: `${request.method} ${request.url}`, authorization, body });
      const answer = answers.shift() ?? ((_, missing) => missing.writeHead(404).end());
      answer(request, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
beforeEach(() => {
  answers = [];
  seen = [];
});
afterAll(
  () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    }),
);

const json =
  (status: number, body: unknown): Answer =>
  (_, response) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  };

describe('queue', () => {
  it('publishes data and attributes to the topic, without credentials over plain HTTP', async () => {
    answers = [json(200, { messageIds: ['1'] })];
    const queue = pubsubQueue({ project: 'p', endpoint });
    await queue.publish('pull-hubspot', { data: Buffer.from('{}'), attributes: { a: 'b' } });
    expect(seen).toEqual([
      {
        line: 'POST /v1/projects/p/topics/pull-hubspot:publish',
        authorization: undefined,
        body: JSON.stringify({ messages: [{ data: 'e30=', attributes: { a: 'b' } }] }),
      },
    ]);
  });

  it('publishes many messages in one request, and says when it was refused', async () => {
    answers = [
      json(200, { messageIds: ['1', '2'] }),
      json(404, { error: { message: 'no topic' } }),
    ];
    const queue = pubsubQueue({ project: 'p', endpoint });
    const messages = [
      { data: Buffer.from([0xff, 0x00]), attributes: { a: 'b' } },
      { data: Buffer.from('{}') },
    ];
    await queue.publishAll('events', messages);
    expect(JSON.parse(seen[0]?.body ?? '')).toEqual({
      messages: [
        { data: '/wA=', attributes: { a: 'b' } },
        { data: 'e30=', attributes: {} },
      ],
    });
    await expect(queue.publishAll('nobody', messages)).rejects.toThrow(/404 no topic/);
    expect(seen).toHaveLength(2);
  });

  it('tries again what passes, and not what is refused', async () => {
    answers = [json(503, {}), (request) => request.socket.destroy(), json(200, {})];
    const queue = pubsubQueue({ project: 'p', endpoint });
    await queue.publish('t', { data: Buffer.from('{}') });
    expect(seen).toHaveLength(3);
    answers = [json(403, { error: { message: 'not allowed to publish' } })];
    await expect(queue.publish('t', { data: Buffer.from('{}') })).rejects.toMatchObject({
      name: 'Permanent',
      message: expect.stringContaining('not allowed to publish'),
    });
    expect(seen).toHaveLength(4);
  });
});

describe('secrets', () => {
  it('reads the newest version, without the newline a terminal leaves', async () => {
    const data = Buffer.from('pat-eu1-1\n').toString('base64');
    answers = [json(200, { payload: { data } })];
    const secrets = managedSecrets({ project: 'p', endpoint });
    expect(await secrets.read('hubspot-token')).toBe('pat-eu1-1');
    expect(seen[0]?.line).toBe('GET /v1/projects/p/secrets/hubspot-token/versions/latest:access');
  });

  it('says which secret has no value, or may not be read', async () => {
    const secrets = managedSecrets({ project: 'p', endpoint });
    answers = [json(200, { payload: {} })];
    await expect(secrets.read('hubspot-token')).rejects.toMatchObject({ code: 'secret_empty' });
    answers = [json(404, { error: { message: 'Secret [hubspot-token] not found' } })];
    await expect(secrets.read('hubspot-token')).rejects.toMatchObject({
      name: 'Permanent',
      message: expect.stringContaining('hubspot-token'),
    });
  });
});

describe('fetch', () => {
  const get = (timeoutMs = 5_000) =>
    wholeFetch({ method: 'GET', url: `${endpoint}/page?email=x%40y.z`, headers: {}, timeoutMs });

  it('gives status, lower-case headers and the bytes, whatever the status', async () => {
    answers = [
      (_, response) => {
        response.writeHead(429, { 'Retry-After': '7' }).end(Buffer.from([0xff, 0, 1]));
      },
    ];
    const answer = await get();
    expect([answer.status, answer.headers['retry-after']]).toEqual([429, '7']);
    expect(answer.body.equals(Buffer.from([0xff, 0, 1]))).toBe(true);
  });

  it('does not follow a redirect with the token', async () => {
    answers = [(_, response) => response.writeHead(302, { location: `${endpoint}/other` }).end()];
    expect((await get()).status).toBe(302);
    expect(seen).toHaveLength(1);
  });

  const broken: readonly (readonly [string, Answer])[] = [
    [
      'half a body',
      (request, response) => {
        response.writeHead(200, { 'content-length': '100' });
        response.write('half', () => request.socket.destroy());
      },
    ],
    [
      'half a chunked body',
      (request, response) => {
        response.writeHead(200);
        response.write('half', () => request.socket.destroy());
      },
    ],
    ['a connection that is reset', (request) => request.socket.resetAndDestroy()],
  ];
  it.each(broken)('rejects %s as worth another try', async (_, answer) => {
    answers = [answer];
    await expect(get()).rejects.toMatchObject({ name: 'Transient', code: 'no_answer' });
  });

  it('receives no more of an endless answer than can be held, and calls it useless to ask again', async () => {
    const part = Buffer.alloc(1_000_000, 'x');
    let sent = 0;
    let ended = false;
    answers = [
      (_, response) => {
        response.writeHead(200);
        response.once('close', () => {
          ended = true;
        });
        const more = (): void => {
          if (ended) return;
          sent += part.length;
          if (response.write(part)) setImmediate(more);
          else response.once('drain', more);
        };
        more();
      },
    ];
    await expect(get()).rejects.toMatchObject({
      name: 'Permanent',
      code: 'answer_too_large',
      message: `GET ${endpoint}/page: the answer is larger than ${LARGEST_ANSWER_BYTES} bytes`,
    });
    await expect.poll(() => ended).toBe(true);
    expect(sent).toBeLessThan(2 * LARGEST_ANSWER_BYTES);
  });

  it('rejects an answer whose body takes too long, without showing the query', async () => {
    answers = [(_, response) => response.writeHead(200).write('a beginning')];
    await expect(get(200)).rejects.toMatchObject({
      code: 'timed_out',
      message: `GET ${endpoint}/page: no whole answer in 200 ms`,
    });
  });
});
