import { describe, expect, test } from 'vitest';
import { hubspotObjects } from '../../../functions/readers/hubspot_objects.ts';
import type { Page } from '../../../functions/readers/reader.ts';
import type { Window } from '../../../functions/window.ts';
import type { HubspotObjectsArrival } from '../../../schemas/contract.ts';
import { checkpointWith, hubspotWorld, readWindow, UNTIL } from './virtual_world.ts';

const HOUR = 3_600_000;
const iso = (ms: number): string => new Date(ms).toISOString();
type Row = Readonly<Record<string, unknown>> & { readonly id: string };
type World = ReturnType<typeof hubspotWorld>;

const arrival = (object: HubspotObjectsArrival['object']): HubspotObjectsArrival => ({
  kind: 'hubspot_objects',
  schedule: '0 * * * *',
  object,
  full_every_hours: 24,
});
const full = (to: number): Window => ({ pass: 'full', from: iso(0), to: iso(to) });
const changed = (from: number, to: number): Window => ({
  pass: 'changed',
  from: iso(from),
  to: iso(to),
});

const rowsOf = (pages: readonly Page[]): readonly Row[] =>
  pages
    .filter((page) => page.records > 0)
    .flatMap((page) => {
      const value = JSON.parse(page.payload.toString()) as { results?: Row[] } & Row;
      return value.results ?? [value];
    });

/** Reads with a crash after every `pieces` pages. */
async function readAll(
  world: World,
  object: HubspotObjectsArrival['object'],
  window: Window,
  pieces = Number.POSITIVE_INFINITY,
) {
  const pages: Page[] = [];
  let runs = 0;
  for (let left: Window | null = window; left !== null; runs++) {
    const context = world.context(arrival(object), object);
    const piece: Awaited<ReturnType<typeof readWindow>> = await readWindow(
      hubspotObjects,
      left,
      context,
      pieces,
    );
    pages.push(...piece.pages);
    expect(piece.remaining).not.toEqual(left);
    left = piece.remaining;
  }
  return { pages, runs, rows: rowsOf(pages) };
}

const tombstones = (rows: readonly Row[]): readonly string[] =>
  rows.filter((row) => row['privacyDeleted'] === true).map((row) => row.id);
const contact = (n: number) => ({
  kind: 'upsert' as const,
  contact: {
    id: String(n),
    createdAt: iso(UNTIL),
    properties: { email: `p${n}@x.example`, country: 'PT' },
  },
});
const noPeople = { objectsDir: '/nowhere', searchLagMs: 0 } as const;

