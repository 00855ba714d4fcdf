/**
 * Landing: events per processor second from a full subscription to durable objects, by the drain as
 * it is deployed, next to a client that only pulls and acknowledges, and to one push request per
 * event through the functions framework to a function that lands nothing.
 *
 * Same broker, same events, one contender after the other, each over a subscription filled anew.
 * Broker and Storage are one process of their own, synced to disk as ever; the drain's events are
 * counted in the landed objects, by id and time.
 *
 *   --events N    default 1,000,000; memory is compared with a drain of a quarter of them
 *   --pushed N    for the push contender; default 50,000
 *   --alone       only the drain: its memory, and that nothing is missing
 */

import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { PubSub } from '@google-cloud/pubsub';
import type { RunManifest } from '../functions/manifest.ts';
import { drainedSubscription, functions } from '../functions/settings.ts';
import { siteWorld } from '../local/outside/site/world.ts';
import { buildFunction } from '../scripts/build.ts';
import { inRoot, root as projectRoot } from '../scripts/place.ts';
import { say } from '../scripts/progress.ts';
import { publish } from '../scripts/publish.ts';
import { bundled } from './parts/bundle.ts';
import { buildPreload, startFunction } from './parts/deployed_function.ts';
import { type Report, rounded, runBench } from './parts/report.ts';
import { buckets, PROJECT, type Services, startServices, variablesOf } from './parts/services.ts';

const SOURCE = { domain: 'website', source: 'site_events' } as const;
const TOPIC = 'site-events';
const SUBSCRIPTION = drainedSubscription(TOPIC);
const UNTIL = Date.parse('2026-11-01T00:00:00Z');

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '1000000' },
    pushed: { type: 'string', default: '50000' },
    alone: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});

/** A function that reads each event and keeps a count of them: less than any landing would do. */
const counting = `import { http } from '@google-cloud/functions-framework';
  let events = 0;
  http('handler', (request, response) => {
    if (request.method === 'GET') return void response.json({ events });
    JSON.parse(Buffer.from(request.body.message.data, 'base64').toString());
    events += 1;
    response.status(204).end();
  });`;

/** What became of one contender. */
interface Done {
  readonly events: number;
  readonly missing: number;
  readonly seconds: number;
  /** Processor seconds. */
  readonly cpu: number;
  /** Bytes. */
  readonly peak: number;
}

await runBench('landing', async (folder): Promise<Report> => {
  const drain = functions.find(({ name }) => name === 'drain');
  if (drain === undefined) throw new Error('there is no function drain');
  await buildFunction(drain, join(folder, 'bundles'));
  const preload = buildPreload(folder);
  const many = Number(values.events);
  const few = Math.ceil(many / 4);

  /** Services of its own, so that nothing of the contender before is in the way. */
  const over = async <T>(
    name: string,
    events: number,
    work: (at: Services, root: string) => Promise<T>,
  ): Promise<T> => {
    const root = join(folder, name);
    const services = await startServices(root);
    try {
      say(`${name}: publishing ${events} events`);
      await fill(services.at, events);
      say(`${name}: at work`);
      return await work(services.at, root);
    } finally {
      await services.close();
    }
  };

  const drained = (name: string, events: number): Promise<Done> =>
    over(name, events, async (at, root) => {
      const one = await startFunction({
        bundle: join(folder, 'bundles', drain.name),
        preload,
        memoryMb: 1_024,
        logFile: join(folder, `${name}.log`),
        variables: variablesOf(drain, at, ''),
      });
      try {
        const began = performance.now();
        const before = one.cpuSeconds();
        let landed = 0;
        // Nobody delivers what a slice asks for here: it is asked for until nothing comes.
        for (;;) {
          await one.push({ data: { source: `${SOURCE.domain}.${SOURCE.source}` } });
          const now = manifests(root).reduce((sum, { records }) => sum + records, 0);
          if (now === landed || now >= events) break;
          landed = now;
        }
        const seconds = (performance.now() - began) / 1_000;
        const cpu = one.cpuSeconds() - before;
        const found = distinctMessages(root);
        return { events: found, missing: events - found, seconds, cpu, peak: one.peakMemory() };
      } finally {
        await one.close();
      }
    });

  const nulled = (how: 'stream' | 'unary'): Promise<Done> =>
    over(`null-${how}`, many, async (at) => {
      const words = [at.pubsubGrpc, PROJECT, SUBSCRIPTION, String(many), how];
      const figures = await lastLine(inRoot('bench/parts/null_client.ts'), words);
      return { missing: 0, ...(figures as Omit<Done, 'missing'>) };
    });

  const small = await drained('drain-few', few);
  const large = await drained('drain', many);
  const memory = large.peak / small.peak;
  const safe: Report = {
    rows: [row('drain, as deployed', small), row('drain, as deployed', large)],
    ratios: [
      {
        about: `peak memory, ${large.events} events : ${small.events} events`,
        ratio: memory,
        goal: 'equal (under 1.25)',
        met: memory < 1.25,
      },
      {
        about: 'published events that are in no landed object : all',
        ratio: (small.missing + large.missing) / (few + many),
        goal: '0',
        met: small.missing === 0 && large.missing === 0,
      },
    ],
    data: { small, large },
  };
  if (values.alone) return safe;

  const stream = await nulled('stream');
  const unary = await nulled('unary');
  const pushes = Number(values.pushed);
  const bundle = await bundled('push', counting, join(folder, 'bundles'));
  const pushed = await over('push', 0, (at) => push(at, bundle, preload, folder, pushes));
  const toNull = speed(large) / speed(stream);
  const toPush = speed(large) / speed(pushed);
  return {
    rows: [
      ...safe.rows,
      row('null client, streaming', stream),
      row('null client, unary pulls', unary),
      row('a push per event, landing nothing', pushed),
    ],
    ratios: [
      {
        about: 'events per CPU second, drain : null client (streaming, as its manual shows it)',
        ratio: toNull,
        goal: 'at least 0.75',
        met: toNull >= 0.75,
      },
      {
        about: 'events per CPU second, drain : null client (unary pulls)',
        ratio: speed(large) / speed(unary),
        goal: '',
        met: true,
      },
      {
        about: 'events per CPU second, drain : one push request per event',
        ratio: toPush,
        goal: 'at least 5',
        met: toPush >= 5,
      },
      ...safe.ratios,
    ],
    data: { small, large, stream, unary, pushed },
  };
});

