/**
 * Seeded schedules: processes die anywhere, calls are refused, answered late or twice, messages are
 * lost, doubled and delayed; afterwards the tables equal the oracle's, row for row.
 * `SEED=17 npx vitest run test/interleavings` replays one seed with its trace; `SEEDS=20000` runs more,
 * half of them in each of the files that run schedules at the same time.
 */
import { expect } from 'vitest';
import { drawnFates, faultOf } from './fates.ts';
import { backfill, recompute, replayBronze, replayFailed } from './operator.ts';
import { type Pipeline, type Plan, run, type Weather } from './pipeline.ts';
import type { Simulation } from './simulation.ts';

const env = process.env;

function planOf(seed: number, trace = false): Plan {
  // Three of four runs end before anything is read a second time: shorter, so that there are more.
  const short = seed % 4 !== 0;
  return {
    seed,
    trace,
    events: 40 + (seed % 5) * 20,
    poison: seed % 11 === 0 ? 1 : 0,
    garbled: seed % 7 === 0 ? 1 + (seed % 2) : 0,
    page: 3 + (seed % 13),
    listed: [2, 5, 1000][seed % 3] as number,
    lateness: short ? 0 : 28,
    settled: short ? 47 : 112,
    patience: 600,
    weather: (simulation) => weatherOf(simulation, short ? 35 : 100),
    prepare: (pipeline) => people(pipeline, short ? 38 : 105),
  };
}

/** In some runs people are at work too: backfills, replays, recomputes, new code, reconciliation. */
function people(pipeline: Pipeline, calm: number): void {
  const { simulation, spark, tables, deliveries } = pipeline;
  const { random } = simulation;
  const sometime = (act: () => unknown): void => {
    if (!random.chance(0.15)) return;
    const start = random.between(2, calm * 0.8) * 60_000;
    simulation.after(start, () => {
      // Whoever is refused leaves it at that; what was begun must still come to an end.
      Promise.resolve(act()).catch(() => undefined);
    });
  };
  sometime(() => backfill(pipeline, 'backfill-1'));
  sometime(() => backfill(pipeline, 'backfill-2'));
  sometime(() => replayBronze(pipeline, 0.5));
  sometime(() => replayBronze(pipeline, 0.2));
  sometime(() => recompute(pipeline, 'r1'));
  sometime(() => recompute(pipeline, 'r2'));
  sometime(() => {
    spark.codeVersion = 'v2';
  });
  // Once all is calm, people mend what is broken; and some batch has to run for new code to be seen.
  simulation.after(calm * 60_000, () => {
    spark.mended = true;
    void recompute(pipeline, 'calm');
  });
  for (const minutes of [1, 15, 40]) {
    simulation.after((calm + minutes) * 60_000, () => void replayFailed(pipeline));
  }
  tables.answers = (sql) =>
    /FROM `email\.reconciliation`/.test(sql)
      ? [{ campaign_id: '1', first_sent_at: '2026-11-20 10:00:00+00', off: 1 }]
      : null;
  sometime(() => deliveries.publish('reconcile-tick', { data: {}, attributes: {} }));
}

/** Every kind of trouble on its own switch, so that each is also seen alone and with every other. */
function weatherOf({ random }: Simulation, longest: number): Weather {
  const fates = drawnFates(random, [
    ['cut_before', random.rate(0.02)],
    ['cut_after', random.rate(0.02)],
    ['refused', random.rate(0.03)],
    ['answer_lost', random.rate(0.03)],
    ['repeated', random.rate(0.1)],
    ['late_effect', random.rate(0.01)],
    ['late_answer', random.rate(0.01)],
    ['frozen', random.rate(0.01)],
  ]);
  return {
    minutes: random.between(15, longest),
    hubspot: random.chance(0.3),
    // Near the time limit of a request, a slice ends before its windows do.
    slow: random.chance(0.15) ? 35_000 : 0,
    fates,
    mail: {
      duplicated: random.rate(0.6),
      delayed: random.rate(0.3),
      longestDelay: random.pick([60_000, 600_000, 3_600_000]),
      lost: random.rate(0.2),
      unacknowledged: random.rate(0.2),
      zombies: random.next(),
    },
    spark: { neverRuns: random.rate(0.4), zombies: random.rate(0.4), saysWhy: random.chance(0.5) },
    jobs: { fails: random.rate(0.2), refused: random.rate(0.1), slow: random.rate(0.2) },
  };
}

const happened = new Map<string, number>();
let events = 0;

const check = (seed: number): Promise<string | null> =>
  faultOf(
    (trace) => run(planOf(seed, trace)),
    ({ simulation, logged }) => {
      events += simulation.events;
      for (const [event, times] of logged) happened.set(event, (happened.get(event) ?? 0) + times);
    },
  );

/** What happens only when something went wrong: a run in which none of it happened proves little. */
const rare = [
  'attempt_adopted',
  'batch_failed',
  'domain_waits',
  'hubspot_retry',
  'load_failed',
  'load_resumed',
  'ops_rebuild_overtaken',
  'pull_busy',
  'pull_stopped',
  'recompute_dropped',
  'run_set_aside',
  'runs_overdue',
  'unreadable_landed',
  'sweep_step_failed',
] as const;

/** The files that share the seeds, and how many seeds there are in all. */
const SHARES = 2;
const seeds = Number(env['SEEDS'] ?? 800);

/** The seeds of one file; a single seed that was asked for is the first one's. */
export function shareOf(share: number): { readonly first: number; readonly count: number } {
  if (env['SEED'] !== undefined) return { first: Number(env['SEED']), count: share === 0 ? 1 : 0 };
  const count = Math.ceil(seeds / SHARES);
  return { first: Number(env['FIRST'] ?? 1) + share * count, count };
}

/** Runs the schedules of these seeds; in enough of them everything must have gone wrong once. */
export async function runSchedules(share: ReturnType<typeof shareOf>): Promise<void> {
  const { first, count } = share;
  const most = Number(env['FAILURES'] ?? 3);
  const broken: string[] = [];
  const began = performance.now();
  for (let seed = first; seed < first + count && broken.length < most; seed += 1) {
    const fault = await check(seed);
    if (fault !== null) broken.push(fault);
  }
  if (env['SEEDS'] !== undefined) {
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    console.log(`${count} seeds, ${seconds} s, ${events} events, ${JSON.stringify([...happened])}`);
  }
  expect(broken.join('\n\n')).toBe('');
  if (count >= 1_000) for (const event of rare) expect([...happened.keys()]).toContain(event);
}
