import { describe, expect, test } from 'vitest';
import { hubspotEmailEvents } from '../../../functions/readers/hubspot_email_events.ts';
import type { Page } from '../../../functions/readers/reader.ts';
import type { Window } from '../../../functions/window.ts';
import type { Fault } from '../../../local/outside/hubspot/faults.ts';
import type { HubspotOptions } from '../../../local/outside/hubspot/state.ts';
import {
  emailEvents as arrival,
  checkpointWith,
  hubspotWorld,
  iso,
  readWindow,
  span,
  UNTIL,
} from './virtual_world.ts';

const DAY = 86_400_000;
const ALL = span(UNTIL - 45 * DAY, UNTIL);

const keysOf = (pages: readonly Page[]): readonly string[] =>
  pages.flatMap((page) =>
    (
      JSON.parse(page.payload.toString()) as { events: { id: string; created: number }[] }
    ).events.map((event) => `${event.created} ${event.id}`),
  );

function truth(hubspot: ReturnType<typeof hubspotWorld>['hubspot'], window: Window): Set<string> {
  const keys = new Set<string>();
  const events = (hubspot.seeded as NonNullable<typeof hubspot.seeded>).events;
  for (let i = 0; i < events.size; i++) {
    const created = events.created(i);
    if (created >= Date.parse(window.from) && created < Date.parse(window.to))
      keys.add(`${created} ${events.meta(i).id}`);
  }
  return keys;
}

const sorted = (keys: Iterable<string>): readonly string[] => [...new Set(keys)].sort();

/** Reads with a crash after every `pieces` pages: only what was handed over as landed remains. */
async function readInPieces(options: Partial<HubspotOptions>, pieces: number, window = ALL) {
  const world = hubspotWorld({ latencyMs: 200, jitterMs: 100, ...options });
  const landed: Page[] = [];
  let left: Window | null = window;
  let runs = 0;
  while (left !== null) {
    const piece: Awaited<ReturnType<typeof readWindow>> = await readWindow(
      hubspotEmailEvents,
      left,
      world.context(arrival, 'email_events'),
      pieces,
    );
    landed.push(...piece.pages);
    expect(piece.remaining).not.toEqual(left);
    left = piece.remaining;
    runs += 1;
    if (runs > 500) throw new Error('never ends');
  }
  return { ...world, landed, runs };
}

