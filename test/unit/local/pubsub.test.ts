import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Message, PubSub } from '@google-cloud/pubsub';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type PubsubServer, startPubsub } from '../../../local/pubsub/server.ts';

const TOPIC = 'projects/p/topics/events';
const PULL = 'projects/p/subscriptions/pull';

let root: string;
let server: PubsubServer;
let client: PubSub;

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'pubsub-'));
  server = await startPubsub({ root, pullWaitMs: 300, log: () => undefined });
  client = new PubSub({ apiEndpoint: server.grpcUrl, projectId: 'p' });
});

afterEach(async () => {
  await client.close();
  await server.close();
  rmSync(root, { recursive: true, force: true });
});

test('messages travel from the official publisher to the official streaming subscriber', async () => {
  const [topic] = await client.createTopic('events');
  const [subscription] = await topic.createSubscription('pull');
  const received = new Map<string, Message>();
  const all = Promise.withResolvers<void>();
  subscription.on('error', all.reject);
  subscription.on('message', (message: Message) => {
    received.set(message.data.toString(), message);
    message.ack();
    if (received.size === 50) all.resolve();
  });
  await Promise.all(
    Array.from({ length: 50 }, (_, i) =>
      topic.publishMessage({ data: Buffer.from(`m${i}`), attributes: { i: String(i) } }),
    ),
  );
  await all.promise;
  expect(received.get('m7')?.attributes).toEqual({ i: '7' });
  await expect.poll(() => server.state.backlog(PULL).unacknowledged).toBe(0);
  await subscription.close();
});

test('a push goes to the endpoint until it answers 2xx', async () => {
  const bodies: string[] = [];
  const endpoint: Server = createServer((request, response) => {
    let body = '';
    request.on('data', (part) => {
      body += part;
    });
    request.on('end', () => {
      bodies.push(body);
      response.writeHead(bodies.length < 3 ? 500 : 204).end();
    });
  });
  await new Promise<void>((resolve) => endpoint.listen(0, '127.0.0.1', resolve));
  const { port } = endpoint.address() as AddressInfo;
  server.state.declareTopic({ name: TOPIC });
  const name = 'projects/p/subscriptions/push';
  const pushEndpoint = `http://127.0.0.1:${port}/`;
  server.state.declareSubscription({ name, topic: TOPIC, pushConfig: { pushEndpoint } });
  const [id] = server.state.publish(TOPIC, [
    { data: Buffer.from('x'), attributes: { a: 'b' }, orderingKey: '' },
  ]);
  await expect.poll(() => server.state.backlog(name).unacknowledged).toBe(0);
  expect(bodies).toHaveLength(3);
  expect(JSON.parse(bodies[2] as string)).toMatchObject({
    message: { data: 'eA==', attributes: { a: 'b' }, messageId: id },
    subscription: name,
  });
  endpoint.closeAllConnections();
  endpoint.close();
});
