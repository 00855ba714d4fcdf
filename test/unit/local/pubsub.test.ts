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

test('declarations go through the official client and come back', async () => {
  await client.createTopic('dead');
  const [topic] = await client.createTopic('events');
  const deadLetterTopic = 'projects/p/topics/dead';
  const [subscription] = await topic.createSubscription('full', {
    ackDeadlineSeconds: 30,
    filter: 'attributes:kind',
    deadLetterPolicy: { deadLetterTopic, maxDeliveryAttempts: 7 },
    retryPolicy: { minimumBackoff: { seconds: 5 }, maximumBackoff: { seconds: 60 } },
    expirationPolicy: {},
  });
  const name = 'projects/p/subscriptions/full';
  const declared = {
    name,
    topic: TOPIC,
    ackDeadlineSeconds: 30,
    filter: 'attributes:kind',
    deadLetterPolicy: { deadLetterTopic, maxDeliveryAttempts: 7 },
    retryPolicy: { minimumBackoffSeconds: 5, maximumBackoffSeconds: 60 },
    expirationSeconds: 0,
  };
  expect(server.state.getSubscription(name)).toEqual(declared);
  await subscription.setMetadata({ ackDeadlineSeconds: 60 });
  expect(server.state.getSubscription(name)).toMatchObject({
    ...declared,
    ackDeadlineSeconds: 60,
  });
  await subscription.modifyPushConfig({ pushEndpoint: 'http://127.0.0.1:9/' });
  expect(server.state.getSubscription(name).pushConfig?.pushEndpoint).toBe('http://127.0.0.1:9/');
  expect((await topic.getSubscriptions())[0].map((each) => each.name)).toEqual([name]);
  expect((await client.getTopics())[0].map((each) => each.name)).toEqual([deadLetterTopic, TOPIC]);
  await expect(topic.createSubscription('full')).rejects.toMatchObject({ code: 6 });
  await expect(
    client.topic('none').publishMessage({ data: Buffer.from('x') }),
  ).rejects.toMatchObject({ code: 5 });
  await expect(
    topic.createSubscription('bad', { enableExactlyOnceDelivery: true }),
  ).rejects.toMatchObject({ code: 12 });
  await topic.delete();
  expect(server.state.getSubscription(name).topic).toBe('_deleted-topic_');
  await subscription.delete();
  expect((await client.getSubscriptions())[0]).toEqual([]);
});

test('REST publishes, pulls at once or after a wait, refuses with the API body', async () => {
  server.state.declareTopic({ name: TOPIC });
  server.state.declareSubscription({ name: PULL, topic: TOPIC });
  const post = async (path: string, body: unknown): Promise<[number, unknown]> => {
    const url = `${server.restUrl}/v1/${path}`;
    const response = await fetch(url, { method: 'POST', body: JSON.stringify(body) });
    return [response.status, await response.json()];
  };
  expect(await post(`${PULL}:pull`, { maxMessages: 5 })).toEqual([200, {}]);
  const waiting = post(`${PULL}:pull`, { maxMessages: 5 });
  const messages = [{ data: 'eA==', attributes: { a: 'b' } }];
  const [, published] = await post(`${TOPIC}:publish`, { messages });
  const { messageIds } = published as { messageIds: string[] };
  expect((await waiting)[1]).toMatchObject({
    receivedMessages: [
      { message: { data: 'eA==', attributes: { a: 'b' }, messageId: messageIds[0] } },
    ],
  });
  expect(await post('projects/p/topics/none:publish', { messages })).toMatchObject([
    404,
    { error: { code: 404, status: 'NOT_FOUND' } },
  ]);
  expect(await post(`${TOPIC}:publish`, { messages: [{}] })).toMatchObject([
    400,
    { error: { status: 'INVALID_ARGUMENT' } },
  ]);
});

test('a subscriber is never given more than its flow control allows', async () => {
  const [topic] = await client.createTopic('events');
  await topic.createSubscription('pull');
  const subscription = topic.subscription('pull', {
    flowControl: { maxMessages: 5 },
    streamingOptions: { maxStreams: 1 },
  });
  for (let i = 0; i < 40; i++) topic.publishMessage({ data: Buffer.from(String(i)) });
  let most = 0;
  const seen = new Set<string>();
  const all = Promise.withResolvers<void>();
  subscription.on('message', (message: Message) => {
    most = Math.max(most, server.state.backlog(PULL).out);
    seen.add(message.data.toString());
    setImmediate(() => message.ack());
    if (seen.size === 40) all.resolve();
  });
  await all.promise;
  expect(most).toBeLessThanOrEqual(5);
  await subscription.close();
});
