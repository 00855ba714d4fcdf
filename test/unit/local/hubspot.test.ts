import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import {
  type HubspotServerOptions,
  type RunningHubspot,
  startHubspot,
} from '../../../local/outside/hubspot/server.ts';

const UNTIL = Date.parse('2026-11-20T12:00:00.000Z');
const DAY = 86_400_000;
type Raw = Readonly<Record<string, unknown>>;
interface EventPage {
  readonly events: readonly (Raw & { readonly id: string; readonly created: number })[];
  readonly hasMore: boolean;
  readonly offset: string;
}

const running: RunningHubspot[] = [];
afterEach(async () => {
  for (const one of running.splice(0)) await one.close();
});

async function start(options: Partial<HubspotServerOptions> = {}) {
  const time = { now: options.until ?? UNTIL };
  const one = await startHubspot({ until: UNTIL, scale: 3_000, clock: () => time.now, ...options });
  running.push(one);
  const headers = { authorization: 'Bearer any' };
  const get = (target: string) => fetch(one.url + target, { headers });
  const page = async (query: string): Promise<EventPage> =>
    (await (await get(`/email/public/v1/events?${query}`)).json()) as EventPage;
  const post = (target: string, body: unknown) =>
    fetch(one.url + target, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  return { ...one, time, get, page, post };
}

describe('v1 email events', () => {
  test('come newest first, ten by default, at most a thousand', async () => {
    const { page, get } = await start();
    const usual = await page('');
    expect(usual.events.length).toBe(10);
    expect(usual.events.map((one) => one.created)).toEqual(
      usual.events.map((one) => one.created).sort((a, b) => b - a),
    );
    expect((await page('limit=1000')).events.length).toBe(1_000);
    expect((await get('/email/public/v1/events?limit=1001')).status).toBe(400);
  });

  test('both ends of the time range are inclusive', async () => {
    const { page } = await start();
    const { events } = await page('limit=50');
    const [newer, older] = [events[10], events[40]] as [Raw, Raw];
    const inside = await page(
      `limit=1000&startTimestamp=${older['created']}&endTimestamp=${newer['created']}`,
    );
    expect(inside.events.at(0)?.created).toBe(newer['created']);
    expect(inside.events.at(-1)?.created).toBe(older['created']);
  });

  test('paging gives every event once and then says so', async () => {
    const { page, hubspot } = await start();
    const keys: string[] = [];
    let offset = '';
    for (;;) {
      const found = await page(`limit=333${offset}`);
      keys.push(...found.events.map((one) => `${one.created} ${one.id}`));
      if (!found.hasMore) break;
      offset = `&offset=${found.offset}`;
    }
    expect(new Set(keys).size).toBe(keys.length);
    expect(keys.length).toBe(hubspot.facts()?.events);
  });

  test('an offset serves its own query only, for its time', async () => {
    const { page, get, time, post } = await start({ offsetTtlMs: 60_000 });
    const { offset } = await page('limit=5&eventType=OPEN');
    expect(
      (await get(`/email/public/v1/events?limit=5&eventType=CLICK&offset=${offset}`)).status,
    ).toBe(400);
    expect(
      (await get(`/email/public/v1/events?limit=5&eventType=OPEN&offset=nonsense`)).status,
    ).toBe(400);
    expect(
      (await get(`/email/public/v1/events?limit=5&eventType=OPEN&offset=${offset}`)).status,
    ).toBe(200);
    await post('/_stand-in/expire-offsets', {});
    expect(
      (await get(`/email/public/v1/events?limit=5&eventType=OPEN&offset=${offset}`)).status,
    ).toBe(400);
    const fresh = (await page('limit=5&eventType=OPEN')).offset;
    time.now += 60_001;
    expect(
      (await get(`/email/public/v1/events?limit=5&eventType=OPEN&offset=${fresh}`)).status,
    ).toBe(400);
  });

  test('filters by type (case counts), campaign, recipient and the bot filter', async () => {
    const { page } = await start();
    expect((await page('eventType=open')).events).toEqual([]);
    const opens = await page('eventType=OPEN&limit=1000');
    expect(new Set(opens.events.map((one) => one['type']))).toEqual(new Set(['OPEN']));
    const { emailCampaignId, recipient } = opens.events[0] as Raw;
    for (const one of (await page(`campaignId=${emailCampaignId}&limit=100`)).events)
      expect(one['emailCampaignId']).toBe(emailCampaignId);
    for (const one of (await page(`recipient=${encodeURIComponent(String(recipient))}`)).events)
      expect(one['recipient']).toBe(recipient);
    const people = await page('eventType=OPEN&limit=1000&excludeFilteredEvents=true');
    expect(people.events.length).toBeLessThan(opens.events.length);
    expect(people.events.some((one) => one['filteredEvent'] === true)).toBe(false);
  });

  test('one event by time and id', async () => {
    const { page, get } = await start();
    const { events } = await page('limit=3');
    const wanted = events[2] as Raw;
    expect(
      await (await get(`/email/public/v1/events/${wanted['created']}/${wanted['id']}`)).json(),
    ).toEqual(wanted);
    expect((await get(`/email/public/v1/events/${wanted['created']}/no`)).status).toBe(404);
  });

  test('late ones appear in their old place, from their hour on', async () => {
    const { page, post, time } = await start();
    const late = { id: 'late', created: UNTIL - 3 * DAY, type: 'OPEN', emailCampaignId: 1 };
    await post('/_stand-in/events', { events: [late], visibleAt: UNTIL + 3_600_000 });
    const range = `limit=1000&startTimestamp=${late.created}&endTimestamp=${late.created}`;
    expect((await page(range)).events).toEqual([]);
    time.now += 3_600_000;
    expect((await page(range)).events).toEqual([late]);
  });

  test('the future is not told', async () => {
    const { page, time } = await start();
    const before = await page('limit=1');
    expect(before.events[0]?.created).toBeLessThanOrEqual(UNTIL);
    time.now += 2 * DAY;
    expect((await page('limit=1')).events[0]?.created).toBeGreaterThan(UNTIL);
  });

  test('a SENT is changed afterwards when a DROPPED obsoletes it', async () => {
    const { hubspot, get, time } = await start({ scale: 20_000 });
    const seeded = hubspot.seeded as NonNullable<typeof hubspot.seeded>;
    for (let send = 0; send < seeded.sends; send++) {
      const { happenings } = seeded.journeyOf(send);
      const [sent, dropped] = happenings;
      if (
        sent?.obsoletedBy === undefined ||
        dropped === undefined ||
        dropped.created - sent.created < 3_600_000
      )
        continue;
      const range = `limit=1000&eventType=SENT&startTimestamp=${sent.created}&endTimestamp=${sent.created}`;
      const find = async (): Promise<readonly unknown[]> => {
        const found = (await (await get(`/email/public/v1/events?${range}`)).json()) as EventPage;
        return found.events.map((one) => one['obsoletedBy']).filter((one) => one !== undefined);
      };
      time.now = dropped.created - 1;
      expect(await find()).toEqual([]);
      time.now = dropped.created;
      expect(await find()).toMatchObject([{ created: dropped.created }]);
      return;
    }
    throw new Error('no SENT of this account is obsoleted late');
  });
});

describe('limits and refusals', () => {
  test('190 requests in ten rolling seconds, told in headers, then 429', async () => {
    const { get, time } = await start();
    let last = await get('/crm/v3/owners');
    for (let n = 1; n < 190; n++) last = await get('/crm/v3/owners');
    expect(last.headers.get('x-hubspot-ratelimit-max')).toBe('190');
    expect(last.headers.get('x-hubspot-ratelimit-remaining')).toBe('0');
    expect(last.headers.get('x-hubspot-ratelimit-daily-remaining')).toBe(String(625_000 - 190));
    const refused = await get('/crm/v3/owners');
    expect(refused.status).toBe(429);
    expect(await refused.json()).toMatchObject({
      errorType: 'RATE_LIMIT',
      policyName: 'TEN_SECONDLY_ROLLING',
    });
    time.now += 9_999;
    expect((await get('/crm/v3/owners')).status).toBe(429);
    time.now += 1;
    expect((await get('/crm/v3/owners')).status).toBe(200);
  });

  test('the day ends at midnight of the account, and search has five a second', async () => {
    const { get, post, time } = await start({ limits: { daily: 3, dayOffsetMs: 3_600_000 } });
    for (let n = 0; n < 3; n++) expect((await get('/crm/v3/owners')).status).toBe(200);
    expect(await (await get('/crm/v3/owners')).json()).toMatchObject({ policyName: 'DAILY' });
    time.now = Date.parse('2026-11-20T23:00:00Z');
    expect((await get('/crm/v3/owners')).status).toBe(200);
    await post('/_stand-in/settings', { limits: { daily: 1_000 } });
    const statuses: number[] = [];
    for (let n = 0; n < 6; n++)
      statuses.push((await post('/crm/v3/objects/contacts/search', {})).status);
    expect(statuses).toEqual([200, 200, 200, 200, 200, 429]);
  });

  test('no token, wrong paths, and what tests ask to go wrong', async () => {
    const { url, get, post, hubspot } = await start();
    expect((await fetch(`${url}/crm/v3/owners`)).status).toBe(401);
    expect((await get('/contacts/v1/lists')).status).toBe(404);
    await post('/_stand-in/faults', {
      faults: [
        { where: ['/owners'], trouble: { kind: 'missing_scope', scopes: ['a.b'] } },
        { where: ['/owners'], trouble: { kind: 'half_body' } },
        { where: ['/owners'], trouble: { kind: 'no_answer' } },
        {
          where: ['/owners'],
          trouble: { kind: 'rate_limit', policyName: 'SECONDLY', retryAfter: '9' },
        },
      ],
    });
    expect(await (await get('/crm/v3/owners')).json()).toMatchObject({
      category: 'MISSING_SCOPES',
      errors: [{ context: { missingScopes: ['a.b'] } }],
    });
    await expect(get('/crm/v3/owners').then((one) => one.text())).rejects.toThrow();
    await expect(get('/crm/v3/owners')).rejects.toThrow();
    const refused = await get('/crm/v3/owners');
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '9']);
    expect((await get('/crm/v3/owners')).status).toBe(200);
    expect(hubspot.stats().by_status).toMatchObject({ half: 1, none: 1 });
  });

  test('latency is per request, not per server, and counted', async () => {
    const { get, hubspot } = await start({ latencyMs: 60 });
    const began = performance.now();
    await Promise.all(Array.from({ length: 8 }, () => get('/crm/v3/owners')));
    expect(performance.now() - began).toBeLessThan(400);
    expect(hubspot.stats().in_flight_most).toBe(8);
  });
});