describe('contacts, all of them', () => {
  test('active and archived, with the properties the contract reads', async () => {
    const world = hubspotWorld({ scale: 20_000 });
    const { rows } = await readAll(world, 'contacts', full(UNTIL));
    const facts = world.hubspot.facts();
    expect(rows.filter((row) => row['archived'] === false).length).toBe(facts?.contacts.active);
    expect(rows.filter((row) => row['archived'] === true).length).toBe(facts?.contacts.archived);
    const properties = rows[0]?.['properties'] as Record<string, unknown>;
    expect(Object.keys(properties)).toEqual(
      expect.arrayContaining([
        'country',
        'email',
        'hs_additional_emails',
        'hs_merged_object_ids',
        'lifecyclestage',
      ]),
    );
  });

  test('in pieces, with the same rows', async () => {
    const world = hubspotWorld({ ...noPeople });
    world.hubspot.changeContacts(Array.from({ length: 7_350 }, (_, i) => contact(1_000 + i)));
    const { rows, runs } = await readAll(world, 'contacts', full(UNTIL), 20);
    expect(runs).toBeGreaterThan(3);
    expect(new Set(rows.map((row) => row.id)).size).toBe(7_350);
  });

  test('one that was there and is in no list any more is deleted for privacy; merged and archived ones are not', async () => {
    const world = hubspotWorld({ ...noPeople });
    world.hubspot.changeContacts(Array.from({ length: 2_500 }, (_, i) => contact(1_000 + i)));
    const first = await readAll(world, 'contacts', full(UNTIL));
    expect(tombstones(first.rows)).toEqual([]);
    world.clock.advance(24 * HOUR);
    world.hubspot.changeContacts([
      { kind: 'privacy_delete', id: '1234' },
      { kind: 'archive', id: '1500' },
      { kind: 'merge', id: '1600', into: '1601' },
    ]);
    const second = await readAll(world, 'contacts', full(world.clock.now()), 20);
    expect(tombstones(second.rows)).toEqual(['1234']);
    const [gone] = second.rows.filter((row) => row['privacyDeleted'] === true);
    expect(gone).toMatchObject({ archived: true });
    const survivor = second.rows.find((row) => row.id === '1601');
    expect(survivor?.['properties']).toMatchObject({ hs_merged_object_ids: '1600' });
    world.clock.advance(24 * HOUR);
    const third = await readAll(world, 'contacts', full(world.clock.now()));
    expect(tombstones(third.rows)).toEqual([]);
  });

  test('one that was only ever met between two full listings is noticed too', async () => {
    const world = hubspotWorld({ ...noPeople });
    world.hubspot.changeContacts([contact(1)]);
    await readAll(world, 'contacts', full(UNTIL));
    world.clock.advance(HOUR);
    world.hubspot.changeContacts([contact(2)]);
    world.clock.advance(HOUR);
    await readAll(world, 'contacts', changed(UNTIL, world.clock.now()));
    world.hubspot.changeContacts([{ kind: 'privacy_delete', id: '2' }]);
    world.clock.advance(HOUR);
    const { rows } = await readAll(world, 'contacts', full(world.clock.now()));
    expect(tombstones(rows)).toEqual(['2']);
  });

  test('a comparison that is cut off before it is landed says the same again', async () => {
    const world = hubspotWorld({ ...noPeople });
    world.hubspot.changeContacts(Array.from({ length: 300 }, (_, i) => contact(1 + i)));
    await readAll(world, 'contacts', full(UNTIL));
    world.clock.advance(24 * HOUR);
    world.hubspot.changeContacts([{ kind: 'privacy_delete', id: '77' }]);
    const window = full(world.clock.now());
    const once = await readAll(world, 'contacts', window);
    const again = await readAll(world, 'contacts', window);
    expect([tombstones(once.rows), tombstones(again.rows)]).toEqual([['77'], ['77']]);
  });

  test('what earlier comparisons kept does not pile up', async () => {
    const world = hubspotWorld({ ...noPeople });
    world.hubspot.changeContacts(Array.from({ length: 300 }, (_, i) => contact(1 + i)));
    const sizes: number[] = [];
    for (let day = 0; day < 6; day++) {
      await readAll(world, 'contacts', full(world.clock.now()));
      await readAll(world, 'contacts', changed(UNTIL, world.clock.now()));
      sizes.push(world.objects.names().length);
      world.clock.advance(24 * HOUR);
    }
    expect(sizes.at(-1)).toBe(sizes.at(-2));
  });
});

describe('contacts that changed', () => {
  test('are those of the window, and a little more', async () => {
    const world = hubspotWorld({ scale: 20_000 });
    const from = UNTIL - 10 * 24 * HOUR;
    const { rows } = await readAll(world, 'contacts', changed(from, UNTIL - 60_000));
    const expected = world.hubspot.contacts
      .all(UNTIL - 5_000)
      .filter((one) => !one.archived && one.updatedAt >= from && one.updatedAt < UNTIL - 60_000);
    expect(expected.length).toBeGreaterThan(20);
    expect(rows.map((row) => row.id)).toEqual(
      expect.arrayContaining(expected.map((one) => one.id)),
    );
  });

  test('more than 10,000 of one import are all read, in pieces too', async () => {
    const world = hubspotWorld({ ...noPeople });
    for (let i = 0; i < 12_345; i += 5) {
      world.clock.advance(1);
      world.hubspot.changeContacts(Array.from({ length: 5 }, (_, n) => contact(1_000 + i + n)));
    }
    world.clock.advance(120_000);
    const { rows } = await readAll(
      world,
      'contacts',
      changed(UNTIL, world.clock.now() - 60_000),
      9,
    );
    expect(new Set(rows.map((row) => row.id)).size).toBe(12_345);
    expect(world.hubspot.stats().by_status['400']).toBeUndefined();
  });

  test('a millisecond with more than a page of them is passed by id', async () => {
    const world = hubspotWorld({ ...noPeople });
    world.hubspot.changeContacts(Array.from({ length: 1_050 }, (_, i) => contact(99_999_500 + i)));
    world.clock.advance(1);
    world.hubspot.changeContacts([contact(5)]);
    world.clock.advance(120_000);
    const { rows } = await readAll(world, 'contacts', changed(UNTIL, UNTIL + 60_000), 1);
    expect(new Set(rows.map((row) => row.id)).size).toBe(1_051);
  });

  test('keep to the limit of searches', async () => {
    const world = hubspotWorld({ ...noPeople });
    for (let i = 0; i < 3_000; i++) {
      world.clock.advance(1);
      world.hubspot.changeContacts([contact(1 + i)]);
    }
    world.clock.advance(120_000);
    await readAll(world, 'contacts', changed(UNTIL, world.clock.now() - 60_000));
    expect(world.hubspot.stats().by_status).toEqual({ '200': 16 });
  });
});

