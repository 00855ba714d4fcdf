/** One request to a REST API: what is asked again, what a person must do, and what is never told. */
import { afterEach, describe, expect, test } from 'vitest';
import { wholeFetch } from '../../../functions/clients/fetch.ts';
import { ask, type RestAccess } from '../../../functions/clients/rest_api.ts';
import { restBudget } from '../../../functions/clients/rest_budget.ts';
import { Permanent } from '../../../functions/errors.ts';
import type { Fault, Trouble } from '../../../local/outside/orders/faults.ts';
import { type RunningOrders, startOrders } from '../../../local/outside/orders/server.ts';
import { MINUTE, order, ordersWorld, TOKEN } from '../readers/orders_world.ts';
import { UNTIL } from '../readers/virtual_world.ts';

const LIST = { target: '/orders?updated_since=2026-11-20T00%3A00%3A00.000Z&who=somebody' };
const times = (trouble: Trouble, count: number): readonly Fault[] => [{ trouble, times: count }];

function asking(options: Parameters<typeof ordersWorld>[0] = {}) {
  const world = ordersWorld({ rows: [order(1, UNTIL - MINUTE)], ...options });
  const access: RestAccess = world.context();
  return { ...world, access };
}

describe('a request', () => {
  test.each<Trouble>([
    { kind: 'half_body' },
    { kind: 'no_answer' },
    { kind: 'hang' },
    { kind: 'broken_json' },
    { kind: 'gateway_page' },
    { kind: 'status', status: 500 },
    { kind: 'status', status: 502, body: '<html>' },
    { kind: 'status', status: 408 },
    { kind: 'status', status: 429 },
  ])('is asked again after %j', async (trouble) => {
    const { access, orders, logged } = asking({ faults: times(trouble, 2) });
    const answer = await ask(access, LIST);
    expect(answer.body.toString()).toContain('"order_id":"o1"');
    expect(orders.stats().requests).toBe(3);
    expect(logged.map(({ event }) => event)).toEqual(['api_retry', 'api_retry']);
  });

  test.each([
    ['seconds', '7'],
    ['a date', new Date(UNTIL + 7_000).toUTCString()],
  ])('waits as long as Retry-After says: %s', async (_, retryAfter) => {
    for (const status of [429, 503, 403]) {
      const { access, clock } = asking({
        faults: times({ kind: 'status', status, retryAfter }, 1),
      });
      await ask(access, LIST);
      expect(clock.now() - UNTIL).toBeGreaterThanOrEqual(7_000);
      expect(clock.now() - UNTIL).toBeLessThan(8_500);
    }
  });

  test('gives up after a while, and says that it may be tried later', async () => {
    const { access, orders, clock } = asking({
      faults: times({ kind: 'status', status: 503 }, 1e9),
    });
    await expect(ask(access, LIST)).rejects.toMatchObject({
      name: 'Transient',
      code: 'api_unavailable',
    });
    expect(orders.stats().requests).toBe(9);
    expect(clock.now() - UNTIL).toBeLessThan(130_000);
  });

  test('sits a storm of refusals out, but not beyond the slice', async () => {
    const storm = times({ kind: 'status', status: 429 }, 14);
    expect((await ask(asking({ faults: storm }).access, LIST)).status).toBe(200);
    const hurried = asking({ faults: storm });
    const access = { ...hurried.access, deadline: UNTIL + 20_000 };
    await expect(ask(access, LIST)).rejects.toMatchObject({ code: 'api_rate_limit' });
    expect(hurried.clock.now()).toBeLessThanOrEqual(UNTIL + 20_000);
  });

  test('a wait that is longer than the slice is told, not waited', async () => {
    const faults = times({ kind: 'status', status: 429, retryAfter: '3600' }, 1);
    const { access, clock } = asking({ faults });
    const soon = { ...access, deadline: UNTIL + 480_000 };
    await expect(ask(soon, LIST)).rejects.toMatchObject({
      code: 'api_rate_limit',
      retryAfterMs: 3_600_000,
    });
    expect(clock.now()).toBe(UNTIL);
  });

  test('is not begun long after the slice is over', async () => {
    const { access, orders } = asking();
    await ask({ ...access, deadline: UNTIL - 10_000 }, LIST);
    const late = ask({ ...access, deadline: UNTIL - 30_000 }, LIST);
    await expect(late).rejects.toMatchObject({ name: 'Transient', code: 'slice_over' });
    expect(orders.stats().requests).toBe(1);
  });

  test.each<[Trouble, string, RegExp]>([
    [{ kind: 'bad_token' }, 'api_token', /TRIBUTARY_API_SECRET/],
    [{ kind: 'forbidden' }, 'api_scope', /\*\*\* may not read orders/],
    [{ kind: 'status', status: 404 }, 'api_not_found', /GET \/orders/],
    [{ kind: 'status', status: 400 }, 'api_request', /status 400/],
    [{ kind: 'status', status: 302 }, 'api_request', /redirect/],
  ])('%j needs a person, and says what to do', async (trouble, code, saying) => {
    const { access, orders } = asking({ faults: times(trouble, 1e9) });
    const failure = await ask(access, LIST).catch((error: unknown) => error as Error);
    expect(failure).toMatchObject({ name: 'Permanent', code });
    expect((failure as Error).message).toMatch(saying);
    // Neither the token nor whom the request was about.
    expect((failure as Error).message).not.toMatch(/somebody|tok-4711/);
    expect(orders.stats().requests).toBe(1);
  });

  test('takes up a token that was replaced meanwhile', async () => {
    const { access, tokens, orders } = asking();
    await ask(access, LIST);
    orders.token = 'another-token';
    tokens.current = ' another-token\n';
    expect((await ask(access, LIST)).status).toBe(200);
    expect(orders.stats().by_status).toEqual({ '200': 2, '401': 1 });
  });

  test.each(['', '\n', 'two words', 'tök'])(
    'a secret with %j in it is no token',
    async (secret) => {
      const { access, tokens, orders } = asking();
      tokens.current = secret;
      const failure = await ask(access, LIST).catch((error: unknown) => error as Error);
      expect(failure).toMatchObject({ name: 'Permanent', code: 'api_token' });
      if (secret.trim() !== '') expect((failure as Error).message).not.toContain(secret);
      expect(orders.stats().requests).toBe(0);
    },
  );

  test('an answer that repeats the token comes without it, and else byte for byte', async () => {
    const { access, orders } = asking({ faults: [{ trouble: { kind: 'echoed_token' } }] });
    const echoed = await ask(access, LIST);
    const plain = await ask(access, LIST);
    expect(plain.redacted).toBe(false);
    expect(echoed.redacted).toBe(true);
    expect(echoed.body.toString()).toBe(plain.body.toString().replace('{', '{"for":"***",'));
    expect(orders.stats().requests).toBe(2);
  });

  test('an answer without content is empty', async () => {
    const faults = times({ kind: 'status', status: 204, body: '' }, 1);
    expect(await ask(asking({ faults }).access, LIST)).toMatchObject({ status: 204, value: null });
  });
});

