import { describe, expect, it } from 'vitest';
import { place } from '../../../functions/manifest.ts';
import { costOfWaiting, quantile, queryable } from '../../../scripts/queryable.ts';
import type { Target } from '../../../scripts/target.ts';
import { memoryObjects, UNTIL, virtualClock } from '../readers/virtual_world.ts';

describe('from publishing to the table', () => {
  it('counts messages, not minutes', () => {
    const waits = [
      [60, 1],
      [600, 90],
      [900, 9],
    ] as const;
    expect(quantile(waits, 0.5)).toBe(600);
    expect(quantile(waits, 0.91)).toBe(600);
    expect(quantile(waits, 0.95)).toBe(900);
    expect(quantile([], 0.95)).toBeNaN();
  });

  it('costs more the less a domain waits, down to one batch after another', () => {
    // 30 days of a batch of 3 minutes every 10: 4,320 batches, 216 hours at 0.72 $.
    expect(costOfWaiting(10, 180)).toEqual({
      minutes: 10,
      batches_a_month: 4320,
      dollars_a_month: 156,
    });
    expect(costOfWaiting(1, 180)).toEqual({
      minutes: 1,
      batches_a_month: 14400,
      dollars_a_month: 518,
    });
    // Less than a minute is billed as one.
    expect(costOfWaiting(60, 10)).toMatchObject({ batches_a_month: 720, dollars_a_month: 9 });
  });

  it('counts a run once, however often it is run through again', async () => {
    const objects = memoryObjects(virtualClock(UNTIL));
    const put = (name: string, value: unknown) =>
      objects.write('control', name, Buffer.from(JSON.stringify(value)), {
        ifGeneration: '0',
        contentType: 'application/json',
      });
    const names = ['old', 'new', 'late'].map((run) => place.run('website', 'site_events', run));
    const landed = [
      ['old', '2026-11-01T10:00', 5],
      ['new', '2026-11-20T09:58', 3],
      ['late', '2026-11-19T10:00', 2],
    ] as const;
    for (const [i, [run, minute, messages]] of landed.entries()) {
      const finished_at = `${minute}:30.000Z`;
      const manifest = { domain: 'website', source: 'site_events', run, finished_at };
      await put(names[i] as string, { ...manifest, published: { [minute]: messages } });
    }
    // Batches 2 to 21 are the last ones; the first run was loaded before them, and again by the last.
    for (let sequence = 1; sequence <= 21; sequence += 1) {
      const at = sequence === 1 ? '2026-11-01T10:0' : '2026-11-20T10:0';
      const runs = sequence === 1 ? [names[0]] : sequence === 21 ? names : [];
      const times = { started_at: `${at}1:00.000Z`, finished_at: `${at}2:00.000Z` };
      await put(place.batch('website', sequence), { sequence, runs, ...times });
      await put(place.load('website', sequence), { sequence, ...times });
    }
    const target = { world: { objects }, config: { buckets: { control: 'control' } } };
    expect(await queryable(target as unknown as Target, 'website')).toMatchObject({
      messages: 5,
      p50: 4 * 60,
      // What was late is not hidden by this: it is its first load.
      p95: 24 * 3_600 + 2 * 60,
    });
  });
});