describe('objects', () => {
  const ids = (body: unknown) =>
    (body as { results: { id: string }[] }).results.map((one) => one.id);

  test('contacts are listed a hundred at a time, archived ones apart', async () => {
    const { get, hubspot } = await start();
    expect((await get('/crm/v3/objects/contacts?limit=101')).status).toBe(400);
    const facts = hubspot.facts()?.contacts;
    for (const [archived, expected] of [
      ['false', facts?.active],
      ['true', facts?.archived],
    ] as const) {
      const all: string[] = [];
      for (let after = ''; ; ) {
        const body = (await (
          await get(`/crm/objects/2026-09/contacts?limit=100&archived=${archived}${after}`)
        ).json()) as { paging?: { next: { after: string } } };
        all.push(...ids(body));
        if (body.paging === undefined) break;
        after = `&after=${body.paging.next.after}`;
      }
      expect(all.length).toBe(expected);
      expect(new Set(all).size).toBe(all.length);
    }
  });

  test('a search ends at 10,000 results', async () => {
    const { post, time } = await start({ objectsDir: '/nowhere', searchLagMs: 0 });
    await post('/_stand-in/contacts', {
      changes: Array.from({ length: 10_500 }, (_, i) => ({
        kind: 'upsert',
        contact: { id: String(i + 1), properties: { email: `a${i}@x.example` } },
      })),
    });
    const search = (body: Raw) => post('/crm/v3/objects/contacts/search', body);
    expect((await search({ limit: 201 })).status).toBe(400);
    const last = (await (await search({ limit: 200, after: 9_800 })).json()) as {
      total: number;
      paging: { next: { after: string } };
    };
    expect([last.total, last.paging.next.after]).toEqual([10_500, '10000']);
    expect((await search({ limit: 200, after: last.paging.next.after })).status).toBe(400);
    time.now += 1_000;
    const filters = [
      { propertyName: 'lastmodifieddate', operator: 'EQ', value: String(UNTIL) },
      { propertyName: 'hs_object_id', operator: 'GT', value: '9999' },
    ];
    const rest = await (
      await search({
        limit: 200,
        filterGroups: [{ filters }],
        sorts: [{ propertyName: 'hs_object_id', direction: 'ASCENDING' }],
      })
    ).json();
    expect(ids(rest).slice(0, 2)).toEqual(['10000', '10001']);
    const between = [
      { propertyName: 'hs_object_id', operator: 'BETWEEN', value: '5', highValue: '7' },
    ];
    expect(
      ids(
        await (
          await search({ filterGroups: [{ filters: between }], sorts: ['-hs_object_id'] })
        ).json(),
      ),
    ).toEqual(['7', '6', '5']);
  });

  test('archive, merge, privacy deletion', async () => {
    const { get, post } = await start({ objectsDir: '/nowhere', searchLagMs: 0 });
    const upsert = (id: string) => ({
      kind: 'upsert',
      contact: { id, properties: { email: `${id}@x.example` } },
    });
    await post('/_stand-in/contacts', {
      changes: [
        upsert('1'),
        upsert('2'),
        upsert('3'),
        upsert('4'),
        { kind: 'archive', id: '1' },
        { kind: 'merge', id: '2', into: '3' },
        { kind: 'privacy_delete', id: '4' },
      ],
    });
    expect(ids(await (await get('/crm/v3/objects/contacts?limit=100')).json())).toEqual(['3']);
    expect(
      ids(await (await get('/crm/v3/objects/contacts?limit=100&archived=true')).json()),
    ).toEqual(['1']);
    const survivor = await (
      await get('/crm/v3/objects/contacts/2?properties=hs_merged_object_ids,hs_additional_emails')
    ).json();
    expect(survivor).toMatchObject({
      id: '3',
      properties: { hs_merged_object_ids: '2', hs_additional_emails: '2@x.example' },
    });
    const batch = await post('/crm/v3/objects/contacts/batch/read', {
      inputs: [{ id: '3' }, { id: '4' }],
    });
    expect(batch.status).toBe(207);
    expect(ids(await batch.json())).toEqual(['3']);
  });

  test('campaign counters agree with the events, but for a planted difference', async () => {
    const { get, hubspot, post } = await start();
    const facts = hubspot.facts();
    const [first] = facts?.campaigns ?? [];
    const id = first?.campaign_id as string;
    const counters = async () =>
      (
        (await (await get(`/email/public/v1/campaigns/${id}`)).json()) as {
          counters: Record<string, number>;
        }
      ).counters;
    const counted = new Map<string, number>();
    for (let offset = ''; ; ) {
      const page = (await (
        await get(`/email/public/v1/events?limit=1000&campaignId=${id}${offset}`)
      ).json()) as EventPage;
      for (const event of page.events) {
        if (event['obsoletedBy'] !== undefined) continue;
        const name = String(event['type']).toLowerCase();
        counted.set(name, (counted.get(name) ?? 0) + 1);
      }
      if (!page.hasMore) break;
      offset = `&offset=${page.offset}`;
    }
    const { unsubscribed: _unsubscribed, ...types } = await counters();
    expect(types).toEqual(
      Object.fromEntries([...counted].filter(([name]) => name !== 'inbox_summary_viewed')),
    );
    expect(types['sent']).toBe(first?.sent);
    await post('/_stand-in/discrepancy', { campaignId: id, counter: 'open', add: 7 });
    expect((await counters())['open']).toBe((types['open'] as number) + 7);
  });

  test('usage, owners with teams, marketing emails', async () => {
    const { get } = await start();
    expect(await (await get('/account-info/v3/api-usage/daily/private-apps')).json()).toMatchObject(
      { results: [{ usageLimit: 625_000, resetsAt: '2026-11-21T00:00:00.000Z' }] },
    );
    const owners = (await (await get('/crm/v3/owners')).json()) as {
      results: { teams?: { primary: boolean }[] }[];
    };
    expect(owners.results.length).toBe(8);
    expect(owners.results.filter((one) => one.teams?.some((team) => team.primary)).length).toBe(7);
    const emails = (await (await get('/marketing/v3/emails?limit=100')).json()) as {
      results: { allEmailCampaignIds: string[] }[];
    };
    expect(emails.results.flatMap((one) => one.allEmailCampaignIds).length).toBe(24);
  });
});

