/** Drains that die anywhere, overlap, lose answers or come too late: what becomes of the messages. */
import { expect, test, vi } from 'vitest';
import { type DrainPlan, drain } from './drained.ts';
import { drawnFates, fate, fateAt, faultOf } from './fates.ts';
import { type Fate, type Fates, Seeded } from './simulation.ts';

vi.mock('../../schemas/rendered/catalog.ts', () => import('./topics_contracts.ts'));

const env = process.env;

/** Three minutes of events, with poison and copies; several landings in most slices. */
const small = (fates: Fates, trace = false): DrainPlan => ({
  seed: 4,
  trace,
  events: 60,
  minutes: 3,
  doubled: 8,
  poison: 8,
  most: 5,
  limit: 12,
  fates,
});

test('in fair weather every message is landed once, acknowledged, and kept byte for byte', async () => {
  const { lines, published, topics, runs } = await drain(small(() => 'plain'));
  expect(lines).toHaveLength(published.length);
  expect(topics.delivered).toBe(published.length);
  expect(runs.every(({ run }) => /^drain-\d{17}-[0-9a-f]{16}$/.test(run))).toBe(true);
  const [keyed] = lines.filter(({ meta }) => meta.ordering_key === 'k1');
  expect(keyed?.meta).toEqual({
    message_id: expect.stringMatching(/^\d+$/),
    published_at: expect.stringMatching(/^2026-11-21T05:4\d:\d\d\.\d{3}Z$/),
    attributes: keyed?.meta.attributes,
    ordering_key: 'k1',
  });
  const foreign = lines.filter((line) => line.payload_base64 !== undefined);
  expect(foreign.map((line) => line.payload_base64)).toContain('//4Aew==');
  // Nothing but attributes is a message too; its contract will refuse it, with a reason.
  expect(lines.filter((line) => line.payload === '')).not.toHaveLength(0);
});

test('one fault at every call: nothing lost, nothing acknowledged too early', async () => {
  let calls = 0;
  const seen = new Set<string>();
  await drain(
    small(({ service, verb }) => {
      calls += 1;
      seen.add(`${service}.${verb}`);
      return 'plain';
    }),
  );
  expect([...seen].sort()).toEqual(['pubsub.acknowledge', 'pubsub.take', 'storage.write']);
  const every = env['ALL'] === undefined ? 2 : 1;
  const kinds: readonly Fate[] = ['cut_before', 'cut_after', 'answer_lost', 'refused'];
  const broken: string[] = [];
  for (const kind of kinds) {
    for (let at = 1; at <= calls && broken.length < 3; at += every) {
      const fault = await faultOf((trace) => drain(small(fateAt(at, kind), trace)));
      if (fault !== null) broken.push(`${kind} at call ${at}: ${fault}`);
    }
  }
  expect(broken.join('\n\n')).toBe('');
});

test('an acknowledgement that is lost has its messages landed again, and merged', async () => {
  const { lines, published } = await drain(small(fate('refused', 'pubsub.acknowledge', 2)));
  expect(lines.length).toBeGreaterThan(published.length);
});

test('a process that stands still past its lease acknowledges nothing that is not durable', async () => {
  const { lines, published } = await drain({
    ...small(fate('frozen', 'storage.write', 2)),
    // It goes on after its timeout, unseen.
    mail: { zombies: 1 },
  });
  expect(lines.length).toBeGreaterThan(published.length);
});

test('two drains at once share the backlog', async () => {
  const { lines, published, runs } = await drain({
    ...small(() => 'plain'),
    events: 200,
    minutes: 0.5,
    limit: 1_000,
    prepare: ({ deliveries, simulation }) => {
      simulation.after(31_000, () => {
        for (let i = 0; i < 2; i += 1) {
          deliveries.publish('drain', { data: { source: 'shop.events' }, attributes: {} });
        }
      });
    },
  });
  expect(runs.length).toBeGreaterThanOrEqual(2);
  expect(runs.filter(({ records }) => records > 20).length).toBeGreaterThanOrEqual(2);
  expect(lines).toHaveLength(published.length);
});

test('a slice that ends with a backlog asks for the next at once', async () => {
  const asked: unknown[] = [];
  const { runs } = await drain({
    ...small(() => 'plain'),
    events: 2_500,
    minutes: 0.9,
    most: 3,
    limit: 1_000,
    prepare: ({ deliveries }) => {
      deliveries.drops = (_topic, { data }) => {
        if (data['continues'] !== undefined) asked.push(data['continues']);
        return false;
      };
    },
  });
  expect(asked).toContain(1);
  // The schedule begins others: were there no end, each minute would add one that goes on.
  expect(Math.max(...asked.map(Number))).toBeLessThanOrEqual(2);
  expect(runs.length).toBeGreaterThanOrEqual(2);
});

test('messages that waited for days arrive with the first tick that works', async () => {
  const { lines, published } = await drain({
    ...small(() => 'plain'),
    prepare: ({ deliveries, simulation }) => {
      const back = simulation.now + 6 * 24 * 60 * 60_000;
      deliveries.drops = () => simulation.now < back;
    },
    stormy: 6 * 24 * 60,
  });
  expect(lines).toHaveLength(published.length);
});

test('seeded schedules: everything goes wrong at once', { timeout: 120_000 }, async () => {
  const count = Number(env['SEEDS'] ?? 400);
  const first = Number(env['SEED'] ?? 1);
  const broken: string[] = [];
  let repeated = 0;
  for (let seed = first; seed < first + (env['SEED'] === undefined ? count : 1); seed += 1) {
    const fault = await faultOf(
      (trace) => drain(stormy(seed, trace)),
      ({ lines, published }) => {
        if (lines.length > published.length) repeated += 1;
      },
    );
    if (fault !== null && broken.push(fault) >= 3) break;
  }
  expect(broken.join('\n\n')).toBe('');
  // A run in which nothing came twice proves little.
  if (env['SEED'] === undefined) expect(repeated).toBeGreaterThan(count / 10);
});

function stormy(seed: number, trace: boolean): DrainPlan {
  const random = new Seeded(seed * 7919);
  const fates = drawnFates(random, [
    ['cut_before', random.rate(0.05)],
    ['cut_after', random.rate(0.05)],
    ['refused', random.rate(0.05)],
    ['answer_lost', random.rate(0.05)],
    ['repeated', random.rate(0.1)],
    ['late_effect', random.rate(0.02)],
    ['late_answer', random.rate(0.02)],
    ['frozen', random.rate(0.02)],
  ]);
  return {
    seed,
    trace,
    events: 20 + (seed % 7) * 15,
    minutes: 6,
    stormy: 8,
    doubled: seed % 10,
    poison: seed % 6,
    most: [2, 7, 1_000][seed % 3] as number,
    limit: [3, 20, 1_000][(seed >> 2) % 3] as number,
    fates,
    mail: {
      duplicated: random.rate(0.6),
      delayed: random.rate(0.3),
      longestDelay: 120_000,
      lost: random.rate(0.3),
      unacknowledged: random.rate(0.2),
      zombies: random.next(),
    },
  };
}
