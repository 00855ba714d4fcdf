/** An event that makes every page with it unreadable: everything around it is read all the same. */
import { describe, expect, test } from 'vitest';
import { hubspotEmailEvents } from '../../../functions/readers/hubspot_email_events.ts';
import { pagingIn } from '../../../functions/readers/hubspot_stretch.ts';
import type { Page } from '../../../functions/readers/reader.ts';
import type { Window } from '../../../functions/window.ts';
import type { Breakage } from '../../../local/outside/http/faults.ts';
import type { Fault } from '../../../local/outside/hubspot/faults.ts';
import { emailEvents as arrival, hubspotWorld, readWindow, span, UNTIL } from './virtual_world.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const broken = (id: string, how: Breakage, more: Partial<Fault> = {}): Fault => ({
  trouble: { kind: 'broken_record', id, how },
  ...more,
});
const event = (id: string, created: number, more = {}) => ({
  id,
  created,
  type: 'OPEN',
  emailCampaignId: 1,
  ...more,
});

const isRaw = (page: Page): boolean => page.meta['unreadable'] === true;
const keysOf = (pages: readonly Page[]): readonly string[] =>
  pages
    .filter((page) => page.records > 0 && !isRaw(page))
    .flatMap((page) =>
      (
        JSON.parse(page.payload.toString()) as { events: { id: string; created: number }[] }
      ).events.map(({ id, created }) => `${created} ${id}`),
    );
const sorted = (keys: Iterable<string>): readonly string[] => [...new Set(keys)].sort();

/** An account of nothing but these events, in the month before UNTIL: its folder of objects is empty. */
async function read(
  events: readonly { readonly id: string; readonly created: number }[],
  faults: readonly Fault[],
  options: { readonly strict?: boolean; readonly stopAfter?: number } = {},
) {
  const world = hubspotWorld({ objectsDir: import.meta.dirname, faults, latencyMs: 200 });
  world.hubspot.events.offsetsBindLimit = options.strict === true;
  world.hubspot.addEvents(events);
  const pages: Page[] = [];
  let left: Window | null = span(UNTIL - 30 * DAY, UNTIL);
  let slices = 0;
  while (left !== null) {
    const context = world.context(arrival, 'email_events');
    const piece: Awaited<ReturnType<typeof readWindow>> = await readWindow(
      hubspotEmailEvents,
      left,
      context,
      options.stopAfter,
    );
    pages.push(...piece.pages);
    expect(piece.remaining).not.toEqual(left);
    left = piece.remaining;
    slices += 1;
    if (slices > 200) throw new Error('never ends');
  }
  const warnings = world.logged.filter(({ severity }) => severity === 'WARNING');
  return { world, pages, raw: pages.filter(isRaw), slices, warnings };
}

/** A few thousand events over a month, with seconds in which a hundred of them happened. */
const month = Array.from({ length: 5_500 }, (_, i) =>
  event(`e${i}`, UNTIL - 29 * DAY + Math.floor(i / 100) * 11 * HOUR + (i % 100) * (i % 3)),
);
const withoutOnes = (ids: readonly string[], events = month): readonly string[] =>
  sorted(events.filter(({ id }) => !ids.includes(id)).map(({ id, created }) => `${created} ${id}`));

