/** The faults that people name, one by one, each with what must come of it. */
import { afterEach, expect, test, vi } from 'vitest';
import type { Checkpoint } from '../../functions/checkpoint.ts';
import type { Ledger } from '../../functions/ledger.ts';
import { DAY_MS } from './account.ts';
import { calm } from './delivery.ts';
import { fate } from './fates.ts';
import { recompute, replayBronze, replayFailed } from './operator.ts';
import { MINUTE_MS, type Pipeline, START } from './pipeline.ts';
import { scenario } from './scenario.ts';

vi.mock('../../schemas/rendered/catalog.ts', () => import('./contracts.ts'));
vi.mock('../../functions/readers/hubspot_objects.ts', () => ({ hubspotObjects: {} }));

afterEach(() => {
  vi.restoreAllMocks();
});

const minutesOf = (pipeline: Pipeline, name: string): number =>
  ((pipeline.buckets.stat('control', name)?.updated ?? Number.NaN) - START) / MINUTE_MS;
const batch = (sequence: number): string =>
  `batches/email/${String(sequence).padStart(10, '0')}.json`;
const record = (sequence: number): string =>
  `loads/email/${String(sequence).padStart(10, '0')}.json`;
const ledgerOf = async (pipeline: Pipeline): Promise<Ledger> =>
  (await pipeline.buckets.json<Ledger>('control', 'ledgers/email.json')) as Ledger;

test('every notification of a run manifest is lost: ticks start the batches', async () => {
  const pipeline = await scenario({
    prepare: ({ deliveries }) => {
      deliveries.drops = (topic) => topic === 'run-landed';
    },
  });
  expect(pipeline.tables.fence('email')).toBeGreaterThanOrEqual(2);
});

test('a lost notification of a batch: the sweep loads it within two sweeps', async () => {
  const pipeline = await scenario({
    prepare: ({ deliveries }) => {
      deliveries.drops = (topic) => topic === 'batch-transformed';
    },
  });
  expect(pipeline.logged.get('load_resumed')).toBeGreaterThanOrEqual(2);
  for (const sequence of [1, 2]) {
    const waited = minutesOf(pipeline, record(sequence)) - minutesOf(pipeline, batch(sequence));
    expect(waited).toBeLessThanOrEqual(20);
  }
});

test.each(['cut_before', 'cut_after'] as const)(
  'a driver that dies around its manifest (%s)',
  async (kind) => {
    const pipeline = await scenario({
      storm: { fates: fate(kind, 'spark storage.write batches/') },
    });
    const attempts = [...pipeline.spark.batches.keys()].filter((id) => id.startsWith('email-1-'));
    // With its manifest written the batch counts, whatever became of the driver.
    expect(attempts).toHaveLength(kind === 'cut_before' ? 2 : 1);
  },
);

test('batches that never ran are tried again whole, and nobody is blamed', async () => {
  const pipeline = await scenario({
    prepare: ({ spark }) => {
      let refused = 3;
      spark.starts = () => refused-- <= 0;
    },
  });
  const attempts = [...pipeline.spark.batches.keys()].filter((id) => id.startsWith('email-1-'));
  expect(attempts).toHaveLength(4);
  expect(pipeline.logged.get('run_set_aside')).toBeUndefined();
  const claims = await Promise.all(
    ['email-1-1', 'email-1-4'].map((id) =>
      pipeline.buckets.json<{ runs: string[] }>('control', `claims/email/${id}.json`),
    ),
  );
  expect(claims[1]?.runs).toEqual(claims[0]?.runs);
});

test('a poison run is isolated by halving and set aside; its domain goes on', async () => {
  let failed: readonly string[] = [];
  let fence = 0;
  const pipeline = await scenario({
    poison: 1,
    patience: 400,
    prepare: (prepared) => {
      prepared.simulation.after(78 * MINUTE_MS, () => {
        failed = prepared.buckets.look('control', 'failed/email/').map(({ name }) => name);
        fence = prepared.tables.fence('email');
        // A person mends the job and replays what was set aside.
        prepared.spark.mended = true;
        void replayFailed(prepared);
      });
    },
  });
  expect(failed).toHaveLength(1);
  expect(fence).toBeGreaterThanOrEqual(1);
  expect(pipeline.tables.fence('email')).toBeGreaterThan(fence);
});

