/**
 * History: a day added to 1, 10 and 100 days of history, with equally many events and equally many
 * touched days. The real transform in the local Dataproc's warm driver, over Delta on disk.
 *
 * Every measurement adds the same day to a fresh copy of the same history. The histories take
 * turns, so that whatever else the machine does falls on all of them.
 *
 *   --domain D   email (default) or commerce
 *   --sends N    a day has, about 2.5 events each, or so many events of shoppers; default 1,000
 *   --rounds N   default 5
 *   --days N     of the longest history; default 100
 */
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { storageObjects } from '../functions/clients/objects.ts';
import type { Config } from '../functions/config.ts';
import { openLanding } from '../functions/land.ts';
import {
  type BatchManifest,
  batchName,
  type Claim,
  place,
  readJson,
} from '../functions/manifest.ts';
import type { World } from '../functions/world.ts';
import { type Drivers, warmDrivers } from '../local/dataproc/drivers.ts';
import type { Batch } from '../local/dataproc/state.ts';
import { buildJobs } from '../scripts/build.ts';
import { say } from '../scripts/progress.ts';
import { ensureSpark, sparkTools } from '../scripts/setup.ts';
import { landingsOf as commerceOf } from './parts/commerce_days.ts';
import { landingsOf as emailOf } from './parts/email_days.ts';
import { median, type Report, rounded, runBench } from './parts/report.ts';
import { buckets, PROJECT, type Services, startServices } from './parts/services.ts';

const GOAL = 1.3;
/** Days of history that one batch brings: a hundred days at once would not fit everywhere. */
const DAYS_A_BATCH = 25;

const { values } = parseArgs({
  options: {
    domain: { type: 'string', default: 'email' },
    sends: { type: 'string', default: '1000' },
    rounds: { type: 'string', default: '5' },
    days: { type: 'string', default: '100' },
    json: { type: 'boolean', default: false },
  },
});
const DOMAIN = values.domain;
if (DOMAIN !== 'email' && DOMAIN !== 'commerce') {
  throw new Error(`--domain is email or commerce, not ${DOMAIN}`);
}
const sends = Number(values.sends);
const rounds = Number(values.rounds);
const longest = Number(values.days);
const histories = [1, 10, longest];

/** A lake with its own ledger. */
interface Lake {
  readonly control: string;
  readonly lake: string;
}
const lakeOf = (days: number, copy: string): Lake => ({
  control: `bench-control-${days}-${copy}`,
  lake: `bench-lake-${days}-${copy}`,
});

/** Lands days and transforms them, one batch after another. */
class Pipeline {
  readonly #world: World;
  readonly #at: Services;
  readonly #drivers: Drivers;
  #runs = 0;

  constructor(at: Services, drivers: Drivers) {
    this.#at = at;
    this.#drivers = drivers;
    this.#world = {
      objects: storageObjects({ project: PROJECT, endpoint: at.storage }),
      clock: { now: () => Date.now(), sleep: async () => {} },
      random: { next: () => 0, id: () => 'bench' },
      log: () => {},
    } as unknown as World;
  }

  /** History before the newest day, oldest days first. */
  async build(lake: Lake, days: number): Promise<BatchManifest> {
    let manifest: BatchManifest | null = null;
    for (let oldest = days; oldest > 0; oldest -= DAYS_A_BATCH) {
      const length = Math.min(DAYS_A_BATCH, oldest);
      const backs = Array.from({ length }, (_, i) => oldest - i);
      manifest = await this.add(lake, backs, manifest, days);
    }
    return manifest as BatchManifest;
  }

  /** One batch with these days, counted back from the newest one. */
  async add(
    lake: Lake,
    backs: readonly number[],
    base: BatchManifest | null,
    first?: number,
  ): Promise<BatchManifest> {
    const landings =
      DOMAIN === 'commerce'
        ? commerceOf(backs, sends, base === null)
        : emailOf(backs, sends, base === null, first);
    const runs: string[] = [];
    for (const { source, payloads } of landings) {
      runs.push(await this.#land(lake, source, payloads));
    }
    return this.#transform(lake, runs, base);
  }

  async #land(lake: Lake, source: string, payloads: readonly Buffer[]): Promise<string> {
    const config = { buckets: { ...buckets, control: lake.control } } as unknown as Config;
    this.#runs += 1;
    const run = `bench-${this.#runs}`;
    const landing = openLanding(this.#world, config, { domain: DOMAIN, source, run });
    for (const payload of payloads) await landing.append({ payload, meta: {}, records: 0 });
    await landing.finish({ window: null, remaining: null });
    return place.run(DOMAIN, source, run);
  }

  async #transform(
    lake: Lake,
    runs: readonly string[],
    base: BatchManifest | null,
  ): Promise<BatchManifest> {
    const { objects } = this.#world;
    const sequence = (base?.sequence ?? 0) + 1;
    const name = place.claim(DOMAIN, sequence, 1);
    const claim: Claim = {
      format: 1,
      domain: DOMAIN,
      sequence,
      attempt: 1,
      runs,
      recompute: [],
      base: base?.versions ?? {},
      claimed_at: new Date().toISOString(),
    };
    const write = async (object: string, value: unknown): Promise<void> => {
      const there = await objects.stat(lake.control, object);
      await objects.write(lake.control, object, Buffer.from(JSON.stringify(value)), {
        ifGeneration: there?.generation ?? '0',
        contentType: 'application/json',
      });
    };
    await write(name, claim);
    await write(place.ledger(DOMAIN), { in_flight: { sequence, attempt: 1 } });
    const id = `${lake.lake}-${batchName(DOMAIN, sequence, 1)}`;
    const ended = await this.#drivers.start(this.#batch(id, lake, name)).ended;
    const found = await readJson<BatchManifest>(
      objects,
      lake.control,
      place.batch(DOMAIN, sequence),
    );
    if (found !== null) return found.value;
    const failure = await objects.read(
      lake.control,
      `failures/${DOMAIN}/${batchName(DOMAIN, sequence, 1)}.json`,
    );
    throw new Error(`${id} failed: ${failure?.bytes.toString() ?? ended.message}`);
  }

  #batch(id: string, lake: Lake, claim: string): Batch {
    const { storage, secrets } = this.#at;
    const named: Readonly<Record<string, string>> = {
      domain: DOMAIN,
      claim,
      'control-bucket': lake.control,
      'bronze-bucket': buckets.bronze,
      'lake-bucket': lake.lake,
      'rejected-bucket': buckets.rejected,
      project: PROJECT,
      'hash-key-secret': 'hash-key',
      'code-version': 'bench',
      'storage-endpoint': storage,
      'secrets-endpoint': secrets,
    };
    return {
      uuid: id,
      outputUri: `gs://bench-code/output/${id}`,
      request: {
        mainPythonFileUri: 'gs://bench-code/jobs/transform.py',
        pythonFileUris: ['gs://bench-code/jobs.zip'],
        args: Object.entries(named).flatMap(([key, value]) => [`--${key}`, value]),
        properties: {},
      },
    } as unknown as Batch;
  }
}

