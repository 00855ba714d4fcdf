/**
 * Pull: HubSpot's email events as they are deployed (the bundle in the functions framework: reader,
 * landing, checkpoint) against the stand-in at HubSpot's limit, as a share of what that limit
 * allows; memory for a small and a large pull; and a plain serial client in the same run.
 *
 * Stand-in, Storage (on disk, synced) and the pulling function are processes of their own. Events
 * are counted in the landed objects, by id and time, and compared with what the account holds.
 *
 *   --events N --more-events N --serial-events N    default 1,000,000, 4,000,000, 200,000
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { stepCheckpoint } from '../functions/checkpoint.ts';
import { storageObjects } from '../functions/clients/objects.ts';
import type { RunManifest } from '../functions/manifest.ts';
import { rangeOf } from '../functions/pull.ts';
import { functions } from '../functions/settings.ts';
import type { World } from '../functions/world.ts';
import { seededAccount } from '../local/outside/hubspot/seeded.ts';
import { buildFunction } from '../scripts/build.ts';
import { inRoot } from '../scripts/place.ts';
import { say } from '../scripts/progress.ts';
import { buildPreload, startFunction } from './parts/deployed_function.ts';
import { startProgram } from './parts/program.ts';
import { type Report, rounded, runBench } from './parts/report.ts';
import { serialPull } from './parts/serial_client.ts';
import { buckets, PROJECT, type Services, startServices, variablesOf } from './parts/services.ts';

const PER_INTERVAL = 190;
const PAGE = 1_000;
/** Events a second: 190 requests in 10 s, 1,000 events each. */
const CEILING = (PER_INTERVAL / 10) * PAGE;
const LATENCY_MS = 500;

const UNTIL = Date.parse('2026-11-01T00:00:00Z');
const SOURCE = { domain: 'email', source: 'email_events' } as const;
const FULL = `${SOURCE.domain}.${SOURCE.source}`;

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '1000000' },
    'more-events': { type: 'string', default: '4000000' },
    'serial-events': { type: 'string', default: '200000' },
    json: { type: 'boolean', default: false },
  },
});

interface Pulled {
  readonly seconds: number;
  /** As landed, what was read twice counted once. */
  readonly events: number;
  readonly expected: number;
  readonly requests: number;
  readonly refused: number;
  /** Bytes. */
  readonly peak: number;
  /** Processor seconds of the function: tells, on a busy machine, what it would need alone. */
  readonly cpu: number;
}

await runBench('pull', async (folder): Promise<Report> => {
  const settings = functions.find(({ name }) => name === 'pull-hubspot');
  if (settings === undefined) throw new Error('there is no function pull-hubspot');
  await buildFunction(settings, join(folder, 'bundles'));
  const preload = buildPreload(folder);

  const pull = async (events: number): Promise<Pulled> => {
    const root = join(folder, `services-${events}`);
    const at = await startServices(root);
    const log = join(folder, `pull-${events}.log`);
    const hubspot = await startStandIn(events);
    try {
      const account = span(events);
      await plan(at.at, account.from, account.to);
      const one = await startFunction({
        bundle: join(folder, 'bundles', settings.name),
        preload,
        memoryMb: 1_024,
        logFile: log,
        variables: variablesOf(settings, at.at, hubspot.url),
      });
      const began = performance.now();
      await one.push({ data: { source: FULL } });
      const seconds = (performance.now() - began) / 1_000;
      const peak = one.peakMemory();
      const cpu = one.cpuSeconds();
      await one.close();
      const stats = await hubspot.stats();
      const landed = distinctEvents(join(root, 'storage'));
      if (landed === 0) throw new Error(`nothing was landed:\n${readFileSync(log, 'utf8')}`);
      return { seconds, events: landed, expected: account.events, peak, cpu, ...stats };
    } finally {
      await Promise.all([at.close(), hubspot.close()]);
    }
  };

  const few = Number(values.events);
  const many = Number(values['more-events']);
  say(`pulling about ${few} events`);
  const small = await pull(few);
  say(`pulling about ${many} events`);
  const large = await pull(many);
  say(`pulling ${values['serial-events']} events with a serial client`);
  const standIn = await startStandIn(few);
  const serial = await serialPull({
    baseUrl: standIn.url,
    events: Number(values['serial-events']),
    file: join(folder, 'serial.ndjson.gz'),
  });
  await standIn.close();

  const speed = (one: { readonly events: number; readonly seconds: number }): number =>
    one.events / one.seconds;
  const row = (about: string, one: Pulled) => ({
    pull: about,
    events: one.events,
    missing: one.expected - one.events,
    seconds: rounded(one.seconds, 1),
    'events/s': rounded(speed(one)),
    '% of ceiling': rounded((100 * speed(one)) / CEILING, 1),
    requests: one.requests,
    refused: one.refused,
    'CPU s': rounded(one.cpu, 1),
    'peak MB': rounded(one.peak / 1e6),
  });
  const share = speed(large) / CEILING;
  const memory = large.peak / small.peak;
  return {
    rows: [
      row('deployed function', small),
      row('deployed function', large),
      {
        pull: 'serial client',
        events: serial.events,
        missing: 0,
        seconds: rounded(serial.seconds, 1),
        'events/s': rounded(speed(serial)),
        '% of ceiling': rounded((100 * speed(serial)) / CEILING, 1),
        requests: serial.requests,
        refused: 0,
        'CPU s': rounded(serial.cpu, 1),
        'peak MB': rounded(serial.peak / 1e6),
      },
    ],
    ratios: [
      {
        about: `events a second : what ${PER_INTERVAL} requests in 10 s allow (${CEILING}/s), the larger pull`,
        ratio: share,
        goal: 'at least 0.95',
        met: share >= 0.95,
      },
      {
        about: 'events a second, function : serial client',
        ratio: speed(large) / speed(serial),
        goal: '',
        met: true,
      },
      {
        about: 'processor time of the function : time of the larger pull',
        ratio: large.cpu / large.seconds,
        goal: '',
        met: true,
      },
      {
        about: `peak memory, ${large.events} events : ${small.events} events`,
        ratio: memory,
        goal: 'equal (under 1.1)',
        met: memory < 1.1,
      },
      {
        about: 'peak memory : 200 MB, the larger pull',
        ratio: large.peak / 200e6,
        goal: 'under 1',
        met: large.peak < 200e6,
      },
      {
        about: 'events of the account that did not arrive : all',
        ratio: (small.expected - small.events + large.expected - large.events) / large.expected,
        goal: '0',
        met: small.expected === small.events && large.expected === large.events,
      },
    ],
    data: { small, large, serial, ceiling: CEILING },
  };
});

