import { describe, expect, test } from 'vitest';
import { ask } from '../../../functions/clients/hubspot.ts';
import { hubspotBudget, retryAfterMs } from '../../../functions/clients/rate_budget.ts';
import type { Fault, Trouble } from '../../../local/outside/hubspot/faults.ts';
import type { HubspotOptions } from '../../../local/outside/hubspot/state.ts';
import type { HubspotObjectsArrival } from '../../../schemas/contract.ts';
import { hubspotWorld, TOKEN, UNTIL } from '../readers/virtual_world.ts';

const arrival: HubspotObjectsArrival = {
  kind: 'hubspot_objects',
  schedule: '',
  object: 'owners',
  full_every_hours: 1,
};
const OWNERS = { method: 'GET', target: '/crm/v3/owners?email=somebody%40x.example' } as const;

function asking(options: Partial<HubspotOptions> = {}) {
  const world = hubspotWorld({ scale: 500, ...options });
  return { ...world, access: world.context(arrival, 'owners') };
}
const times = (trouble: Trouble, n: number): readonly Fault[] => [{ trouble, times: n }];

describe('a request', () => {
  test.each<[string, Trouble]>([
    ['half a body', { kind: 'half_body' }],
    ['no answer', { kind: 'no_answer' }],
    ['silence', { kind: 'hang' }],
    ['a body that is no JSON', { kind: 'broken_json' }],
    ['a gateway page', { kind: 'status', status: 502, body: '<html>Bad gateway</html>' }],
    ['a Cloudflare error', { kind: 'status', status: 521 }],
    ['a lock', { kind: 'status', status: 423 }],
    [
      'a rate limit without Retry-After',
      { kind: 'rate_limit', policyName: 'TEN_SECONDLY_ROLLING' },
    ],
    ['a short move', { kind: 'migrating', retryAfter: '5' }],
  ])('is asked again after %s', async (_name, trouble) => {
    const { access, hubspot } = asking({ faults: times(trouble, 3) });
    const answer = await ask(access, OWNERS);
    expect(answer.envelope['results']).toEqual([]);
    expect(hubspot.stats().requests).toBe(4);
  });

  test('waits as long as Retry-After says, and never much less than the lock asks for', async () => {
    for (const [trouble, least] of [
      [{ kind: 'rate_limit', policyName: 'SECONDLY', retryAfter: '7' }, 7_000],
      [
        {
          kind: 'rate_limit',
          policyName: 'SECONDLY',
          retryAfter: new Date(UNTIL + 9_000).toUTCString(),
        },
        8_000,
      ],
      [{ kind: 'status', status: 423 }, 2_000],
    ] as const) {
      const { access, clock } = asking({ faults: times(trouble, 1) });
      await ask(access, OWNERS);
      expect(clock.now() - UNTIL).toBeGreaterThanOrEqual(least);
      expect(clock.now() - UNTIL).toBeLessThan(least + 2_500);
    }
  });

  test('gives up after a while, and says that it may be tried later', async () => {
    const { access, hubspot, clock } = asking({
      faults: times({ kind: 'status', status: 503 }, 1e9),
    });
    await expect(ask(access, OWNERS)).rejects.toMatchObject({
      name: 'Transient',
      code: 'hubspot_unavailable',
    });
    expect(hubspot.stats().requests).toBe(9);
    expect(clock.now() - UNTIL).toBeLessThan(130_000);
  });

  test('sits a storm of refusals out, but not beyond the slice', async () => {
    const storm = times({ kind: 'rate_limit', policyName: 'TEN_SECONDLY_ROLLING' }, 30);
    const patient = asking({ faults: storm });
    expect((await ask(patient.access, OWNERS)).status).toBe(200);
    const hurried = asking({ faults: storm });
    const access = { ...hurried.access, deadline: UNTIL + 20_000 };
    await expect(ask(access, OWNERS)).rejects.toMatchObject({
      name: 'Transient',
      code: 'hubspot_rate_limit',
    });
    expect(hurried.clock.now()).toBeLessThanOrEqual(UNTIL + 20_000);
  });

  test('is not begun long after the slice is over', async () => {
    const { access, hubspot } = asking();
    await ask({ ...access, deadline: UNTIL - 10_000 }, OWNERS);
    const late = ask({ ...access, deadline: UNTIL - 30_000 }, OWNERS);
    await expect(late).rejects.toMatchObject({ name: 'Transient', code: 'slice_over' });
    expect(hubspot.stats().requests).toBe(1);
  });

  test('does not ask again when the day is spent, and says when', async () => {
    const { access, hubspot } = asking({
      faults: times({ kind: 'rate_limit', policyName: 'DAILY' }, 1e9),
    });
    await expect(ask(access, OWNERS)).rejects.toMatchObject({
      name: 'Transient',
      code: 'hubspot_daily_quota',
      retryAfterMs: 3_600_000,
    });
    expect(hubspot.stats().requests).toBe(1);
  });

  test('a move of the account for hours is waited for elsewhere', async () => {
    const { access } = asking({ faults: times({ kind: 'migrating', retryAfter: '86400' }, 1e9) });
    const soon = { ...access, deadline: UNTIL + 480_000 };
    await expect(ask(soon, OWNERS)).rejects.toMatchObject({
      code: 'hubspot_migrating',
      retryAfterMs: 86_400_000,
    });
  });

  test.each<[Trouble, string, RegExp]>([
    [{ kind: 'bad_token' }, 'hubspot_token', /secret hubspot-token/],
    [{ kind: 'status', status: 530 }, 'hubspot_token', /new version/],
    [
      { kind: 'missing_scope', scopes: ['content', 'x.read'] },
      'hubspot_scope',
      /scope content, x\.read/,
    ],
    [
      { kind: 'status', status: 403, body: 'forbidden' },
      'hubspot_scope',
      /crm\.objects\.owners\.read/,
    ],
    [{ kind: 'status', status: 404 }, 'hubspot_not_found', /GET \/crm\/v3\/owners/],
    [{ kind: 'status', status: 414 }, 'hubspot_request', /414/],
  ])('%j needs a person, and says what to do', async (trouble, code, saying) => {
    const { access, hubspot } = asking({ faults: times(trouble, 1e9) });
    const failure = await ask(access, OWNERS).catch(
      (error: unknown) => error as Error & { code: string },
    );
    expect(failure).toMatchObject({ name: 'Permanent', code });
    expect((failure as Error).message).toMatch(saying);
    // Neither the token nor the person asked about.
    expect((failure as Error).message).not.toMatch(/pat-na1|somebody/);
    expect(hubspot.stats().requests).toBe(1);
  });

  test('takes up a token that was replaced meanwhile', async () => {
    const { access, tokens, hubspot } = asking();
    await ask(access, OWNERS);
    hubspot.faults.add(times({ kind: 'bad_token' }, 1));
    tokens.current = `${TOKEN}-new`;
    expect((await ask(access, OWNERS)).status).toBe(200);
    expect(hubspot.stats().by_status).toEqual({ '200': 2, '401': 1 });
  });

  test('hands the bytes on untouched', async () => {
    const { access, hubspot } = asking();
    const raw =
      '{"id":"a","created":1795170000000,"type":"X","big":12345678901234567890,"e":"\\u00fc"}';
    hubspot.events.add([raw], UNTIL);
    const answer = await ask(access, {
      method: 'GET',
      target: '/email/public/v1/events?startTimestamp=1795170000000&endTimestamp=1795170000000',
    });
    expect(answer.body.toString()).toContain(raw);
  });
});

