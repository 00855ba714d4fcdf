import { describe, expect, it } from 'vitest';
import { dueOf, type Schedule, Scheduler, WrongSchedule } from '../../../local/scheduler.ts';

const at = (text: string): number => Date.parse(`${text}:00Z`);

describe('schedules', () => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ['*/10 * * * *', '2026-11-21T13:20', true],
    ['*/10 * * * *', '2026-11-21T13:21', false],
    ['17 4 * * *', '2026-11-21T04:17', true],
    ['17 4 * * *', '2026-11-21T05:17', false],
    ['5,35 * * * *', '2026-11-21T05:35', true],
    ['10-20/5 8-18 * * *', '2026-11-21T08:15', true],
    ['10-20/5 8-18 * * *', '2026-11-21T08:25', false],
    ['3/20 * * * *', '2026-11-21T08:43', true],
    ['0 0 1 * *', '2026-12-01T00:00', true],
    ['0 0 * 2 *', '2026-03-01T00:00', false],
    // 2026-11-22 is a Sunday.
    ['0 0 * * 0', '2026-11-22T00:00', true],
    ['0 0 * * 7', '2026-11-22T00:00', true],
    ['0 0 * * 1-5', '2026-11-22T00:00', false],
    // Day of the month and of the week both given: either suffices.
    ['0 0 13 * 0', '2026-11-22T00:00', true],
    ['0 0 13 * 0', '2026-11-13T00:00', true],
    ['0 0 13 * 0', '2026-11-14T00:00', false],
  ];
  it.each(cases)('%s at %s: %s', (cron, time, due) => {
    expect(dueOf(cron)(at(time))).toBe(due);
  });

  it.each([
    '* * * *',
    '60 * * * *',
    '* 24 * * *',
    '*/0 * * * *',
    '5-1 * * * *',
    'a * * * *',
    '@daily',
  ])('refuses %s', (cron) => {
    expect(() => dueOf(cron)).toThrow(WrongSchedule);
  });
});

describe('Scheduler', () => {
  const schedule = (name: string, cron: string, paused = false): Schedule => ({
    name,
    cron,
    paused,
    topic: `projects/p/topics/${name}`,
    data: Buffer.from(JSON.stringify({ from: name })).toString('base64'),
    attributes: { by: 'schedule' },
  });
  function scheduler(publish?: () => Promise<void>) {
    const published: { topic: string; data: string; attributes: object }[] = [];
    const log: string[] = [];
    const made = new Scheduler({
      schedules: [
        schedule('often', '* * * * *'),
        schedule('daily', '0 4 * * *'),
        schedule('held', '* * * * *', true),
      ],
      quiet: true,
      log: (line) => log.push(line),
      publish: async (topic, { data, attributes }) => {
        await publish?.();
        published.push({ topic, data: data.toString(), attributes });
      },
    });
    return { made, published, log };
  }

  it('publishes what is due, with its data, and not what is paused', async () => {
    const { made, published } = scheduler();
    expect(await made.at(at('2026-11-21T05:00'))).toEqual(['often']);
    expect(await made.at(at('2026-11-21T04:00'))).toEqual(['often', 'daily']);
    expect(published[0]).toEqual({
      topic: 'projects/p/topics/often',
      data: '{"from":"often"}',
      attributes: { by: 'schedule' },
    });
  });

  it('fires any by name, a paused one too, and knows which there are', async () => {
    const { made, published } = scheduler();
    await made.run('held');
    expect(published).toHaveLength(1);
    await expect(made.run('nothing')).rejects.toThrow('no schedule is called nothing');
  });

  it('says so when one cannot be published, and goes on', async () => {
    const { made, log } = scheduler(() => Promise.reject(new Error('no topic')));
    await made.at(at('2026-11-21T05:00'));
    expect(log).toEqual(['the schedule often did not fire: Error: no topic']);
  });
});
