/** The deployed bundle of the drain in a process of its own, killed again and again at its work. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildPreload, startFunction } from '../../bench/parts/deployed_function.ts';
import type { RunManifest } from '../../functions/manifest.ts';
import { functions } from '../../functions/settings.ts';
import { type PubsubServer, startPubsub } from '../../local/pubsub/server.ts';
import { startStorage } from '../../local/storage/server.ts';
import { buildFunction } from '../../scripts/build.ts';

const TOPIC = 'projects/p/topics/site-events';
const SUBSCRIPTION = 'projects/p/subscriptions/site-events--drain';
const EVENTS = 12_000;

let root: string;
let pubsub: PubsubServer;
let storage: Awaited<ReturnType<typeof startStorage>>;
/** Leases of a killed drain run out when this clock says so, not when we have waited. */
let ahead = 0;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'drain-killed-'));
  const clock = { now: () => Date.now() + ahead };
  pubsub = await startPubsub({ root: join(root, 'pubsub'), clock, log: () => {}, pullWaitMs: 200 });
  pubsub.state.declareTopic({ name: 'projects/p/topics/drain' });
  pubsub.state.declareTopic({ name: TOPIC });
  pubsub.state.declareSubscription({ name: SUBSCRIPTION, topic: TOPIC, ackDeadlineSeconds: 180 });
  storage = await startStorage({ root: join(root, 'storage') });
  for (const name of ['bronze', 'control']) storage.state.buckets.declare({ name });
  const settings = functions.find(({ name }) => name === 'drain');
  if (settings === undefined) throw new Error('there is no function drain');
  await buildFunction(settings, root);
}, 120_000);
afterAll(async () => {
  await pubsub.close();
  await storage.close();
  rmSync(root, { recursive: true, force: true });
});

const start = () =>
  startFunction({
    bundle: join(root, 'drain'),
    preload: buildPreload(root),
    memoryMb: 1_024,
    logFile: join(root, 'drain.log'),
    variables: {
      TRIBUTARY_PROJECT: 'p',
      TRIBUTARY_REGION: 'europe-west1',
      TRIBUTARY_LOCATION: 'EU',
      TRIBUTARY_ENVIRONMENT: 'test',
      TRIBUTARY_BUCKET_CONTROL: 'control',
      TRIBUTARY_BUCKET_BRONZE: 'bronze',
      TRIBUTARY_ENDPOINTS: JSON.stringify({
        storage: storage.url,
        pubsub: pubsub.restUrl,
        pubsub_grpc: pubsub.grpcUrl,
      }),
    },
  });
const tick = { data: { source: 'website.site_events' } };
const left = (): number => pubsub.state.backlog(SUBSCRIPTION).unacknowledged;
const out = (): number => pubsub.state.backlog(SUBSCRIPTION).out;
const objects = (bucket: string, prefix = ''): number =>
  storage.state.objects.list(bucket, { prefix }).items.length;
const passLeases = (): void => {
  ahead += 181_000;
  pubsub.state.advance();
};

test('killed anywhere, it loses nothing and acknowledges nothing too early', {
  timeout: 180_000,
}, async () => {
  const ids: string[] = [];
  for (let i = 0; i < EVENTS; i += 1_000) {
    const messages = Array.from({ length: 1_000 }, () => {
      const id = randomBytes(400).toString('hex');
      ids.push(id);
      return { data: Buffer.from(`{"event_id":"${id}"}`), attributes: {}, orderingKey: '' };
    });
    pubsub.state.publish(TOPIC, messages);
  }
  /** Each time it is killed when this has come true. */
  const moments: readonly (() => boolean)[] = [
    () => out() > 0,
    () => objects('bronze') > 0,
    () => objects('control', 'runs/') > 0,
    () => left() < EVENTS,
  ];
  for (const moment of moments) {
    passLeases();
    const one = await start();
    const pushed = one.push(tick).catch(() => 'cut');
    while (!moment()) await new Promise((resolve) => setTimeout(resolve, 1));
    process.kill(one.pid, 'SIGKILL');
    await pushed;
    await one.close();
  }
  for (let tries = 0; left() > 0 && tries < 5; tries += 1) {
    passLeases();
    const one = await start();
    await one.push(tick);
    await one.close();
  }
  expect(left()).toBe(0);
  const folder = join(root, 'storage', 'control', 'runs', 'website', 'site_events');
  const landed = new Set<string>();
  for (const name of readdirSync(folder)) {
    const run = JSON.parse(readFileSync(join(folder, name), 'utf8')) as RunManifest;
    for (const file of run.files) {
      const bytes = gunzipSync(readFileSync(join(root, 'storage', 'bronze', file.name)));
      for (const line of bytes.toString().split('\n').slice(0, -1)) {
        const { payload } = JSON.parse(line) as { readonly payload: string };
        landed.add((JSON.parse(payload) as { readonly event_id: string }).event_id);
      }
    }
  }
  expect(landed.size).toBe(EVENTS);
  expect(ids.every((id) => landed.has(id))).toBe(true);
});
