/** The deployed client of pull subscriptions against the local Pub/Sub over gRPC. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { portions, pubsubSubscriptions } from '../../../functions/clients/subscriptions.ts';
import { Permanent } from '../../../functions/errors.ts';
import type { Subscriptions } from '../../../functions/world.ts';
import { type PubsubServer, startPubsub } from '../../../local/pubsub/server.ts';

const TOPIC = 'projects/p/topics/events';
const SUBSCRIPTION = 'projects/p/subscriptions/events--drain';

let root: string;
let server: PubsubServer;
let subscriptions: Subscriptions;

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'subscriptions-'));
  server = await startPubsub({ root, pullWaitMs: 60_000, log: () => undefined });
  server.state.declareTopic({ name: TOPIC });
  server.state.declareSubscription({ name: SUBSCRIPTION, topic: TOPIC, ackDeadlineSeconds: 180 });
  subscriptions = pubsubSubscriptions({ project: 'p', endpoint: server.grpcUrl, waitMs: 300 });
});
afterEach(async () => {
  await server.close();
  rmSync(root, { recursive: true, force: true });
});

const left = (): number => server.state.backlog(SUBSCRIPTION).unacknowledged;

test('takes messages with all they carry', async () => {
  const before = Date.now();
  const [id] = server.state.publish(TOPIC, [
    { data: Buffer.from([0, 0xff, 0x7b]), attributes: { a: 'ü', b: '' }, orderingKey: 'k' },
  ]);
  const [message, ...more] = await subscriptions.take('events--drain', 10);
  expect(more).toEqual([]);
  expect(message).toMatchObject({ id, attributes: { a: 'ü', b: '' }, orderingKey: 'k' });
  expect(message?.data).toEqual(Buffer.from([0, 0xff, 0x7b]));
  expect(Buffer.isBuffer(message?.data)).toBe(true);
  expect(message?.publishedAt).toBeGreaterThanOrEqual(before);
  expect(message?.publishedAt).toBeLessThanOrEqual(Date.now());
  await subscriptions.acknowledge('events--drain', [message?.ackId ?? '']);
  expect(left()).toBe(0);
});

test('a message without data is an empty one', async () => {
  server.state.publish(TOPIC, [
    { data: Buffer.alloc(0), attributes: { only: 'this' }, orderingKey: '' },
  ]);
  const [message] = await subscriptions.take('events--drain', 10);
  expect(message?.data).toEqual(Buffer.alloc(0));
  expect(message?.orderingKey).toBe('');
});

test('nothing there is an empty answer within the wait, though the service would keep the line', async () => {
  await subscriptions.take('events--drain', 10);
  const began = performance.now();
  expect(await subscriptions.take('events--drain', 10)).toEqual([]);
  expect(performance.now() - began).toBeLessThan(3_000);
});

test('takes a message of nearly ten megabytes', async () => {
  const data = Buffer.alloc(9_900_000, 'x');
  server.state.publish(TOPIC, [{ data, attributes: {}, orderingKey: '' }]);
  const [message] = await subscriptions.take('events--drain', 10);
  expect(message?.data.equals(data)).toBe(true);
});

test('acknowledges more than one request may name', async () => {
  for (let i = 0; i < 7; i += 1) {
    server.state.publish(
      TOPIC,
      Array.from({ length: 1_000 }, (_, j) => ({
        data: Buffer.from(`${i} ${j}`),
        attributes: {},
        orderingKey: '',
      })),
    );
  }
  const ids = new Set<string>();
  const ackIds: string[] = [];
  while (ackIds.length < 7_000) {
    for (const { id, ackId } of await subscriptions.take('events--drain', 1_000)) {
      ids.add(id);
      ackIds.push(ackId);
    }
  }
  expect(ids.size).toBe(7_000);
  await subscriptions.acknowledge('events--drain', ackIds);
  expect(left()).toBe(0);
});

test('ids that are long are named in more requests, each of what one may have', () => {
  const ids = Array.from({ length: 6_000 }, (_, i) =>
    `${i}`.padStart(i % 2 === 0 ? 200 : 420, 'x'),
  );
  const found = portions(ids);
  expect(found.flat()).toEqual(ids);
  for (const part of found) {
    expect(part.length).toBeLessThanOrEqual(2_500);
    expect(part.reduce((sum, id) => sum + id.length + 4, 0)).toBeLessThan(512 * 1024 - 1_000);
  }
  expect(found.length).toBeLessThan(6);
  expect(portions([])).toEqual([]);
});

test('a subscription that is missing, or pushes, is an error that waiting does not mend', async () => {
  await expect(subscriptions.take('nobody', 10)).rejects.toThrow(Permanent);
  await expect(subscriptions.take('nobody', 10)).rejects.toMatchObject({ code: 'refused_404' });
  await expect(subscriptions.acknowledge('nobody', ['1-0-1-1'])).rejects.toThrow(Permanent);
  const pushConfig = { pushEndpoint: 'http://127.0.0.1:9/' };
  const name = 'projects/p/subscriptions/pushes';
  server.state.declareSubscription({ name, topic: TOPIC, pushConfig });
  await expect(subscriptions.take('pushes', 10)).rejects.toThrow(Permanent);
});

test('a service that restarts meanwhile is waited for', async () => {
  server.state.publish(TOPIC, [{ data: Buffer.from('x'), attributes: {}, orderingKey: '' }]);
  await subscriptions.take('nobody', 1).catch(() => {});
  const port = Number(server.grpcUrl.split(':')[1]);
  await server.close();
  const taking = subscriptions.take('events--drain', 10);
  server = await startPubsub({ root, grpcPort: port, pullWaitMs: 60_000, log: () => undefined });
  const messages = await taking;
  expect(messages.map(({ data }) => data.toString())).toEqual(['x']);
});