describe('a window of email events', () => {
  test('is read whole, each event at least once', async () => {
    const { hubspot, landed } = await readInPieces({ scale: 8_000 }, Number.POSITIVE_INFINITY);
    expect(sorted(keysOf(landed))).toEqual(sorted(truth(hubspot, ALL)));
    expect(landed.reduce((sum, page) => sum + page.records, 0)).toBe(keysOf(landed).length);
  });

  test.each([1, 2, 7])('loses nothing when every slice ends after %i pages', async (pieces) => {
    const { hubspot, landed, runs } = await readInPieces({ scale: 8_000 }, pieces);
    expect(sorted(keysOf(landed))).toEqual(sorted(truth(hubspot, ALL)));
    expect(runs).toBeGreaterThan(1);
  });

  test('holds its ends: the first millisecond is in, the last is out', async () => {
    const { hubspot, context } = hubspotWorld();
    const events = (hubspot.seeded as NonNullable<typeof hubspot.seeded>).events;
    const from = events.created(100);
    const to = events.created(200);
    const window = span(from, to);
    const { pages } = await readWindow(
      hubspotEmailEvents,
      window,
      context(arrival, 'email_events'),
    );
    expect(sorted(keysOf(pages))).toEqual(sorted(truth(hubspot, window)));
    expect(keysOf(pages).some((key) => key.startsWith(`${from} `))).toBe(true);
    expect(keysOf(pages).some((key) => key.startsWith(`${to} `))).toBe(false);
  });

  test('that is empty takes one request', async () => {
    const { hubspot, context } = hubspotWorld();
    const { pages, remaining } = await readWindow(
      hubspotEmailEvents,
      span(UNTIL - 100 * DAY, UNTIL - 99 * DAY),
      context(arrival, 'email_events'),
    );
    expect(pages.map((page) => page.records)).toEqual([0]);
    expect(remaining).toBeNull();
    expect(hubspot.stats().requests).toBe(1);
  });

  test('passes a millisecond that holds more events than a page', async () => {
    const world = hubspotWorld();
    const created = UNTIL - 3_600_000;
    const flood = Array.from({ length: 4_321 }, (_, i) => ({
      id: `f${i}`,
      created,
      type: 'PROCESSED',
      emailCampaignId: 1,
    }));
    world.hubspot.addEvents(flood);
    const window = span(created - 60_000, created + 60_000);
    let left: Window | null = window;
    const keys: string[] = [];
    while (left !== null) {
      const context = world.context(arrival, 'email_events');
      const piece: Awaited<ReturnType<typeof readWindow>> = await readWindow(
        hubspotEmailEvents,
        left,
        context,
        1,
      );
      keys.push(...keysOf(piece.pages));
      expect(piece.remaining).not.toEqual(left);
      left = piece.remaining;
    }
    expect(new Set(keys.filter((key) => key.startsWith(`${created} f`))).size).toBe(4_321);
  });

  test('passes such a flood at its newest millisecond, where stopping would repeat it', async () => {
    const world = hubspotWorld();
    const created = UNTIL - 3_600_000;
    world.hubspot.addEvents(
      Array.from({ length: 2_500 }, (_, i) => ({ id: `f${i}`, created, type: 'OPEN' })),
    );
    const window = span(UNTIL - 2 * DAY, created + 1);
    const { pages, remaining } = await readWindow(
      hubspotEmailEvents,
      window,
      world.context(arrival, 'email_events'),
      1,
    );
    expect(remaining).not.toEqual(window);
    expect(new Set(keysOf(pages).filter((key) => key.startsWith(`${created} f`))).size).toBe(2_500);
  });

  test('goes on by time when offsets expire', async () => {
    const faults: Fault[] = [
      { where: ['offset='], trouble: { kind: 'expired_offset' }, skip: 1, times: 6 },
    ];
    const { hubspot, landed } = await readInPieces(
      { scale: 8_000, faults },
      Number.POSITIVE_INFINITY,
    );
    expect(sorted(keysOf(landed))).toEqual(sorted(truth(hubspot, ALL)));
  });

  test('goes on by time when an offset comes back', async () => {
    const faults: Fault[] = [{ where: ['offset='], trouble: { kind: 'same_offset' }, times: 5 }];
    const { hubspot, landed } = await readInPieces(
      { scale: 8_000, faults },
      Number.POSITIVE_INFINITY,
    );
    expect(sorted(keysOf(landed))).toEqual(sorted(truth(hubspot, ALL)));
  });

  test('is given back, not read for ever, when every offset comes back', async () => {
    const world = hubspotWorld({
      faults: [{ where: ['offset='], trouble: { kind: 'same_offset' }, times: 1e9 }],
    });
    const created = UNTIL - 3_600_000;
    world.hubspot.addEvents(
      Array.from({ length: 5_000 }, (_, i) => ({ id: `f${i}`, created, type: 'OPEN' })),
    );
    const reading = readWindow(
      hubspotEmailEvents,
      span(created, created + 1),
      world.context(arrival, 'email_events'),
    );
    await expect(reading).rejects.toMatchObject({ name: 'Transient', code: 'hubspot_no_progress' });
  });

  test('survives empty pages that promise more', async () => {
    const faults: Fault[] = [{ trouble: { kind: 'empty_page' }, skip: 2, times: 4 }];
    const { hubspot, landed } = await readInPieces(
      { scale: 8_000, faults },
      Number.POSITIVE_INFINITY,
    );
    expect(sorted(keysOf(landed))).toEqual(sorted(truth(hubspot, ALL)));
  });

  test('survives refusals, broken answers and silence', async () => {
    const faults: Fault[] = [
      { trouble: { kind: 'rate_limit', policyName: 'TEN_SECONDLY_ROLLING' }, skip: 3, times: 5 },
      {
        trouble: { kind: 'rate_limit', policyName: 'TEN_SECONDLY_ROLLING', retryAfter: '3' },
        times: 2,
      },
      { trouble: { kind: 'half_body' }, skip: 9, times: 2 },
      { trouble: { kind: 'broken_json' }, times: 2 },
      { trouble: { kind: 'no_answer' }, skip: 5, times: 2 },
      { trouble: { kind: 'hang' }, times: 1 },
      { trouble: { kind: 'status', status: 502, body: '<html>' }, skip: 5, times: 2 },
      { trouble: { kind: 'status', status: 524 }, times: 1 },
      { trouble: { kind: 'status', status: 423 }, times: 1 },
    ];
    const { hubspot, landed } = await readInPieces({ scale: 8_000, faults }, 5);
    expect(sorted(keysOf(landed))).toEqual(sorted(truth(hubspot, ALL)));
  });

  test('lands the bytes as HubSpot sent them, and the request without the token', async () => {
    const { hubspot, context } = hubspotWorld();
    const odd = {
      id: 'x',
      created: UNTIL - 1_000,
      type: 'BRAND_NEW',
      nested: { a: [1, null, 'ü'] },
      large: 'y'.repeat(5 << 20),
    };
    hubspot.addEvents([odd]);
    const { pages } = await readWindow(
      hubspotEmailEvents,
      span(UNTIL - 2_000, UNTIL),
      context(arrival, 'email_events'),
    );
    const [page] = pages as [Page];
    expect(page.payload.toString()).toContain(JSON.stringify(odd));
    expect(page.meta['request']).toBe(
      `/email/public/v1/events?startTimestamp=${UNTIL - 2_000}&endTimestamp=${UNTIL - 1}&limit=1000`,
    );
  });

  test('asks for one campaign when the window is narrower', async () => {
    const { hubspot, context } = hubspotWorld();
    const [campaign] = (hubspot.seeded as NonNullable<typeof hubspot.seeded>)
      .campaigns as unknown as [{ id: number }];
    const window = { ...ALL, only: { campaign: String(campaign.id) } };
    const { pages } = await readWindow(
      hubspotEmailEvents,
      window,
      context(arrival, 'email_events'),
    );
    const events = pages.flatMap(
      (page) =>
        (JSON.parse(page.payload.toString()) as { events: { emailCampaignId: number }[] }).events,
    );
    expect(events.length).toBeGreaterThan(50);
    expect(new Set(events.map((event) => event.emailCampaignId))).toEqual(new Set([campaign.id]));
  });

  test('stops the other requests of the window when one fails for good', async () => {
    const faults: Fault[] = [{ trouble: { kind: 'bad_token' }, skip: 5, times: 1e9 }];
    const world = hubspotWorld({ scale: 8_000, latencyMs: 100, faults });
    const reading = readWindow(hubspotEmailEvents, ALL, world.context(arrival, 'email_events'));
    await expect(reading).rejects.toMatchObject({ name: 'Permanent', code: 'hubspot_token' });
    expect(world.hubspot.stats().requests).toBeLessThan(20);
  });

  test('uses most of what the limit allows, and is not refused', async () => {
    const world = hubspotWorld({ scale: 40_000, latencyMs: 500 });
    const started = world.clock.now();
    await readWindow(hubspotEmailEvents, ALL, world.context(arrival, 'email_events'));
    const seconds = (world.clock.now() - started) / 1_000;
    const { requests, by_status } = world.hubspot.stats();
    expect(by_status['429']).toBeUndefined();
    // One after the other it would be two a second.
    expect(requests / seconds).toBeGreaterThan(7);
    // Forty-five full pages; where two readers meet, half a page is read twice.
    expect(requests).toBeLessThan(90);
  });
});

