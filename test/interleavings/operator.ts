/** What people do meanwhile, at the command line: by the same steps as the handlers. */

import { markWaiting } from '../../functions/land.ts';
import { createJson, place, runNamed } from '../../functions/manifest.ts';
import { addWindows, rangeOf } from '../../functions/pull.ts';
import { tickSource } from '../../functions/ticks.ts';
import type { Pipeline } from './pipeline.ts';
import { dayOf, tableNames } from './spark.ts';

const EVENTS = { domain: 'email', source: 'email_events' } as const;

/** Puts landed runs on the waiting list again, whatever has become of them. */
export async function replayBronze(pipeline: Pipeline, share: number): Promise<number> {
  const { simulation, buckets, worldOf, config } = pipeline;
  const process = simulation.spawn('operator');
  const runs = buckets.look(config.buckets.control, 'runs/').filter((run) => run.size > 0);
  let asked = 0;
  for (const { name } of runs) {
    const of = runNamed(name);
    if (of === null || !simulation.random.chance(share)) continue;
    const manifest = await buckets.json<{ files: unknown[] }>(config.buckets.control, name);
    if (manifest === null || manifest.files.length === 0) continue;
    await markWaiting(worldOf(process), config, of, { anew: true });
    asked += 1;
  }
  return asked;
}

/** Replays the runs that were set aside: what a person does once the job is mended. */
export async function replayFailed(pipeline: Pipeline): Promise<void> {
  const { simulation, buckets, worldOf, config } = pipeline;
  const process = simulation.spawn('operator');
  for (const { name } of buckets.look(config.buckets.control, 'failed/email/')) {
    const record = await buckets.json<{ run: string }>(config.buckets.control, name);
    const of = runNamed(record?.run ?? '');
    if (of !== null) await markWaiting(worldOf(process), config, of, { anew: true });
  }
}

/** Asks for a few partitions to be computed again. */
export async function recompute(pipeline: Pipeline, request: string): Promise<void> {
  const { simulation, worldOf, config } = pipeline;
  const process = simulation.spawn('operator');
  const table = simulation.random.pick(tableNames);
  const days = [0, 1, 2, 5].map((hours) => dayOf(simulation.now - hours * 3_600_000));
  await createJson(
    worldOf(process).objects,
    config.buckets.control,
    place.recompute('email', table, request),
    { table, days },
  );
}

/** Reads a range of the source again. */
export async function backfill(pipeline: Pipeline, pass: string): Promise<void> {
  const { simulation, worldOf, config } = pipeline;
  const process = simulation.spawn('operator');
  const world = worldOf(process);
  const iso = (ms: number): string => new Date(ms).toISOString();
  const to = simulation.now - 10 * 60_000;
  const from = to - simulation.random.between(1, 6) * 3_600_000;
  const windows = rangeOf('email.email_events', iso(from), iso(to), pass);
  await addWindows(world, config, EVENTS, windows);
  await tickSource(world, 'email.email_events');
}
