import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PubSub } from '@google-cloud/pubsub';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type PubsubServer, startPubsub } from '../../../local/pubsub/server.ts';
import { simulate } from '../../../scripts/simulate.ts';

const UNTIL = Date.parse('2026-11-20T00:00:00Z');
let root: string;
let server: PubsubServer;
let client: PubSub;

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'simulate-'));
  server = await startPubsub({ root, pullWaitMs: 300, log: () => undefined });
  client = new PubSub({ apiEndpoint: server.grpcUrl, projectId: 'p' });
});

afterEach(async () => {
  await client.close();
  await server.close();
  rmSync(root, { recursive: true, force: true });
});

/** What a subscriber gets, as text. */
async function published(count: number): Promise<readonly string[]> {
  const subscription = client.subscription('all');
  const found: string[] = [];
  const all = Promise.withResolvers<void>();
  subscription.on('error', all.reject);
  subscription.on('message', (message) => {
    found.push(message.data.toString());
    message.ack();
    if (found.length === count) all.resolve();
  });
  await all.promise;
  await subscription.close();
  return found;
}

test('publishes exactly as many events as asked, the same ones for the same seed', async () => {
  const [topic] = await client.createTopic('site-events');
  await topic.createSubscription('all');
  const target = { projectId: 'p', apiEndpoint: server.grpcUrl };
  const request = { domain: 'website', events: 1_234, seed: 5, until: UNTIL };
  expect(await simulate(request, target)).toMatchObject({ published: 1_234, failed: 0 });
  const first = await published(1_234);
  await simulate(request, target);
  expect([...(await published(1_234))].sort()).toEqual([...first].sort());
  const event = JSON.parse(first[0] as string) as Record<string, unknown>;
  expect(event).toMatchObject({ event_type: expect.any(String), props: expect.any(Object) });
  expect(event['occurred_at']).toMatch(/^2026-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
});

test('the shop sends its own events to its own topic', async () => {
  const [topic] = await client.createTopic('behavior-events');
  await topic.createSubscription('all');
  const target = { projectId: 'p', apiEndpoint: server.grpcUrl };
  await simulate({ domain: 'commerce', events: 300, seed: 5, until: UNTIL }, target);
  const events = (await published(300)).map((text) => JSON.parse(text) as object);
  expect(events[0]).toMatchObject({ event_id: expect.any(String), date: expect.any(String) });
});

test('keeps to the rate', async () => {
  await client.createTopic('site-events');
  const begun = Date.now();
  const target = { projectId: 'p', apiEndpoint: server.grpcUrl };
  await simulate({ domain: 'website', events: 100, rate: 200, seed: 5, until: UNTIL }, target);
  expect(Date.now() - begun).toBeGreaterThanOrEqual(480);
});

test('says which domains there are, and that publishing failed', async () => {
  const target = { projectId: 'p', apiEndpoint: server.grpcUrl };
  const request = { events: 10, seed: 5, until: UNTIL };
  await expect(simulate({ ...request, domain: 'email' }, target)).rejects.toThrow(/website/);
  await expect(simulate({ ...request, domain: 'website' }, target)).rejects.toThrow(
    /no topic site-events/,
  );
});
