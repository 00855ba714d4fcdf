import { describe, expect, it } from 'vitest';
import { type Checkpoint, emptyCheckpoint } from '../../../functions/checkpoint.ts';
import type { Window } from '../../../functions/window.ts';
import { misplacedFiles } from '../../../scripts/misplaced.ts';
import { readTo, type Status, shownStatus } from '../../../scripts/status.ts';
import type { Target } from '../../../scripts/target.ts';
import { memoryObjects, virtualClock } from '../readers/virtual_world.ts';

const at = (clock: string): string => `2026-11-21T${clock}:00.000Z`;
const hot = (from: string, to: string): Window => ({ pass: 'hot', from: at(from), to: at(to) });
const checkpoint = (change: Partial<Checkpoint>): Checkpoint => ({
  ...emptyCheckpoint('email', 'email_events'),
  ...change,
});

describe('up to when a source is read', () => {
  it('is nowhere before the first pull', () => {
    expect(readTo(checkpoint({}))).toBeNull();
  });

  it('is what is planned once all of it is read', () => {
    expect(readTo(checkpoint({ edges: { hot: at('12:00') } }))).toBe(at('12:00'));
  });

  it('stays where it was while planning goes on and nothing is read', () => {
    const open = [hot('11:50', '12:00'), hot('10:00', '11:50')];
    expect(readTo(checkpoint({ edges: { hot: at('12:00') }, open }))).toBe(at('10:00'));
  });

  it('is not set back by what is read once more, for a pass or for a person', () => {
    const again = { ...hot('01:00', '02:00'), pass: 'again-72h' };
    const asked = { ...hot('03:00', '04:00'), pass: 'backfill-1' };
    const edges = { hot: at('12:00'), 'again-72h': at('02:00') };
    expect(readTo(checkpoint({ edges, open: [again, asked] }))).toBe(at('12:00'));
  });

  it('knows nothing while the first full listing is not done, whatever was changed since', () => {
    const full = { pass: 'full', from: new Date(0).toISOString(), to: at('11:00') };
    const edges = { full: at('11:00'), changed: at('12:00') };
    expect(readTo(checkpoint({ edges, open: [full] }))).toBeNull();
    const daily = { ...full, from: at('01:00') };
    expect(readTo(checkpoint({ edges, open: [daily] }))).toBe(at('12:00'));
  });
});

it('a trouble is shown whole, with when it happened and what comes next', () => {
  const status: Status = {
    sources: [
      {
        source: 'email.email_events',
        planned_to: at('12:00'),
        read_to: at('10:00'),
        lag_seconds: 7_500,
        open_windows: 2,
        pulling: false,
        last_run: at('10:05'),
        trouble: 'hubspot_scope: give the private app the scope content',
        trouble_at: at('12:05'),
        needs_person: true,
      },
    ],
    domains: [],
    queryable: [],
    rejected: [],
    misplaced: [],
    messages: {},
    dead_letters: {},
  };
  expect(shownStatus(status).split('\n\n').at(-1)).toBe(
    [
      'troubles',
      `email.email_events at ${at('12:05')}: hubspot_scope: give the private app the scope content`,
      '  2 windows stay open until they are read; every tick of its schedule asks again',
    ].join('\n'),
  );
  expect(shownStatus(status)).toContain('  2 h  ');
  expect(shownStatus({ ...status, sources: [] })).not.toContain('troubles');
  expect(shownStatus(status)).not.toContain('name no source');
  const misplaced = [{ file: 'prices.csv', arrived_at: at('09:00'), reason: 'put it elsewhere' }];
  expect(shownStatus({ ...status, misplaced })).toContain(
    `files that name no source\nprices.csv of ${at('09:00')}: put it elsewhere`,
  );
});

it('files that name no source are shown until they are put right', async () => {
  const objects = memoryObjects(virtualClock(Date.parse(at('12:00'))));
  const [inbox, control] = ['inbox', 'control'];
  const put = (bucket: string, name: string, value: object, ifGeneration = '0') =>
    objects.write(bucket, name, Buffer.from(JSON.stringify(value)), {
      ifGeneration,
      contentType: 'application/json',
    });
  for (const file of ['here.csv', 'gone.csv', 'replaced.csv']) {
    await put(inbox, file, {});
    const { generation = '' } = (await objects.stat(inbox, file)) ?? {};
    const note = { format: 1, file, generation, arrived_at: at('09:00'), reason: 'why' };
    await put(control, `uploads/misplaced/upload-${file}.json`, note);
  }
  const remove = async (file: string) => {
    const { generation = '' } = (await objects.stat(inbox, file)) ?? {};
    await objects.remove(inbox, file, { ifGeneration: generation });
  };
  await remove('gone.csv');
  await remove('replaced.csv');
  await put(inbox, 'replaced.csv', {});
  const target = { world: { objects }, config: { buckets: { inbox, control } } };
  expect(await misplacedFiles(target as unknown as Target)).toEqual([
    { file: 'here.csv', arrived_at: at('09:00'), reason: 'why' },
  ]);
});