function speed({ events, cpu }: Done): number {
  return events / cpu;
}

function row(contender: string, done: Done): Report['rows'][number] {
  return {
    contender,
    events: done.events,
    missing: done.missing,
    seconds: rounded(done.seconds, 1),
    'CPU s': rounded(done.cpu, 2),
    'events/CPU s': rounded(speed(done)),
    'peak MB': rounded(done.peak / 1e6),
  };
}

/** Events of a made-up site, again and again: what they say does not matter to anybody here. */
function* site(events: number): Generator<Buffer> {
  const { published } = siteWorld({ seed: 1, scale: 20_000, until: UNTIL });
  const texts = [...published()].map((event) => `${JSON.stringify(event)}\n`);
  for (let i = 0; i < events; i += 500) {
    const part = Math.min(500, events - i);
    yield Buffer.from(
      Array.from({ length: part }, (_, j) => texts[(i + j) % texts.length]).join(''),
    );
  }
}

async function* lines(events: number): AsyncGenerator<Buffer> {
  yield* site(events);
}

async function fill(at: Services, events: number): Promise<void> {
  if (events === 0) return;
  const done = await publish(
    { topic: TOPIC, input: lines(events) },
    { projectId: PROJECT, apiEndpoint: at.pubsubGrpc },
  );
  if (done.published !== events) throw new Error(`${done.failed} events were not published`);
}

/** Run manifests; Storage keeps objects as plain files. */
function manifests(root: string): readonly RunManifest[] {
  const folder = join(root, 'storage', buckets.control, 'runs', SOURCE.domain, SOURCE.source);
  try {
    return readdirSync(folder).map(
      (run) => JSON.parse(readFileSync(join(folder, run), 'utf8')) as RunManifest,
    );
  } catch {
    // Nothing has been landed yet.
    return [];
  }
}

/** Messages in the files that run manifests list, each once. */
function distinctMessages(root: string): number {
  const ids = new Set<number>();
  for (const { files } of manifests(root)) {
    for (const { name } of files) {
      const bytes = gunzipSync(readFileSync(join(root, 'storage', buckets.bronze, name)));
      for (const line of bytes.toString('utf8').split('\n')) {
        if (line === '') continue;
        const { meta } = JSON.parse(line) as { readonly meta: { readonly message_id: string } };
        ids.add(Number(meta.message_id));
      }
    }
  }
  return ids.size;
}

/** Runs a program to its end. @returns its last line, JSON */
async function lastLine(file: string, words: readonly string[]): Promise<unknown> {
  const child = spawn(process.execPath, [file, ...words], {
    cwd: projectRoot,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, METADATA_SERVER_DETECTION: 'none' },
  });
  let last = '';
  for await (const line of createInterface({ input: child.stdout })) last = line;
  return JSON.parse(last);
}

/** A push subscription to the counting function, filled before it may push. */
async function push(
  at: Services,
  bundle: string,
  preload: string,
  folder: string,
  events: number,
): Promise<Done> {
  const one = await startFunction({
    bundle,
    preload,
    memoryMb: 512,
    logFile: join(folder, 'push.log'),
    variables: {},
  });
  const client = new PubSub({ apiEndpoint: at.pubsubGrpc, projectId: PROJECT });
  try {
    const [subscription] = await client.topic(TOPIC).createSubscription('pushed');
    await fill(at, events);
    const began = performance.now();
    const before = one.cpuSeconds();
    await subscription.modifyPushConfig({ pushEndpoint: `${one.url}/` });
    let there = 0;
    while (there < events) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      const answer = (await (await fetch(one.url)).json()) as { readonly events: number };
      there = answer.events;
    }
    const seconds = (performance.now() - began) / 1_000;
    const cpu = one.cpuSeconds() - before;
    return { events, missing: 0, seconds, cpu, peak: one.peakMemory() };
  } finally {
    await client.close();
    await one.close();
  }
}