interface StandIn {
  readonly url: string;
  stats(): Promise<{ readonly requests: number; readonly refused: number }>;
  close(): Promise<void>;
}

async function startStandIn(events: number): Promise<StandIn> {
  const program = await startProgram(inRoot('local/outside/hubspot/main.ts'), [
    ...['--scale', String(events), '--until', new Date(UNTIL).toISOString()],
    ...['--latency-ms', String(LATENCY_MS), '--per-interval', String(PER_INTERVAL)],
  ]);
  const url = String(program.said['url']);
  return {
    url,
    close: program.close,
    stats: async () => {
      const answer = await fetch(`${url}/_stand-in/stats`);
      const { requests, by_status } = (await answer.json()) as {
        readonly requests: number;
        readonly by_status: Readonly<Record<string, number>>;
      };
      return { requests, refused: by_status['429'] ?? 0 };
    },
  };
}

/** From the account's first event to its last one before `UNTIL`. */
function span(events: number): {
  readonly from: number;
  readonly to: number;
  readonly events: number;
} {
  const account = seededAccount({ seed: 1, until: UNTIL, events });
  let count = 0;
  for (let i = 0; i < account.events.size; i += 1)
    if (account.events.created(i) < UNTIL) count += 1;
  const day = 86_400_000;
  const from = Math.floor(account.events.created(0) / day) * day;
  return { from, to: UNTIL, events: count };
}

/** What a backfill asks for, as `./tributary pull --from --to` writes it down; nothing else is due. */
async function plan(at: Services, from: number, to: number): Promise<void> {
  const world = worldOf(at);
  const never = '2999-01-01T00:00:00.000Z';
  const windows = rangeOf(
    FULL,
    new Date(from).toISOString(),
    new Date(to).toISOString(),
    'backfill-bench',
  );
  await stepCheckpoint(world, buckets.control, SOURCE.domain, SOURCE.source, (held) => ({
    ...held,
    edges: { hot: never, 'again-72h': never, 'again-720h': never },
    open: windows,
  }));
}

/** Only what reading and writing objects takes. */
function worldOf(at: Services): World {
  return {
    objects: storageObjects({ project: PROJECT, endpoint: at.storage }),
    clock: { now: () => Date.now(), sleep: async () => {} },
    random: { next: () => 0, id: () => '0' },
  } as unknown as World;
}

/** Events in the files that run manifests list, each once; Storage keeps objects as plain files. */
function distinctEvents(storage: string): number {
  const runs = join(storage, buckets.control, 'runs', SOURCE.domain, SOURCE.source);
  const hashes: Float64Array[] = [];
  for (const run of readdirSync(runs)) {
    const manifest = JSON.parse(readFileSync(join(runs, run), 'utf8')) as RunManifest;
    for (const { name } of manifest.files) {
      const file = gunzipSync(readFileSync(join(storage, buckets.bronze, name)));
      for (const line of file.toString('utf8').split('\n')) {
        if (line === '') continue;
        const { payload } = JSON.parse(line) as { readonly payload: string };
        const { events } = JSON.parse(payload) as {
          readonly events: readonly { readonly id: string; readonly created: number }[];
        };
        hashes.push(Float64Array.from(events, ({ id, created }) => hash53(`${id} ${created}`)));
      }
    }
  }
  const all = new Float64Array(hashes.reduce((sum, some) => sum + some.length, 0));
  let next = 0;
  for (const some of hashes) {
    all.set(some, next);
    next += some.length;
  }
  all.sort();
  let distinct = 0;
  for (let i = 0; i < all.length; i += 1) if (i === 0 || all[i] !== all[i - 1]) distinct += 1;
  return distinct;
}

/** 53 bits: among four million keys two alike are expected once in a thousand runs. */
function hash53(text: string): number {
  let a = 0xdeadbeef;
  let b = 0x41c6ce57;
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    a = Math.imul(a ^ code, 2654435761);
    b = Math.imul(b ^ code, 1597334677);
  }
  a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909);
  b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909);
  return 4294967296 * (2097151 & b) + (a >>> 0);
}