describe('over a real connection', () => {
  let running: RunningOrders | undefined;
  afterEach(async () => {
    await running?.close();
    running = undefined;
  });

  test('a cut body, no answer and a refusal are told apart, and none tells the token', async () => {
    const { access, world, clock } = asking();
    running = await startOrders({ token: TOKEN, clock: clock.now, rows: [order(1, UNTIL)] });
    const real = { ...access, baseUrl: running.url, world: { ...world, fetch: wholeFetch } };
    running.fail([{ trouble: { kind: 'half_body' } }, { trouble: { kind: 'no_answer' } }]);
    expect((await ask(real, LIST)).body.toString()).toContain('"order_id":"o1"');
    expect(running.stats().by_status).toEqual({ '200': 1, half: 1, none: 1 });
    await running.close();
    const failure = await ask(real, LIST).catch((error: unknown) => error as Error);
    expect(failure).toMatchObject({ name: 'Transient', code: 'api_unavailable' });
    expect(JSON.stringify([failure, (failure as Error).stack])).not.toContain('tok-4711');
  });
});

test('an answer too large to be held is a matter of the contract, not of another try', async () => {
  const { access, world } = asking();
  let asked = 0;
  const fetch: typeof wholeFetch = async () => {
    asked += 1;
    throw new Permanent({ code: 'answer_too_large', message: 'https://x/?key=tok-4711' });
  };
  const failure = await ask({ ...access, world: { ...world, fetch } }, LIST).catch((e) => e);
  expect(failure).toMatchObject({ name: 'Permanent', code: 'api_answer_too_large' });
  expect(failure.message).toMatch(
    /^the answer to GET \/orders is larger than 64 MiB\. Ask for fewer/,
  );
  expect([failure.message.includes('tok'), asked]).toEqual([false, 1]);
});

describe('the budget', () => {
  test('lets no more requests out in any minute than the contract allows', async () => {
    const { clock, world } = ordersWorld();
    const budget = restBudget(world, { requestsPerMinute: 30 });
    const out: number[] = [];
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        for (let n = 0; n < 15; n++) {
          await budget.take();
          out.push(clock.now());
        }
      }),
    );
    for (const [i, at] of out.entries()) {
      expect(out.filter((other) => other >= at && other < at + MINUTE).length).toBeLessThanOrEqual(
        30,
      );
      if (i > 0) expect(at).toBeGreaterThanOrEqual(out[i - 1] as number);
    }
    // 120 requests at 30 a minute are four bursts.
    expect(clock.now() - UNTIL).toBeLessThan(3 * MINUTE + 1_000);
  });

  test('keeps within the API limit, so that nothing is refused', async () => {
    const { access, world, orders } = asking({ perMinute: 60, latencyMs: 20 });
    const inner = { ...access, budget: restBudget(world, { requestsPerMinute: 60 }) };
    const lane = async (): Promise<void> => {
      for (let n = 0; n < 50; n++) await ask(inner, LIST);
    };
    await Promise.all([lane(), lane(), lane(), lane()]);
    expect(orders.stats().by_status).toEqual({ '200': 200 });
  });

  test('after a refusal nobody asks, and longer after the next', async () => {
    const { clock, world } = ordersWorld();
    const budget = restBudget(world, { requestsPerMinute: 1_000 });
    budget.learn(429, { 'retry-after': '5' });
    await budget.take();
    expect(clock.now() - UNTIL).toBe(5_000);
    for (const most of [1_000, 2_000, 4_000]) {
      const before = clock.now();
      budget.learn(429, {});
      // Refused together, they count once.
      budget.learn(429, {});
      await budget.take();
      expect(clock.now() - before).toBeGreaterThanOrEqual(most / 2);
      expect(clock.now() - before).toBeLessThanOrEqual(most);
    }
    // Once it answers again, the next refusal is a first one.
    budget.learn(200, {});
    const before = clock.now();
    budget.learn(429, {});
    await budget.take();
    expect(clock.now() - before).toBeLessThanOrEqual(1_000);
  });
});