describe('the seeded account', () => {
  test('is the same for the same seed, another for another', async () => {
    const [a, b, c] = [
      await start({ seed: 5 }),
      await start({ seed: 5 }),
      await start({ seed: 6 }),
    ];
    const sample = async (one: typeof a) =>
      (await one.get('/email/public/v1/events?limit=1000')).text();
    expect(await sample(a)).toBe(await sample(b));
    expect(await sample(a)).not.toBe(await sample(c));
  });

  test('holds everything that a real one holds, and what was planted', async () => {
    const { hubspot, get } = await start({ scale: 'small' });
    const facts = hubspot.facts() as NonNullable<ReturnType<typeof hubspot.facts>>;
    expect(facts.campaigns.length).toBeGreaterThanOrEqual(20);
    expect(facts.events).toBeGreaterThan(100_000);
    expect(new Set(facts.campaigns.map((one) => one.team)).size).toBe(6);
    for (const type of [
      'SENT',
      'PROCESSED',
      'DELIVERED',
      'DEFERRED',
      'BOUNCE',
      'DROPPED',
      'OPEN',
      'CLICK',
      'STATUSCHANGE',
      'SPAMREPORT',
      'SUPPRESSED',
      'FORWARD',
      'PRINT',
      'INBOX_SUMMARY_VIEWED',
      '',
    ]) {
      expect(facts.events_by_type[type], type).toBeGreaterThan(0);
    }
    expect(facts.best_campaign.name).toBe('Autumn collection: first look');
    expect(facts.worst_campaign.name).toBe('Terms of service update');
    expect(facts.best_send_hour.hour).toBe(10);
    expect(facts.best_send_hour.human_open_rate).toBeGreaterThan(
      facts.best_send_hour.next_best_rate * 1.2,
    );
    expect(facts.country.opens / facts.country.opens_of_campaign).toBeGreaterThan(0.5);
    expect(facts.flood.events).toBeGreaterThan(1_000);
    expect(facts.bounce_wave.hard_bounced / facts.bounce_wave.sent).toBeGreaterThan(0.5);
    expect(facts.late_clicks.clicks).toBeGreaterThan(20);
    const flood = (await (
      await get(
        `/email/public/v1/events?limit=1000&startTimestamp=${facts.flood.created}&endTimestamp=${facts.flood.created}`,
      )
    ).json()) as EventPage;
    expect(flood.hasMore).toBe(true);
    const ids = new Map<string, number>();
    const { events } = hubspot.seeded as NonNullable<typeof hubspot.seeded>;
    for (let i = 0; i < events.size; i += 1) {
      const { id } = events.meta(i);
      ids.set(id, (ids.get(id) ?? 0) + 1);
    }
    expect([...ids.values()].some((uses) => uses > 1)).toBe(true);
  });

  test('a million events take eight bytes each, not a million objects', async () => {
    const before = process.memoryUsage().arrayBuffers;
    const { hubspot, page } = await start({ scale: 'medium' });
    expect(hubspot.seeded?.events.size).toBeGreaterThan(1_000_000);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(60_000_000);
    expect((await page('limit=1000')).events.length).toBe(1_000);
  });
});

