/** The deployed bundle of collect in a process of its own, ended while senders are at work. */
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildPreload, startFunction } from '../../bench/parts/deployed_function.ts';
import { functions } from '../../functions/settings.ts';
import { type PubsubServer, startPubsub } from '../../local/pubsub/server.ts';
import { buildFunction } from '../../scripts/build.ts';

const TOPIC = 'projects/p/topics/site-events';
const SUBSCRIPTION = 'projects/p/subscriptions/site-events--drain';
const SENDERS = 40;

let root: string;
let pubsub: PubsubServer;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'collect-killed-'));
  pubsub = await startPubsub({ root: join(root, 'pubsub'), log: () => {} });
  pubsub.state.declareTopic({ name: TOPIC });
  pubsub.state.declareSubscription({ name: SUBSCRIPTION, topic: TOPIC });
  const settings = functions.find(({ name }) => name === 'collect');
  if (settings === undefined) throw new Error('there is no function collect');
  await buildFunction(settings, root);
}, 120_000);
afterAll(async () => {
  await pubsub.close();
  rmSync(root, { recursive: true, force: true });
});

test.each(['SIGTERM', 'SIGKILL'] as const)(
  '%s loses nothing that was accepted',
  { timeout: 120_000 },
  async (signal) => {
    const running = await startFunction({
      bundle: join(root, 'collect'),
      preload: buildPreload(root),
      memoryMb: 512,
      logFile: join(root, `${signal}.log`),
      variables: {
        TRIBUTARY_PROJECT: 'p',
        TRIBUTARY_REGION: 'europe-west1',
        TRIBUTARY_LOCATION: 'EU',
        TRIBUTARY_ENVIRONMENT: 'test',
        TRIBUTARY_ENDPOINTS: JSON.stringify({ pubsub: pubsub.restUrl }),
        TRIBUTARY_COLLECT: JSON.stringify({ origins: [], requestsPerMinute: 0 }),
      },
    });
    const agent = new Agent({ keepAlive: true, maxSockets: SENDERS });
    const accepted = new Set<string>();
    let cut = 0;
    let sent = 0;
    const enough = Promise.withResolvers<void>();
    const post = (id: string): Promise<number> =>
      new Promise((resolve) => {
        const asked = request(
          `${running.url}/website/site_events`,
          { method: 'POST', agent },
          (answer) => {
            answer.resume();
            answer.once('end', () => resolve(answer.statusCode ?? 0));
            answer.once('error', () => resolve(0));
          },
        );
        asked.once('error', () => resolve(0));
        asked.end(`{"id":"${id}"}`);
      });
    const sender = async (): Promise<void> => {
      for (;;) {
        const id = `${signal}-${sent++}`;
        const status = await post(id);
        // The framework answers the last of them with 500 before it goes, the others not at all.
        if (status !== 200) {
          cut += 1;
          return;
        }
        accepted.add(id);
        if (accepted.size === 500) enough.resolve();
      }
    };
    const senders = Array.from({ length: SENDERS }, sender);
    await enough.promise;
    process.kill(running.pid, signal);
    await Promise.all(senders);
    agent.destroy();
    expect(cut).toBe(SENDERS);
    const there = new Set<string>();
    for (;;) {
      const messages = pubsub.state.pull(SUBSCRIPTION, 1_000);
      if (messages.length === 0) break;
      for (const { message } of messages) {
        there.add((JSON.parse(Buffer.from(message.data).toString()) as { id: string }).id);
      }
    }
    expect([...accepted].filter((id) => !there.has(id))).toEqual([]);
    expect(accepted.size).toBeGreaterThanOrEqual(500);
  },
);