describe('an event that breaks its pages', () => {
  test.each<Breakage>(['garbled', 'cut', 'not_utf8', 'replaced'])(
    'is landed as it came, and all others are read: %s',
    async (how) => {
      const { world, pages, raw, warnings } = await read(month, [broken('e3217', how)]);
      expect(sorted(keysOf(pages))).toEqual(withoutOnes(['e3217']));
      expect(raw).toHaveLength(1);
      const body = raw[0]?.payload.toString('latin1') ?? '';
      if (how === 'replaced') expect(body).toBe('<html><body>An error occurred.</body></html>');
      else expect(body).toContain('"id":"e3217"');
      expect(body).not.toContain('"id":"e3218"');
      expect(raw[0]?.records).toBe(1);
      expect(warnings[0]).toMatchObject({ event: 'hubspot_page_unreadable' });
      // Six pages, some thirty halves, and one reader in the way of another.
      expect(world.hubspot.stats().requests).toBeLessThan(90);
    },
  );

  test.each([1, 3])('also when every slice ends after %i pages', async (stopAfter) => {
    const { pages, raw, slices } = await read(month, [broken('e3217', 'garbled')], { stopAfter });
    expect(sorted(keysOf(pages))).toEqual(withoutOnes(['e3217']));
    expect(raw.length).toBeGreaterThanOrEqual(1);
    expect(slices).toBeGreaterThan(1);
  });

  test('may be the first, the last, and next to another one', async () => {
    const ids = ['e0', 'e2000', 'e2001', 'e2002', 'e4711', 'e5499'];
    const faults = ids.map((id, i) => broken(id, i % 2 === 0 ? 'cut' : 'garbled'));
    const { pages, raw } = await read(month, faults);
    expect(sorted(keysOf(pages))).toEqual(withoutOnes(ids));
    const bodies = raw.map(({ payload }) => payload.toString());
    for (const id of ids) expect(bodies.some((body) => body.includes(`"id":"${id}"`))).toBe(true);
  });

  test.each([{ strict: false }, { strict: true }])(
    'is passed among thousands of one millisecond; offsets bound to the page size: $strict',
    async ({ strict }) => {
      const at = UNTIL - 3 * HOUR;
      const flood = [
        ...Array.from({ length: 2_500 }, (_, i) => event(`f${i}`, at)),
        event('before', at - 1),
        event('after', at + 1),
      ];
      const faults = [broken('f1700', 'garbled'), broken('f300', 'cut')];
      const { pages, raw } = await read(flood, faults, { strict });
      expect(sorted(keysOf(pages))).toEqual(withoutOnes(['f1700', 'f300'], flood));
      const bodies = sorted(raw.map(({ payload }) => payload.toString()));
      expect(bodies).toHaveLength(2);
      for (const id of ['f1700', 'f300'])
        expect(bodies.some((body) => body.includes(`"id":"${id}"`))).toBe(true);
    },
  );

  test.each([{ strict: false }, { strict: true }])(
    'that leaves no offset ends its millisecond with a warning; offsets bound: $strict',
    async ({ strict }) => {
      const at = UNTIL - 3 * HOUR;
      const flood = [
        ...Array.from({ length: 40 }, (_, i) => event(`f${String(i).padStart(2, '0')}`, at)),
        event('before', at - 1),
        event('after', at + 1),
      ];
      const { pages, raw, warnings } = await read(flood, [broken('f10', 'replaced')], { strict });
      // Newest first, and of one instant the last given first.
      const behind = Array.from({ length: 11 }, (_, i) => `f${String(i).padStart(2, '0')}`);
      expect(sorted(keysOf(pages))).toEqual(withoutOnes(behind, flood));
      expect(raw).toHaveLength(1);
      expect(warnings.map(({ event: name }) => name)).toContain('hubspot_events_behind_unreadable');
    },
  );

  test('an offset that was read from a broken page and is refused is not followed for ever', async () => {
    const at = UNTIL - 3 * HOUR;
    const flood = Array.from({ length: 9 }, (_, i) => event(`f${i}`, at));
    const { pages, raw } = await read(
      [...flood, event('before', at - 1)],
      [
        broken('f4', 'garbled'),
        { where: ['limit=1000', 'offset='], trouble: { kind: 'expired_offset' }, times: 1e9 },
        { where: ['limit=1&', 'offset='], trouble: { kind: 'expired_offset' }, skip: 6, times: 1 },
      ],
    );
    const seen = [...keysOf(pages), ...raw.map(({ payload }) => payload.toString())].join();
    for (const { id } of [...flood, { id: 'before' }]) expect(seen).toContain(id);
  });

  test('twice only is simply asked for again', async () => {
    const calm = await read(month, []);
    const { world, pages, raw, warnings } = await read(month, [
      broken('e3217', 'garbled', { times: 2 }),
    ]);
    expect(sorted(keysOf(pages))).toEqual(withoutOnes([]));
    expect({ raw, warnings }).toEqual({ raw: [], warnings: [] });
    const more = world.hubspot.stats().requests - calm.world.hubspot.stats().requests;
    // Two, and what the readers' meeting at another place costs.
    expect(more).toBeLessThanOrEqual(8);
  });

  test('for a while only is read in the end', async () => {
    const { pages, raw } = await read(month, [broken('e3217', 'replaced', { times: 25 })]);
    expect(sorted(keysOf(pages))).toEqual(withoutOnes([]));
    expect(raw).toEqual([]);
  });

  test('is not confused with a gateway that answers everything with something else', async () => {
    const reading = read(month, [{ skip: 3, times: 1e9, trouble: { kind: 'broken_json' } }]);
    await expect(reading).rejects.toMatchObject({
      name: 'Transient',
      code: 'hubspot_invalid_json',
    });
  });
});

test.each([
  ['{"hasMore":true,"offset":"o1","events":[{"id":"x\\x', { offset: 'o1', over: false }],
  ['{"hasMore":false,"offset":"o1","events":[{"id":"\\x"}]}', { offset: 'o1', over: true }],
  ['{"events":[{"id":"\\x"}],"hasMore":true,"offset":"o2"}', { offset: 'o2', over: false }],
  // Of an event, not of the page.
  ['{"events":[{"cc":[],"offset":"no","x":"\\x"', { offset: null, over: false }],
  ['{"events":[{"cc":[]},{"hasMore":false,"x":"\\x"}', { offset: null, over: false }],
  ['<html>"offset":"no"</html>', { offset: null, over: false }],
])('paging in %s', (body, expected) => {
  expect(pagingIn(Buffer.from(body))).toEqual(expected);
});
