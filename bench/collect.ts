/**
 * Collect: events acknowledged per second and how long their senders wait, by the function as it is
 * deployed (group commit into Pub/Sub), next to a function that stores one object per event. Both
 * behind the real functions framework, one event a request, senders that send again as soon as they
 * are answered. Afterwards every event that was acknowledged is looked for.
 *
 *   --senders N    at once; default 400
 *   --seconds N    for each; default 20
 */
import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { pubsubSubscriptions } from '../functions/clients/subscriptions.ts';
import { drainedSubscription, functions } from '../functions/settings.ts';
import { buildFunction } from '../scripts/build.ts';
import { say } from '../scripts/progress.ts';
import { bundled } from './parts/bundle.ts';
import { buildPreload, type FunctionProcess, startFunction } from './parts/deployed_function.ts';
import { type Report, rounded, runBench } from './parts/report.ts';
import { buckets, PROJECT, type Services, startServices, variablesOf } from './parts/services.ts';

const SUBSCRIPTION = drainedSubscription('site-events');

const { values } = parseArgs({
  options: {
    senders: { type: 'string', default: '400' },
    seconds: { type: 'string', default: '20' },
    json: { type: 'boolean', default: false },
  },
});

/** Stores the event, then answers: as durable, and as simple as can be. */
const perObject = `import { http } from '@google-cloud/functions-framework';
  import { Storage } from '@google-cloud/storage';
  const storage = new Storage({ projectId: 'bench', apiEndpoint: process.env.STORAGE, useAuthWithCustomEndpoint: false });
  const bucket = storage.bucket(process.env.BUCKET);
  http('handler', async (request, response) => {
    await bucket.file(request.body.event_id).save(request.rawBody, {
      resumable: false, preconditionOpts: { ifGenerationMatch: 0 },
    });
    response.json({ accepted: 1 });
  });`;

interface Collected {
  readonly acknowledged: number;
  readonly refused: number;
  /** Acknowledged and not to be found. */
  readonly missing: number;
  readonly seconds: number;
  readonly p50: number;
  readonly p99: number;
  readonly cpu: number;
  readonly peak: number;
}

await runBench('collect', async (folder): Promise<Report> => {
  const settings = functions.find(({ name }) => name === 'collect');
  if (settings === undefined) throw new Error('there is no function collect');
  const bundles = join(folder, 'bundles');
  await buildFunction(settings, bundles);
  const preload = buildPreload(folder);

  const measured = async (
    name: string,
    bundle: string,
    variables: (at: Services) => Readonly<Record<string, string>>,
    stored: (at: Services, root: string) => Promise<ReadonlySet<string>>,
  ): Promise<Collected> => {
    say(`${name}: ${values.senders} senders for ${values.seconds} s`);
    const root = join(folder, name);
    const services = await startServices(root);
    try {
      const one = await startFunction({
        bundle,
        preload,
        memoryMb: 512,
        logFile: join(folder, `${name}.log`),
        variables: variables(services.at),
      });
      try {
        // Before it is counted: connections and code are warm.
        await send(one, 1_000, new Set());
        const ids = new Set<string>();
        const before = one.cpuSeconds();
        const sent = await send(one, Number(values.seconds) * 1_000, ids);
        const cpu = one.cpuSeconds() - before;
        const there = await stored(services.at, root);
        const missing = [...ids].filter((id) => !there.has(id)).length;
        return { ...sent, acknowledged: ids.size, missing, cpu, peak: one.peakMemory() };
      } finally {
        await one.close();
      }
    } finally {
      await services.close();
    }
  };

  const grouped = await measured(
    'collect',
    join(bundles, settings.name),
    (at) => variablesOf(settings, at, ''),
    (at) => published(at),
  );
  const single = await measured(
    'object-per-event',
    await bundled('object-per-event', perObject, bundles),
    ({ storage }) => ({ STORAGE: storage, BUCKET: buckets.bronze }),
    async (_at, root) => new Set(readdirSync(join(root, 'storage', buckets.bronze))),
  );

  const row = (collector: string, one: Collected) => ({
    collector,
    acknowledged: one.acknowledged,
    'events/s': rounded(one.acknowledged / one.seconds),
    'p50 ms': rounded(one.p50),
    'p99 ms': rounded(one.p99),
    refused: one.refused,
    missing: one.missing,
    'CPU us/event': rounded((1e6 * one.cpu) / one.acknowledged),
    'peak MB': rounded(one.peak / 1e6),
  });
  const speed = (one: Collected): number => one.acknowledged / one.seconds;
  return {
    rows: [row('collect, as deployed', grouped), row('one object per event', single)],
    ratios: [
      {
        about: 'acknowledged events a second, collect : one object per event',
        ratio: speed(grouped) / speed(single),
        goal: '',
        met: true,
      },
      {
        about: 'p99 of a sender’s wait, collect : one object per event',
        ratio: grouped.p99 / single.p99,
        goal: 'under 1',
        met: grouped.p99 < single.p99,
      },
      {
        about: 'acknowledged events that are nowhere : all',
        ratio: grouped.missing / grouped.acknowledged,
        goal: '0',
        met: grouped.missing === 0,
      },
    ],
    data: { grouped, single },
  };
});

/** Senders at work for a while. @param ids receives what was acknowledged */
async function send(
  to: FunctionProcess,
  ms: number,
  ids: Set<string>,
): Promise<Pick<Collected, 'refused' | 'seconds' | 'p50' | 'p99'>> {
  const senders = Number(values.senders);
  const agent = new Agent({ keepAlive: true, maxSockets: senders });
  const waits: number[] = [];
  let refused = 0;
  const began = performance.now();
  const post = (id: string): Promise<boolean> =>
    new Promise((resolve, reject) => {
      const body = JSON.stringify({
        event_id: id,
        event_type: 'page_view',
        occurred_at: new Date().toISOString(),
        user_id: `u${id.slice(0, 3)}`,
        session_id: id.slice(4, 12),
        props: { page_url: `/products/shoes/${id}`, device: 'mobile', campaign: 'autumn' },
      });
      const asked = request(
        `${to.url}/website/site_events`,
        { method: 'POST', agent, headers: { 'content-type': 'application/json' } },
        (answer) => {
          answer.resume();
          answer.once('end', () => resolve(answer.statusCode === 200));
        },
      );
      asked.once('error', reject);
      asked.end(body);
    });
  const sender = async (): Promise<void> => {
    while (performance.now() - began < ms) {
      const id = randomBytes(8).toString('hex');
      const asked = performance.now();
      if (await post(id)) {
        ids.add(id);
        waits.push(performance.now() - asked);
      } else refused += 1;
    }
  };
  await Promise.all(Array.from({ length: senders }, sender));
  agent.destroy();
  const seconds = (performance.now() - began) / 1_000;
  const sorted = waits.sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.floor(share * (sorted.length - 1))] ?? 0;
  return { refused, seconds, p50: at(0.5), p99: at(0.99) };
}

/** Ids of all events that wait in the subscription. */
async function published(at: Services): Promise<ReadonlySet<string>> {
  const ids = new Set<string>();
  const subscriptions = pubsubSubscriptions({
    project: PROJECT,
    endpoint: at.pubsubGrpc,
    waitMs: 500,
  });
  for (;;) {
    const messages = await subscriptions.take(SUBSCRIPTION, 1_000);
    if (messages.length === 0) return ids;
    for (const { data } of messages) {
      ids.add((JSON.parse(data.toString()) as { readonly event_id: string }).event_id);
    }
  }
}
