/** Orders pulled with the real HTTP client against the stand-in at a port: what is in bronze then. */
import { gunzipSync } from 'node:zlib';
import { afterEach, expect, test } from 'vitest';
import { readCheckpoint } from '../../../functions/checkpoint.ts';
import { wholeFetch } from '../../../functions/clients/fetch.ts';
import type { Config } from '../../../functions/config.ts';
import { handle } from '../../../functions/pull.ts';
import type { World } from '../../../functions/world.ts';
import type { OrderRow } from '../../../local/outside/orders/book.ts';
import type { Fault } from '../../../local/outside/orders/faults.ts';
import { type RunningOrders, startOrders } from '../../../local/outside/orders/server.ts';
import { MINUTE, order, TOKEN, versions } from '../readers/orders_world.ts';
import { memoryObjects, UNTIL, virtualClock } from '../readers/virtual_world.ts';

const SOURCE = 'commerce.orders';
const buckets = { bronze: 'b', control: 'control', lake: 'l', rejected: 'r', inbox: 'i' };

let running: RunningOrders | undefined;
afterEach(async () => {
  await running?.close();
  running = undefined;
});

async function shop(rows: readonly OrderRow[], faults: readonly Fault[]) {
  const clock = virtualClock(UNTIL);
  const server = await startOrders({ token: TOKEN, clock: clock.now, rows, faults });
  running = server;
  const objects = memoryObjects(clock);
  const logged: unknown[] = [];
  const asked: unknown[] = [];
  let ids = 0;
  const world = {
    clock,
    objects,
    fetch: wholeFetch,
    secrets: { read: async () => TOKEN },
    random: { next: () => 0.5, id: () => String(++ids).padStart(16, '0') },
    queue: {
      publish: async (_: string, { data }: { data: Buffer }) =>
        void asked.push(JSON.parse(data.toString())),
    },
    log: (...line: unknown[]) => void logged.push(line),
  } as unknown as World;
  const config: Config = {
    project: 'p',
    region: 'r',
    location: 'EU',
    environment: 'test',
    buckets,
    hubspot: { url: '', secret: '', dailyShare: 1 },
    api: { url: server.url, secret: 'orders-api-token' },
    database: { secret: '' },
    collect: null,
    spark: null,
    endpoints: {},
  };
  const lines = async (): Promise<readonly { meta: object; payload: string }[]> => {
    const found: { meta: object; payload: string }[] = [];
    for (const { bucket, name } of await objects.list(buckets.bronze, '')) {
      const stored = await objects.read(bucket, name);
      const text = gunzipSync(stored?.bytes ?? Buffer.alloc(0)).toString();
      for (const line of text.trim().split('\n')) found.push(JSON.parse(line) as (typeof found)[0]);
    }
    return found;
  };
  const landed = async (): Promise<readonly OrderRow[]> =>
    (await lines()).flatMap(
      ({ payload }) => (JSON.parse(payload) as { orders: OrderRow[] }).orders,
    );
  return {
    server,
    clock,
    logged,
    lines,
    landed,
    tick: () => handle({ data: { source: SOURCE }, attributes: {} }, world, config),
    checkpoint: () => readCheckpoint(world, buckets.control, 'commerce', 'orders'),
  };
}

test('a tick lands the shop, the next one what has changed, and the token stays nowhere', async () => {
  const rows = Array.from({ length: 1_200 }, (_, i) => order(i, UNTIL - (1_200 - i) * MINUTE));
  const { server, clock, logged, lines, landed, tick, checkpoint } = await shop(rows, [
    { skip: 1, trouble: { kind: 'half_body' } },
    { skip: 2, trouble: { kind: 'broken_json' } },
  ]);
  await tick();
  expect(versions(await landed())).toEqual(versions(rows));
  expect(await checkpoint()).toMatchObject({ open: [], trouble: null, lease: null });
  clock.advance(10 * MINUTE);
  server.update('o7:p1', { status: 'returned', quantity: -1 });
  const before = (await lines()).length;
  await tick();
  expect((await lines()).length).toBe(before + 1);
  expect(versions(await landed())).toEqual(
    expect.arrayContaining([...versions(server.orders.book.rows())]),
  );
  const kept = JSON.stringify([await lines(), logged, await checkpoint()]);
  expect(kept).not.toContain(TOKEN);
});

test('a token that is not accepted stops all windows at once, and says what to do', async () => {
  const { server, tick, checkpoint } = await shop([], []);
  server.orders.token = 'another';
  await tick();
  expect(server.stats().by_status).toEqual({ '401': server.stats().requests });
  expect(server.stats().requests).toBeLessThanOrEqual(4);
  const held = await checkpoint();
  expect(held.open.length).toBeGreaterThan(0);
  expect(held.trouble).toMatchObject({
    code: 'api_token',
    message: expect.stringMatching(/as a new version/),
  });
  server.orders.token = null;
  await tick();
  expect(await checkpoint()).toMatchObject({ open: [], trouble: null });
});
