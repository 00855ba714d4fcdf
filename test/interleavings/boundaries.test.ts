/**
 * Every effect boundary of a small run, one by one: each call that a handler or a Spark job makes is
 * cut off before its effect, cut off after it, or answered with a failure although it worked; with
 * every message once, and with every message twice.
 */
import { expect, test, vi } from 'vitest';
import { calm } from './delivery.ts';
import { fateAt, faultOf } from './fates.ts';
import { fair, type Plan, run } from './pipeline.ts';
import type { Fate, Fates } from './simulation.ts';

vi.mock('../../schemas/rendered/catalog.ts', () => import('./contracts.ts'));
vi.mock('../../functions/readers/hubspot_objects.ts', () => ({ hubspotObjects: {} }));

/** Two batches: what the first pulls bring, and what comes during them. */
function planOf(fates: Fates, doubled: boolean, trace = false): Plan {
  return {
    seed: 5,
    trace,
    events: 24,
    lateness: 0,
    page: 4,
    listed: 3,
    settled: 42,
    patience: 240,
    weather: () => ({
      ...fair,
      minutes: 40,
      fates,
      mail: { ...calm, duplicated: doubled ? 1 : 0 },
    }),
  };
}

const env = process.env;
const kinds: readonly Fate[] = ['cut_before', 'cut_after', 'answer_lost'];

test.each([
  { doubled: false, every: env['ALL'] === undefined ? 3 : 1 },
  { doubled: true, every: env['ALL'] === undefined ? 7 : 1 },
])(
  'one fault at every call ends with the same tables, messages doubled: $doubled',
  {
    timeout: 600_000,
  },
  async ({ doubled, every }) => {
    let calls = 0;
    const seen = new Set<string>();
    const counted: Fates = ({ service, verb }, process) => {
      calls += 1;
      seen.add(`${process.name} ${service}.${verb}`);
      return 'plain';
    };
    const whole = await run(planOf(counted, doubled));
    // The run is one in which every stage does its work, more than once.
    expect(whole.tables.fence('email')).toBeGreaterThanOrEqual(2);
    for (const call of [
      'pull-hubspot storage.write',
      'submit dataproc.create',
      'spark delta.merge',
    ]) {
      expect(seen).toContain(call);
    }
    for (const call of ['load bigquery.script', 'sweep bigquery.script', 'load storage.remove']) {
      expect(seen).toContain(call);
    }
    const broken: string[] = [];
    let runs = 0;
    for (const kind of kinds) {
      for (let at = 1; at <= calls && broken.length < 3; at += every) {
        // Without an effect there is nothing between a cut before the call and one after it.
        const spared = (verb: string): boolean =>
          kind === 'cut_after' && ['read', 'stat', 'list', 'job', 'state'].includes(verb);
        runs += 1;
        const fault = await faultOf((trace) =>
          run(planOf(fateAt(at, kind, spared), doubled, trace)),
        );
        if (fault !== null) broken.push(`${kind} at call ${at}: ${fault}`);
      }
    }
    expect(runs).toBeGreaterThan(calls / every);
    if (env['SEEDS'] !== undefined) console.log(`${calls} calls, ${runs} runs`);
    expect(broken.join('\n\n')).toBe('');
  },
);