describe('campaigns', () => {
  test('come one by one with their counters', async () => {
    const world = hubspotWorld({ scale: 5_000 });
    const { rows } = await readAll(world, 'email_campaigns', full(UNTIL), 3);
    expect(rows.length).toBe(25);
    const facts = world.hubspot.facts();
    for (const campaign of facts?.campaigns ?? []) {
      const row = rows.find((one) => String(one.id) === campaign.campaign_id);
      expect(row?.['counters']).toMatchObject({
        sent: campaign.sent,
        delivered: campaign.delivered,
      });
    }
  });

  test('between full listings only those with recent activity', async () => {
    const world = hubspotWorld({ scale: 5_000 });
    const { rows } = await readAll(world, 'email_campaigns', changed(UNTIL - 4 * 24 * HOUR, UNTIL));
    expect(rows.length).toBeGreaterThan(0);
    expect(rows.length).toBeLessThan(8);
  });

  test('one that vanishes between list and request is left out', async () => {
    const faults = [
      {
        where: ['/email/public/v1/campaigns/7'],
        trouble: { kind: 'status' as const, status: 404 },
      },
    ];
    const world = hubspotWorld({ scale: 5_000, faults });
    const { rows } = await readAll(world, 'email_campaigns', full(UNTIL));
    expect(rows.length).toBe(24);
  });
});

describe('marketing emails and owners', () => {
  test('marketing emails: all, or those edited since', async () => {
    const world = hubspotWorld({ scale: 5_000 });
    const all = await readAll(world, 'marketing_emails', full(UNTIL));
    expect(all.rows.length).toBe(23);
    const some = await readAll(world, 'marketing_emails', changed(UNTIL - 7 * 24 * HOUR, UNTIL));
    expect(some.rows.length).toBeGreaterThan(0);
    expect(some.rows.length).toBeLessThan(6);
  });

  test('owners: with their teams, those who left too', async () => {
    const world = hubspotWorld({ scale: 5_000 });
    const { rows, pages } = await readAll(world, 'owners', full(UNTIL));
    expect(rows.length).toBe(9);
    expect(rows.filter((row) => row['archived'] === true).map((row) => row['lastName'])).toEqual([
      'Former',
    ]);
    // The bytes as HubSpot sent them, not as the official client would write them again.
    expect(
      pages[0]?.payload.toString().startsWith('{"total":8,"results":[{"id":"51000","email"'),
    ).toBe(true);
  });

  test('an empty account is an empty result, not an error', async () => {
    const world = hubspotWorld({ ...noPeople });
    for (const object of ['contacts', 'owners', 'marketing_emails', 'email_campaigns'] as const) {
      expect((await readAll(world, object, full(UNTIL))).rows).toEqual([]);
    }
  });

  test('a missing scope is named', async () => {
    const faults = [
      {
        where: ['/owners'],
        trouble: { kind: 'missing_scope' as const, scopes: ['crm.objects.owners.read'] },
      },
    ];
    const world = hubspotWorld({ scale: 5_000, faults });
    await expect(readAll(world, 'owners', full(UNTIL))).rejects.toMatchObject({
      name: 'Permanent',
      code: 'hubspot_scope',
      message: expect.stringContaining('crm.objects.owners.read'),
    });
  });
});

describe('planning', () => {
  const plan = (
    edges: Readonly<Record<string, string>>,
    now: number,
    object: HubspotObjectsArrival['object'] = 'contacts',
  ) => hubspotObjects.plan(checkpointWith(edges), now, arrival(object));

  test('begins with everything, then changes, then everything again after a day', () => {
    const first = plan({}, UNTIL);
    expect(first.windows).toEqual([full(UNTIL)]);
    const second = plan(first.edges, UNTIL + HOUR);
    expect(second.windows).toEqual([changed(UNTIL - 60_000, UNTIL + HOUR - 60_000)]);
    const third = plan({ ...first.edges, ...second.edges }, UNTIL + 24 * HOUR);
    expect(third.windows.map((window) => window.pass)).toEqual(['full', 'changed']);
  });

  test('owners have no changes to ask for', () => {
    expect(plan({ full: iso(UNTIL) }, UNTIL + HOUR, 'owners').windows).toEqual([]);
  });
});