describe('the rate budget', () => {
  test('learns the limit from the answers and is never refused', async () => {
    const { access, hubspot, clock } = asking({
      limits: { perInterval: 250 },
      latencyMs: 40,
      jitterMs: 60,
    });
    await ask(access, OWNERS);
    const started = clock.now();
    const lane = async (): Promise<void> => {
      for (let n = 0; n < 99; n++) await ask(access, OWNERS);
    };
    await Promise.all(Array.from({ length: 20 }, lane));
    const { by_status } = hubspot.stats();
    expect(by_status).toEqual({ '200': 1_981 });
    // 1,981 requests at 250 per ten seconds: seven waits after the first 250.
    expect(clock.now() - started).toBeGreaterThan(69_000);
    expect(clock.now() - started).toBeLessThan(73_000);
  });

  test('leaves room for others that use the same token', async () => {
    const { access, hubspot, clock } = asking({ latencyMs: 50 });
    let refused = 0;
    const others = async (): Promise<void> => {
      for (let n = 0; n < 300; n++) {
        const { status } = hubspot.answer({
          method: 'GET',
          target: '/crm/v3/owners',
          headers: { authorization: `Bearer ${TOKEN}` },
          body: '',
        });
        refused += status === 429 ? 1 : 0;
        await clock.sleep(100);
      }
    };
    const ours = async (): Promise<void> => {
      for (let n = 0; n < 80; n++) await ask(access, OWNERS);
    };
    await Promise.all([others(), ...Array.from({ length: 5 }, ours)]);
    const { by_status, requests } = hubspot.stats();
    const oursRefused = (by_status['429'] ?? 0) - refused;
    expect(oursRefused / (requests - 300)).toBeLessThan(0.1);
  });

  test('keeps the share of the day that belongs to others, and goes on when the day is new', async () => {
    const { hubspot, clock, world, access, logged } = asking({ limits: { daily: 100 } });
    const budget = hubspotBudget(world, { dailyShare: 0.6 });
    const limited = { ...access, budget };
    const reasons: unknown[] = [];
    for (let n = 0; n < 80; n++)
      await ask(limited, OWNERS).catch((error: unknown) => reasons.push(error));
    expect(hubspot.limits.usedToday(clock.now())).toBe(60);
    expect(reasons[0]).toMatchObject({ name: 'Transient', code: 'hubspot_daily_quota' });
    expect(reasons.length).toBe(20);
    expect(logged.filter((line) => line.event === 'hubspot_daily_quota').length).toBe(1);
    // Asked again now and then: one request finds out, no more.
    clock.advance(3_600_000);
    await expect(ask(limited, OWNERS)).resolves.toBeDefined();
    await expect(ask(limited, OWNERS)).rejects.toMatchObject({ code: 'hubspot_daily_quota' });
    clock.advance(24 * 3_600_000);
    await ask(limited, OWNERS);
    await expect(ask(limited, OWNERS)).resolves.toBeDefined();
  });

  test('a quota of zero is an answer a person understands', async () => {
    const { access } = asking({ limits: { daily: 0 } });
    await expect(ask(access, OWNERS)).rejects.toMatchObject({
      code: 'hubspot_daily_quota',
      message: expect.stringContaining('midnight'),
    });
  });

  test('works where there are no daily headers', async () => {
    const { access, hubspot } = asking({ limits: { oauth: true, perInterval: 110 } });
    for (let n = 0; n < 150; n++) await ask(access, OWNERS);
    expect(hubspot.stats().by_status).toEqual({ '200': 150 });
  });
});

test('Retry-After is read as seconds or as a date, else not at all', () => {
  expect(retryAfterMs({ 'retry-after': '12' }, 0)).toBe(12_000);
  expect(retryAfterMs({ 'retry-after': 'Thu, 01 Jan 1970 00:01:00 GMT' }, 20_000)).toBe(40_000);
  expect(retryAfterMs({ 'retry-after': 'soon' }, 0)).toBeNull();
  expect(retryAfterMs({}, 0)).toBeNull();
});