test('three runs set aside in a row: the domain waits for a person, and goes on with the mended job', async () => {
  let waiting = 0;
  let failed = 0;
  let setAside = 0;
  const pipeline = await scenario({
    // All of the account breaks the job: the three hot runs, and then the second reading of them.
    poison: 40,
    patience: 900,
    prepare: (prepared) => {
      prepared.simulation.after(240 * MINUTE_MS, () => {
        waiting = prepared.logged.get('domain_waits') ?? 0;
        failed = prepared.buckets.look('control', 'failed/email/').length;
        prepared.spark.mended = true;
        void ledgerOf(prepared).then((ledger) => (setAside = ledger.set_aside));
      });
      prepared.simulation.after(320 * MINUTE_MS, () => void replayFailed(prepared));
    },
  });
  expect(waiting).toBeGreaterThanOrEqual(1);
  expect({ failed, setAside }).toEqual({ failed: 3, setAside: 3 });
  expect((await ledgerOf(pipeline)).set_aside).toBe(0);
});

test('a load that was committed and whose answer was lost is adopted, not repeated', async () => {
  const pipeline = await scenario({
    storm: { fates: fate('answer_lost', 'load bigquery.script commit_email_1') },
  });
  const commits = [...pipeline.tables.jobs.keys()].filter((id) => id.startsWith('commit_email_1_'));
  expect(commits).toHaveLength(1);
});

test.each(['refused', 'cut_before', 'answer_lost'] as const)(
  'the ledger moved and the load record was not written (%s)',
  async (kind) => {
    const pipeline = await scenario({ storm: { fates: fate(kind, 'load storage.write loads/') } });
    expect(pipeline.buckets.stat('control', record(1))).not.toBeNull();
  },
);

test('the record of a batch that a sweep loaded is lost, and the next batch has begun', async () => {
  const pipeline = await scenario({
    storm: { fates: fate('refused', 'sweep storage.write loads/') },
    prepare: ({ deliveries }) => {
      deliveries.drops = (topic) => topic === 'batch-transformed';
    },
  });
  expect(pipeline.buckets.stat('control', record(1))).not.toBeNull();
});

test('a send that turns out to be dropped leaves its day empty', async () => {
  const at = START - 40 * MINUTE_MS;
  const lone = (pipeline: Pipeline): number =>
    (pipeline.tables.rows.get('email.email_send') ?? []).filter((row) => row['send_id'] === 'lone')
      .length;
  let before = 0;
  const pipeline = await scenario({
    events: 10,
    settled: 112,
    prepare: (prepared) => {
      prepared.account.log.push({
        id: 'lone',
        created: at,
        type: 'SENT',
        visible: at,
        obsoleted: START + 30 * MINUTE_MS,
        poison: false,
      });
      prepared.account.log.sort((a, b) => b.created - a.created || (a.id < b.id ? 1 : -1));
      prepared.simulation.after(45 * MINUTE_MS, () => {
        before = lone(prepared);
      });
    },
  });
  expect(before).toBe(1);
  expect(lone(pipeline)).toBe(0);
});

test('an attempt given up for dead ends late, after the next attempt has begun', async () => {
  const pipeline = await scenario({
    storm: {
      fates: fate('frozen', 'spark delta.merge silver'),
      spark: { neverRuns: 0, zombies: 1, saysWhy: false },
      minutes: 30,
    },
  });
  const attempts = [...pipeline.spark.batches.keys()].filter((id) => id.startsWith('email-1-'));
  expect(attempts.length).toBeGreaterThanOrEqual(2);
});

test('two pullers on one source: a frozen one comes back after its lease has gone', async () => {
  const pipeline = await scenario({
    storm: {
      fates: fate('frozen', 'pull-hubspot storage.write waiting'),
      mail: { ...calm, zombies: 1 },
    },
    seed: 21,
  });
  expect(pipeline.logged.get('attempt_adopted')).toBeGreaterThanOrEqual(1);
});

test('the scheduler misses ten ticks: what was missed is read in one go', async () => {
  const missed = (now: number): boolean =>
    now > START + 5 * MINUTE_MS && now < START + 105 * MINUTE_MS;
  const pipeline = await scenario({
    settled: 130,
    prepare: ({ deliveries, simulation }) => {
      deliveries.drops = (topic) => /tick|pull/.test(topic) && missed(simulation.now);
    },
  });
  const checkpoint = await pipeline.buckets.json<Checkpoint>(
    'control',
    'checkpoints/email/email_events.json',
  );
  const edge = Date.parse(checkpoint?.edges['hot'] ?? '');
  expect(pipeline.simulation.now - edge).toBeLessThan(20 * MINUTE_MS);
});

