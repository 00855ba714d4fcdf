/** Pullers that die, overtake each other, are slow or meet refusals: what becomes of their windows. */
import { expect, test, vi } from 'vitest';
import type { Checkpoint } from '../../functions/checkpoint.ts';
import type { RunManifest } from '../../functions/manifest.ts';
import { addWindows, rangeOf } from '../../functions/pull.ts';
import { DAY_MS, json } from './account.ts';
import { MINUTE_MS, type Pipeline, START } from './pipeline.ts';
import { scenario } from './scenario.ts';
import type { Fates, Process } from './simulation.ts';

vi.mock('../../schemas/rendered/catalog.ts', () => import('./contracts.ts'));
vi.mock('../../functions/readers/hubspot_objects.ts', () => ({ hubspotObjects: {} }));

const isPuller = (process: Process): boolean => process.name === 'pull-hubspot';
const askForPull = ({ deliveries }: Pipeline): void =>
  deliveries.publish('pull-hubspot', { data: { source: 'email.email_events' }, attributes: {} });
const checkpointOf = async ({ buckets }: Pipeline): Promise<Checkpoint> =>
  (await buckets.json<Checkpoint>('control', 'checkpoints/email/email_events.json')) as Checkpoint;
const manifestsOf = async ({ buckets }: Pipeline): Promise<readonly RunManifest[]> => {
  const found = buckets.look('control', 'runs/email/email_events/');
  const read = found.map(({ name }) => buckets.json<RunManifest>('control', name));
  return (await Promise.all(read)).filter((manifest) => manifest !== null);
};

test('the manifest that was created first counts, though it holds less than ours', async () => {
  let ours: Process | null = null;
  let theirs: Process | null = null;
  let pipeline: Pipeline;
  const fates: Fates = ({ service, verb, what }, process) => {
    const landsIt = service === 'storage' && verb === 'write' && what.startsWith('runs/');
    if (!isPuller(process) || !landsIt) return 'plain';
    if (ours === null) {
      // Everything is read; the manifest comes after another puller's, whose lease began meanwhile.
      ours = process;
      process.frozenUntil = pipeline.simulation.now + 4 * MINUTE_MS;
      pipeline.simulation.after(2 * MINUTE_MS, () => askForPull(pipeline));
      return 'plain';
    }
    if (theirs !== null || process === ours) return 'plain';
    theirs = process;
    return 'cut_after';
  };
  const done = await scenario({
    storm: { fates },
    prepare: (prepared) => {
      pipeline = prepared;
      prepared.account.answers = (url, process) =>
        ours !== null && process !== ours && theirs === null && url.searchParams.has('offset')
          ? json(403, { category: 'MISSING_SCOPES' })
          : null;
    },
  });
  expect(done.logged.get('attempt_adopted')).toBeGreaterThanOrEqual(1);
  const [first] = (await manifestsOf(done)).filter(({ remaining }) => remaining !== null);
  expect(first?.records).toBeGreaterThan(0);
});

test('a manifest is refused while other pages of its window are on their way', async () => {
  let refused = 0;
  const done = await scenario({
    events: 500,
    page: 1,
    settled: 90,
    storm: {
      fates: ({ service, verb, what }, process) => {
        const landsIt = service === 'storage' && verb === 'write' && what.startsWith('runs/');
        if (!isPuller(process) || !landsIt || refused >= 2) return 'plain';
        refused += 1;
        return 'refused';
      },
    },
    prepare: ({ account, simulation }) => {
      // A slice of eight minutes ends in the middle of the window.
      account.slowness = () => simulation.random.between(20_000, 29_000);
      simulation.after(45 * MINUTE_MS, () => {
        account.slowness = () => 0;
      });
    },
  });
  expect(refused).toBe(2);
  expect((await manifestsOf(done)).some(({ remaining }) => remaining !== null)).toBe(true);
});

test('a killed puller holds its source back for a minute, not for a slice', async () => {
  let killedAt = 0;
  let pipeline: Pipeline;
  const done = await scenario({
    storm: {
      fates: ({ service, what }, process) => {
        const reads = service === 'hubspot' && what.includes('offset=');
        if (!isPuller(process) || !reads || killedAt > 0) return 'plain';
        killedAt = pipeline.simulation.now;
        pipeline.simulation.after(90_000, () => askForPull(pipeline));
        return 'cut_before';
      },
    },
    prepare: (prepared) => {
      pipeline = prepared;
      // Its own message comes again at once, and meets the lease; nothing else comes for a while.
      prepared.deliveries.drops = (topic) =>
        topic === 'sweep-tick' && prepared.simulation.now < killedAt + 12 * MINUTE_MS;
    },
  });
  const [first] = (await manifestsOf(done)).map(({ finished_at }) => Date.parse(finished_at));
  expect(first).toBeGreaterThan(killedAt);
  expect((first ?? 0) - killedAt).toBeLessThan(2.5 * MINUTE_MS);
});

test('a puller that is slow keeps its source to itself as long as pages come', async () => {
  const asked: { readonly at: number; readonly by: number }[] = [];
  const done = await scenario({
    events: 300,
    page: 2,
    settled: 60,
    prepare: (prepared) => {
      const { account, simulation } = prepared;
      account.slowness = () => (simulation.now < START + 20 * MINUTE_MS ? 25_000 : 0);
      account.answers = (_, process) => {
        asked.push({ at: simulation.now, by: process.id });
        return null;
      };
      for (const minutes of [1.7, 2.2, 2.7, 3.2]) {
        simulation.after(minutes * MINUTE_MS, () => askForPull(prepared));
      }
    },
  });
  expect(asked.length).toBeGreaterThan(8);
  expect(done.logged.get('pull_busy')).toBeGreaterThanOrEqual(3);
  const ended = new Set<number>();
  for (const [i, { by }] of asked.entries()) {
    expect(ended).not.toContain(by);
    const next = asked[i + 1];
    if (next !== undefined && next.by !== by) ended.add(by);
  }
});