describe('planning', () => {
  const plan = (edges: Readonly<Record<string, string>>, now: number) =>
    hubspotEmailEvents.plan(checkpointWith(edges), now, arrival);

  test('the first run reaches back as far as the contract says and ends where the index has settled', () => {
    const { windows, edges } = plan({}, UNTIL);
    expect(edges['hot']).toBe(iso(UNTIL - 5 * 60_000));
    expect(windows[0]?.to).toBe(edges['hot']);
    expect(windows.at(-1)?.from).toBe(iso(UNTIL - 45 * DAY));
    for (const [i, window] of windows.entries())
      if (i > 0) expect(window.to).toBe(windows[i - 1]?.from);
  });

  test('every instant is read hot once, and again at 72 hours and at 30 days', () => {
    let edges: Readonly<Record<string, string>> = {};
    const read: Window[] = [];
    const readAt = new Map<Window, number>();
    const begin = UNTIL;
    for (let now = begin; now < begin + 34 * DAY; now += 900_000) {
      const planned = plan(edges, now);
      edges = { ...edges, ...planned.edges };
      for (const window of planned.windows) {
        read.push(window);
        readAt.set(window, now);
      }
    }
    for (const at of [begin - 2 * DAY, begin, begin + 1, begin + DAY, begin + 2.2 * DAY]) {
      const passes = read.filter((one) => Date.parse(one.from) <= at && at < Date.parse(one.to));
      expect(passes.map((one) => one.pass).sort()).toEqual(['again-720h', 'again-72h', 'hot']);
      for (const one of passes) {
        const age = ((readAt.get(one) as number) - at) / 3_600_000;
        if (one.pass === 'again-72h') expect(age).toBeGreaterThanOrEqual(72);
        if (one.pass === 'again-72h') expect(age).toBeLessThan(79);
        if (one.pass === 'again-720h') expect(age).toBeGreaterThanOrEqual(720);
      }
    }
  });

  test('an outage of weeks is caught up, with nothing left out', () => {
    const { windows } = plan(
      {
        hot: iso(UNTIL - 30 * DAY),
        'again-72h': iso(UNTIL - 33 * DAY),
        'again-720h': iso(UNTIL - 60 * DAY),
      },
      UNTIL,
    );
    const hot = windows.filter((window) => window.pass === 'hot');
    expect(hot.length).toBe(30);
    expect(hot.at(-1)?.from).toBe(iso(UNTIL - 30 * DAY));
  });

  test('a range is cut into windows, newest first', () => {
    const windows = hubspotEmailEvents.range('2026-01-01', '2026-01-04', 'backfill-1', arrival);
    expect(windows.map((window) => window.to)).toEqual([
      '2026-01-04T00:00:00.000Z',
      '2026-01-03T00:00:00.000Z',
      '2026-01-02T00:00:00.000Z',
    ]);
    expect(windows.at(-1)?.from).toBe('2026-01-01T00:00:00.000Z');
  });
});