function reportOf(measured: ReadonlyMap<number, readonly BatchManifest[]>): Report {
  const of = (days: number): readonly BatchManifest[] => measured.get(days) ?? [];
  const seconds = (days: number, step: string): number =>
    median(of(days).map((batch) => batch.seconds[step] ?? 0));
  const ratioOf = (days: number): number =>
    median(
      of(days).map((batch, i) => (batch.seconds['total'] ?? 0) / (of(1)[i]?.seconds['total'] ?? 0)),
    );
  const touched = (days: number): number =>
    of(days)[0]?.tables.reduce((sum, { partitions }) => sum + (partitions?.length ?? 1), 0) ?? 0;
  const steps = [...new Set(of(longest).flatMap((batch) => Object.keys(batch.seconds)))];
  const rows: Record<string, string | number>[] = steps.map((step) => ({
    'step, seconds': step,
    ...Object.fromEntries(
      histories.map((days) => [`${days} days`, rounded(seconds(days, step), 2)]),
    ),
    more: rounded(seconds(longest, step) - seconds(1, step), 2),
  }));
  rows.push({
    'step, seconds': '(partitions written)',
    ...Object.fromEntries(histories.map((days) => [`${days} days`, touched(days)])),
    more: touched(longest) - touched(1),
  });
  return {
    rows,
    ratios: histories.slice(1).map((days) => ({
      about: `time of a batch that adds a day, ${days} days of history : 1 day`,
      ratio: ratioOf(days),
      goal: days === longest ? `under ${GOAL}` : '',
      met: ratioOf(days) < GOAL,
    })),
    data: Object.fromEntries(
      histories.map((days) => [days, of(days).map((batch) => batch.seconds)]),
    ),
  };
}

await runBench('history', async (folder): Promise<Report> => {
  await ensureSpark();
  const copies = ['built', ...Array.from({ length: rounds }, (_, round) => String(round))];
  const lakes = histories.flatMap((days) => copies.map((copy) => lakeOf(days, copy)));
  const names = [...lakes.flatMap(({ control, lake }) => [control, lake]), 'bench-code'];
  const root = join(folder, 'storage');
  const services = await startServices(folder, names);
  await buildJobs(join(root, 'bench-code'));
  const drivers = warmDrivers({
    ...sparkTools,
    scratch: join(folder, 'spark'),
    buckets: Object.fromEntries(
      [...Object.values(buckets), ...names].map((name) => [name, join(root, name)]),
    ),
  });
  try {
    const spark = new Pipeline(services.at, drivers);
    const bases = new Map<number, BatchManifest>();
    for (const days of histories) {
      say(`building ${days} days of history`);
      bases.set(days, await spark.build(lakeOf(days, 'built'), days));
    }
    const measured = new Map<number, BatchManifest[]>(histories.map((days) => [days, []]));
    for (let round = 0; round < rounds; round += 1) {
      say(`adding a day, round ${round + 1} of ${rounds}`);
      const turn = [...histories.slice(round % 3), ...histories.slice(0, round % 3)];
      for (const days of turn) {
        const to = lakeOf(days, String(round));
        const from = lakeOf(days, 'built');
        mkdirSync(join(root, to.lake), { recursive: true });
        cpSync(join(root, from.lake), join(root, to.lake), { recursive: true });
        const base = bases.get(days) as BatchManifest;
        measured.get(days)?.push(await spark.add(to, [0], base));
      }
    }
    return reportOf(measured);
  } finally {
    await drivers.close();
    await services.close();
  }
});