test.each(['batch-transformed', 'run-landed', 'pull-hubspot', 'sweep-tick', 'batch-loaded'])(
  'a message of %s comes seven days late and changes nothing',
  { timeout: 60_000 },
  async (late) => {
    let held = 1;
    let fence = 0;
    const pipeline = await scenario({
      trace: false,
      settled: (7 * DAY_MS) / MINUTE_MS + 60,
      patience: (7 * DAY_MS) / MINUTE_MS + 200,
      prepare: ({ deliveries, simulation, tables, logged }) => {
        deliveries.holds = (topic) => (topic === late && held-- > 0 ? 7 * DAY_MS : 0);
        // Most of the week's ticks change nothing, here as there: one an hour and a half will do.
        deliveries.drops = (topic) => {
          const minutes = (simulation.now - START) / MINUTE_MS;
          const quiet = minutes > 120 && minutes < (7 * DAY_MS) / MINUTE_MS - 60;
          return quiet && /tick|pull/.test(topic) && minutes % 90 > 11;
        };
        simulation.after(7 * DAY_MS - MINUTE_MS, () => {
          fence = tables.fence('email');
          logged.clear();
        });
      },
    });
    expect(pipeline.tables.fence('email')).toBe(fence);
    expect(pipeline.deliveries.deadLetters).toBe(0);
  },
);

test('bronze is replayed while the same runs are in flight: they are transformed once more', async () => {
  let asked = 0;
  const pipeline = await scenario({
    prepare: (prepared) => {
      prepared.spark.starts = (id) => {
        if (id === 'email-1-1') void replayBronze(prepared, 1).then((runs) => (asked = runs));
        return true;
      };
    },
  });
  expect(asked).toBeGreaterThanOrEqual(1);
  const again = await pipeline.buckets.json<{ runs: string[] }>('control', batch(2));
  const first = await pipeline.buckets.json<{ runs: string[] }>('control', batch(1));
  expect(again?.runs).toEqual(expect.arrayContaining(first?.runs ?? ['none']));
});

test('an operator asks for partitions again', async () => {
  const pipeline = await scenario({
    prepare: (prepared) => {
      prepared.simulation.after(50 * MINUTE_MS, () => void recompute(prepared, 'again'));
    },
    settled: 60,
  });
  expect(pipeline.buckets.look('control', 'recompute/')).toEqual([]);
});

test('new code makes everything stale; batch after batch works it off', async () => {
  const pipeline = await scenario({
    prepare: (prepared) => {
      prepared.simulation.after(48 * MINUTE_MS, () => {
        prepared.spark.codeVersion = 'v2';
        // One request suffices for a batch that sees the new code.
        void recompute(prepared, 'one');
      });
    },
    events: 120,
    settled: 90,
  });
  expect((await ledgerOf(pipeline)).stale).toBe(0);
  const rows = pipeline.tables.rows.get('email.email_send') ?? [];
  expect(new Set(rows.map((row) => row['code_version']))).toEqual(new Set(['v2']));
});

test('a batch that BigQuery refuses for good is abandoned; the next one does its work', async () => {
  const pipeline = await scenario({
    prepare: ({ tables }) => {
      tables.refuses = (jobId) => jobId.startsWith('commit_email_1_');
    },
  });
  expect(pipeline.logged.get('load_failed')).toBeGreaterThanOrEqual(1);
  expect(pipeline.buckets.stat('control', record(1))).toBeNull();
  expect(pipeline.tables.fence('email')).toBeGreaterThanOrEqual(2);
});

test('a message of an abandoned batch that comes again later is no dead letter', async () => {
  const pipeline = await scenario({
    prepare: ({ tables, deliveries, simulation }) => {
      tables.refuses = (jobId) => jobId.startsWith('commit_email_1_');
      simulation.after(100 * MINUTE_MS, () =>
        deliveries.publish('batch-transformed', {
          data: {},
          attributes: { eventType: 'OBJECT_FINALIZE', objectId: batch(1) },
        }),
      );
    },
    settled: 300,
  });
  expect(pipeline.deliveries.deadLetters).toBe(0);
});

test('a campaign whose counts differ is pulled again, once', async () => {
  const pipeline = await scenario({
    prepare: ({ tables, deliveries, simulation }) => {
      tables.answers = (sql) =>
        /FROM `email\.reconciliation`/.test(sql)
          ? [{ campaign_id: '1', event_type: 'OPEN', difference: 2, first_sent_at: null }]
          : null;
      for (const minutes of [20, 21, 30]) {
        simulation.after(minutes * MINUTE_MS, () =>
          deliveries.publish('reconcile-tick', { data: {}, attributes: {} }),
        );
      }
    },
  });
  const runs = pipeline.buckets.look('control', 'runs/email/email_events/reconcile-');
  expect(runs.length).toBeGreaterThanOrEqual(1);
  expect(new Set(runs.map(({ name }) => name)).size).toBe(runs.length);
});