test('what was read before the source refused is landed, and not asked for again', async () => {
  const ends: number[] = [];
  let refusedAt = 0;
  let trouble: Checkpoint['trouble'] = null;
  let landed: readonly RunManifest[] = [];
  await scenario({
    prepare: (prepared) => {
      const { account, simulation } = prepared;
      account.answers = (url) => {
        ends.push(Number(url.searchParams.get('endTimestamp')));
        if (refusedAt > 0 || ends.length < 3) return null;
        refusedAt = ends.length;
        simulation.after(20_000, async () => {
          trouble = (await checkpointOf(prepared)).trouble;
          landed = await manifestsOf(prepared);
        });
        return json(403, { category: 'MISSING_SCOPES' });
      };
    },
  });
  expect(refusedAt).toBe(3);
  expect(trouble).toMatchObject({ code: 'hubspot_scope' });
  expect(landed).toHaveLength(1);
  expect(landed[0]?.records).toBeGreaterThanOrEqual(2 * 5);
  const next = Date.parse(landed[0]?.remaining?.to ?? '');
  // The tick after it goes on where the piece ends; the new hot window is read beside it.
  const [first = 0] = ends;
  expect(ends.slice(refusedAt)).toContain(next - 1);
  expect(ends.slice(refusedAt)).not.toContain(first);
});

test('a window that fails does not end the others, though its new place cannot be written', async () => {
  const windows = rangeOf(
    'email.email_events',
    new Date(START - 12 * DAY_MS).toISOString(),
    new Date(START - 2 * DAY_MS).toISOString(),
    'backfill-1',
  );
  const bad = String(Date.parse(windows[0]?.from ?? ''));
  let failedAt = 0;
  let now = (): number => 0;
  let after: Checkpoint | null = null;
  await scenario({
    storm: {
      fates: ({ service, verb, what }, process) => {
        const writes = service === 'storage' && verb === 'write' && what.startsWith('checkpoints/');
        if (!isPuller(process) || !writes || failedAt === 0) return 'plain';
        return now() - failedAt < 3_000 ? 'refused' : 'plain';
      },
    },
    prepare: (prepared) => {
      const { account, simulation, worldOf, config } = prepared;
      now = () => simulation.now;
      void addWindows(
        worldOf(simulation.spawn('operator')),
        config,
        { domain: 'email', source: 'email_events' },
        windows,
      );
      account.slowness = (url) => (url.searchParams.get('startTimestamp') === bad ? 0 : 10_000);
      account.answers = (url) => {
        if (failedAt > 0 || url.searchParams.get('startTimestamp') !== bad) return null;
        failedAt = simulation.now;
        const look = async (): Promise<void> => {
          after = await checkpointOf(prepared);
          if (after.lease !== null && simulation.now - failedAt < 5 * MINUTE_MS) {
            simulation.after(1_000, look);
          }
        };
        simulation.after(5_000, look);
        return json(400, { message: 'not today' });
      };
    },
  });
  // By whom everything was begun it was also ended: the failed window alone is left, with the reason.
  expect(after).toMatchObject({ lease: null, trouble: { code: 'hubspot_request' } });
  const left = (after as Checkpoint | null)?.open ?? [];
  expect(left).toEqual([windows[0]]);
});

test('what was asked for earlier does not win because it was landed later', async () => {
  const created = START - 40 * MINUTE_MS;
  const obsoleted = START + 20_000;
  const iso = (ms: number): string => new Date(ms).toISOString();
  const from = START - 120 * MINUTE_MS;
  const again = rangeOf('email.email_events', iso(from), iso(START - 20 * MINUTE_MS), 'backfill-1');
  let asked = 0;
  const done = await scenario({
    events: 10,
    settled: 46,
    // Before the window is read once more.
    patience: 50,
    prepare: (prepared) => {
      const { account, simulation, deliveries, worldOf, config } = prepared;
      const sent = { id: 'lone', created, type: 'SENT', visible: created, poison: false };
      account.log.push({ ...sent, obsoleted });
      account.log.sort((a, b) => b.created - a.created || (a.id < b.id ? 1 : -1));
      deliveries.drops = (topic) => topic === 'pull-hubspot' && simulation.now < START + 7_000;
      const operator = worldOf(simulation.spawn('operator'));
      void addWindows(operator, config, { domain: 'email', source: 'email_events' }, again);
      simulation.after(8_000, () => askForPull(prepared));
      // The hot window's answer is older and comes later than the answer of the other one.
      const isAgain = (url: URL): boolean =>
        url.searchParams.get('startTimestamp') === String(from);
      account.slowness = (url) => (isAgain(url) ? 0 : 25_000);
      account.answers = (url) => {
        asked += 1;
        return isAgain(url) && simulation.now < obsoleted ? json(502, {}) : null;
      };
    },
  });
  expect(asked).toBeGreaterThan(3);
  const rows = done.tables.rows.get('email.email_send') ?? [];
  expect(rows.filter((row) => row['send_id'] === 'lone')).toEqual([]);
});