describe('given data', () => {
  let folder: string;
  const given = async (files: Readonly<Record<string, string>>): Promise<string> => {
    folder = await mkdtemp(join(tmpdir(), 'hubspot-'));
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
    return folder;
  };
  afterEach(async () => {
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  });

  test('events are served byte for byte, whatever their order and fields', async () => {
    const lines = [
      '{"id":"b","created":1584385400357,"type":"OPEN","emailCampaignId":2,"n":1.50,"big":12345678901234567890}',
      '{"id":"c","created":1590332496000,"type":"CLICK","emailCampaignId":2,"url":"https:\\/\\/x"}',
      '{"id":"a","created":1584385248934,"type":"SENT","emailCampaignId":2,"obsoletedBy":{"id":"z","created":1}}',
      '{"id":"u","created":1584385500000,"causedBy":{"id":"b","created":1584385400357}}',
    ];
    const dir = await given({
      'events.ndjson': `${lines.join('\n')}\n\n`,
      'campaigns.ndjson': '{"id":2,"name":"Two"}\n',
    });
    const { get } = await start({ eventsFile: join(dir, 'events.ndjson'), objectsDir: dir });
    const body = await (await get('/email/public/v1/events?limit=1000')).text();
    expect(body).toContain(`"events":[${[lines[1], lines[3], lines[0], lines[2]].join(',')}]`);
    expect(await (await get('/email/public/v1/campaigns/2')).json()).toEqual({
      id: 2,
      name: 'Two',
      counters: { open: 1, click: 1 },
    });
    expect(await (await get('/crm/v3/owners')).json()).toMatchObject({ results: [] });
  });

  test('contacts, emails and owners come from their files', async () => {
    const dir = await given({
      'contacts.ndjson':
        '{"id":"9","properties":{"email":"a@x.example","createdate":"2026-01-02T03:04:05Z"},"archived":false}\n',
      'owners.ndjson': '{"id":"1","userId":7,"teams":[{"id":"3","name":"T","primary":true}]}\n',
    });
    const { get } = await start({ objectsDir: dir });
    expect(await (await get('/crm/v3/objects/contacts')).json()).toMatchObject({
      results: [
        { id: '9', createdAt: '2026-01-02T03:04:05.000Z', properties: { email: 'a@x.example' } },
      ],
    });
    expect(await (await get('/crm/v3/owners')).json()).toMatchObject({ results: [{ userId: 7 }] });
    expect(await (await get('/email/public/v1/events')).json()).toMatchObject({
      events: [],
      hasMore: false,
    });
  });

  test('a line that cannot be served is refused by its number', async () => {
    const dir = await given({
      'events.ndjson': '{"id":"a","created":1}\n{"id":"b","created":"soon"}\n',
    });
    await expect(start({ eventsFile: join(dir, 'events.ndjson') })).rejects.toThrow(
      /events\.ndjson:2 .*"soon"/,
    );
  });
});
