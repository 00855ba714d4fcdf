/** Drain over the local Pub/Sub's own state, on a virtual clock: what is in bronze afterwards. */
import { randomBytes } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { drainSource, handle, type LandingLimits } from '../../../functions/drain.ts';
import { Permanent, Transient } from '../../../functions/errors.ts';
import type { RunManifest } from '../../../functions/manifest.ts';
import { functions } from '../../../functions/settings.ts';
import type { TakenMessage, World } from '../../../functions/world.ts';
import { MemoryMessages } from '../../../local/pubsub/messages.ts';
import { PubsubState } from '../../../local/pubsub/state.ts';
import { catalog } from '../../../schemas/rendered/catalog.ts';
import { memoryObjects, virtualClock } from '../readers/virtual_world.ts';

const START = Date.UTC(2026, 10, 21, 6);
const TOPIC = 'projects/p/topics/events';
const SUBSCRIPTION = 'projects/p/subscriptions/events--drain';
const OF = { domain: 'shop', source: 'events', subscription: 'events--drain' } as const;
const config = { buckets: { bronze: 'bronze', control: 'control' } } as Parameters<
  typeof drainSource
>[1];

interface Line {
  readonly meta: Readonly<Record<string, unknown>>;
  readonly payload?: string;
  readonly payload_base64?: string;
}

/** A world in which storage and pulls take their time. */
function surroundings() {
  const clock = virtualClock(START);
  const state = new PubsubState({ clock, messages: new MemoryMessages() });
  state.declareTopic({ name: TOPIC });
  state.declareSubscription({ name: SUBSCRIPTION, topic: TOPIC, ackDeadlineSeconds: 180 });
  const objects = memoryObjects(clock);
  const takes: number[] = [];
  let ids = 0;
  let failing: 'take' | 'storage' | 'storage once' | null = null;
  let pullMs = 50;
  let slowManifests = 0;
  const world = {
    clock,
    objects: {
      ...objects,
      write: async (...words: Parameters<typeof objects.write>) => {
        await clock.sleep(80);
        if (words[1].startsWith('runs/') && slowManifests-- > 0) await clock.sleep(20_000);
        const fails = failing === 'storage' || failing === 'storage once';
        if (failing === 'storage once') failing = null;
        if (fails) throw new Transient({ code: 'unavailable_503', message: '503' });
        return objects.write(...words);
      },
    },
    subscriptions: {
      take: async (_: string, most: number): Promise<readonly TakenMessage[]> => {
        await clock.sleep(pullMs);
        if (failing === 'take') throw new Transient({ code: 'unavailable_503', message: '503' });
        const received = state.pull(SUBSCRIPTION, most);
        takes.push(received.length);
        if (received.length === 0) await clock.sleep(2_000);
        return received.map(({ ackId, message }) => ({
          ackId,
          id: message.messageId,
          data: Buffer.from(message.data),
          attributes: message.attributes,
          publishedAt: message.publishTime,
          orderingKey: message.orderingKey,
        }));
      },
      acknowledge: async (_: string, ackIds: readonly string[]) => {
        await clock.sleep(20);
        state.acknowledge(SUBSCRIPTION, ackIds);
      },
    },
    random: { next: () => 0.5, id: () => String(++ids).padStart(16, '0') },
    log: () => {},
  } as unknown as World;
  const manifests = async (): Promise<readonly RunManifest[]> => {
    const names = (await objects.list('control', 'runs/')).map(({ name }) => name);
    const found = await Promise.all(names.map((name) => objects.read('control', name)));
    return found.map((one) => JSON.parse(String(one?.bytes)) as RunManifest);
  };
  const lines = async (): Promise<readonly Line[]> => {
    const files = (await manifests()).flatMap(({ files }) => files);
    const read = await Promise.all(files.map(({ name }) => objects.read('bronze', name)));
    return read.flatMap((one) =>
      gunzipSync(one?.bytes ?? Buffer.alloc(0))
        .toString()
        .split('\n')
        .slice(0, -1)
        .map((text) => JSON.parse(text) as Line),
    );
  };
  return {
    clock,
    state,
    objects,
    takes,
    manifests,
    lines,
    left: () => state.backlog(SUBSCRIPTION).unacknowledged,
    fail: (what: typeof failing) => {
      failing = what;
    },
    slow: (ms: number) => {
      pullMs = ms;
    },
    slowManifests: (count: number) => {
      slowManifests = count;
    },
    publish: (texts: readonly string[]) => {
      for (let i = 0; i < texts.length; i += 500) {
        const part = texts.slice(i, i + 500);
        state.publish(
          TOPIC,
          part.map((text) => ({ data: Buffer.from(text), attributes: {}, orderingKey: '' })),
        );
      }
    },
    drain: (limits?: LandingLimits) => drainSource(world, config, OF, limits),
    world,
  };
}

test('an empty subscription costs one pull and leaves nothing behind', async () => {
  const { drain, takes, objects } = surroundings();
  expect(await drain()).toEqual({ runs: 0, messages: 0, backlog: false });
  expect(takes).toEqual([0]);
  expect(objects.names()).toEqual([]);
});

test('parts have a megabyte and more, however slowly they are written, and lack no line', async () => {
  const { clock, publish, drain, lines, manifests, left } = surroundings();
  const texts = Array.from({ length: 9_000 }, () => randomBytes(800).toString('base64'));
  publish(texts);
  clock.advance(1);
  expect(await drain()).toEqual({ runs: 1, messages: 9_000, backlog: false });
  const [run] = await manifests();
  const parts = run?.files.map(({ bytes }) => bytes) ?? [];
  expect(parts.length).toBeGreaterThan(2);
  for (const bytes of parts.slice(0, -1)) expect(bytes).toBeGreaterThan(1e6);
  expect(run?.files.reduce((sum, file) => sum + file.lines, 0)).toBe(9_000);
  expect((await lines()).map(({ payload }) => payload).sort()).toEqual(texts.sort());
  expect(left()).toBe(0);
});

test('a payload lands byte for byte: digits, escapes, spaces, and what is no text', async () => {
  const { clock, state, drain, lines } = surroundings();
  const payloads = [
    Buffer.from('{"id":12345678901234567890,"price":1.50,"far":1e400,"zero":-0}'),
    Buffer.from('{ "name" : "\\u00fc\\/\\ud83c" , "a":1, "a":2 }\r\n'),
    Buffer.from('\uFEFFno json\u2028at all'),
    Buffer.from([0xff, 0x00, 0x7b, 0x0a]),
    Buffer.alloc(0),
  ];
  state.publish(
    TOPIC,
    payloads.map((data) => ({ data, attributes: { kind: 'odd' }, orderingKey: '' })),
  );
  clock.advance(1);
  await drain();
  const landed = (await lines()).map(({ payload, payload_base64 }) =>
    payload === undefined
      ? Buffer.from(payload_base64 ?? 'absent', 'base64')
      : Buffer.from(payload),
  );
  const sorted = (all: readonly Buffer[]) => [...all].sort(Buffer.compare);
  expect(sorted(landed)).toEqual(sorted(payloads));
});

test('a landing that has enough is settled while the next one is filled', async () => {
  const { clock, publish, drain, manifests, left } = surroundings();
  publish(Array.from({ length: 5_000 }, (_, i) => `{"id":${i}}`));
  clock.advance(1);
  expect(await drain({ messages: 2_000, bytes: 1e9 })).toMatchObject({ runs: 3, messages: 5_000 });
  expect((await manifests()).map(({ records }) => records)).toEqual([2_000, 2_000, 1_000]);
  expect(left()).toBe(0);
});

test('a drain ends when all of its landings are durable, however long one takes', async () => {
  const { clock, publish, drain, manifests, left, slowManifests } = surroundings();
  publish(Array.from({ length: 5_000 }, (_, i) => `{"id":${i}}`));
  clock.advance(1);
  slowManifests(1);
  expect(await drain({ messages: 2_000, bytes: 1e9 })).toMatchObject({ runs: 3, messages: 5_000 });
  expect(await manifests()).toHaveLength(3);
  expect(left()).toBe(0);
});

test('a run says when its messages were published, by the minute', async () => {
  const { clock, publish, drain, manifests } = surroundings();
  publish(['{"id":1}', '{"id":2}']);
  clock.advance(60_000);
  publish(['{"id":3}']);
  clock.advance(1);
  await drain();
  expect((await manifests()).map(({ published }) => published)).toEqual([
    { '2026-11-21T06:00': 2, '2026-11-21T06:01': 1 },
  ]);
});

test('what could be landed only in part is not acknowledged at all', async () => {
  const { clock, state, publish, drain, fail, left, lines } = surroundings();
  // One answer that lands well, then one of several chunks: its first part fails while the others
  // have not been taken over.
  const texts = [
    ...Array.from({ length: 1_000 }, (_, i) => `{"id":${i}}`),
    ...Array.from({ length: 8 }, () => randomBytes(750_000).toString('base64')),
  ];
  publish(texts);
  clock.advance(1);
  fail('storage once');
  await expect(drain()).rejects.toThrow(Transient);
  expect((await lines()).length).toBe(texts.length - left());
  clock.advance(200_000);
  state.advance();
  await drain();
  expect(left()).toBe(0);
  expect(new Set((await lines()).map(({ payload }) => payload))).toEqual(new Set(texts));
});

test('bytes end a landing, too', async () => {
  const { clock, publish, drain } = surroundings();
  publish(Array.from({ length: 3_000 }, () => 'x'.repeat(1_000)));
  clock.advance(1);
  expect(await drain({ messages: 1e6, bytes: 1_500_000 })).toMatchObject({ runs: 2 });
});

test('a steady stream does not keep a drain: what is published meanwhile is the next one’s', async () => {
  const { clock, publish, drain } = surroundings();
  publish(Array.from({ length: 200 }, (_, i) => `{"id":${i}}`));
  let publishing = true;
  const stream = (async () => {
    for (let i = 0; publishing && i < 1_000; i += 1) {
      await clock.sleep(100);
      if (publishing) publish([`{"later":${i}}`]);
    }
  })();
  clock.advance(1);
  const { messages, backlog } = await drain();
  publishing = false;
  await stream;
  expect(messages).toBeGreaterThanOrEqual(200);
  expect(backlog).toBe(false);
  expect(clock.now() - START).toBeLessThan(10_000);
});

test('a slice ends after forty seconds and says that there is more', async () => {
  const { clock, publish, drain, slow, left } = surroundings();
  publish(Array.from({ length: 40_000 }, (_, i) => `{"id":${i}}`));
  clock.advance(1);
  slow(9_000);
  const { messages, backlog } = await drain();
  expect(backlog).toBe(true);
  expect(clock.now() - START).toBeLessThan(55_000);
  expect(left()).toBe(40_000 - messages);
});

test('what was taken before pulls began to fail is landed and acknowledged', async () => {
  const { clock, publish, drain, fail, left, lines } = surroundings();
  publish(Array.from({ length: 20_000 }, (_, i) => `{"id":${i}}`));
  clock.advance(1);
  void clock.sleep(120).then(() => fail('take'));
  await expect(drain()).rejects.toThrow(Transient);
  const kept = (await lines()).length;
  expect(kept).toBeGreaterThan(0);
  expect(left()).toBe(20_000 - kept);
});

test('what cannot be landed is not acknowledged, and comes again after its lease', async () => {
  const { clock, state, publish, drain, fail, left, lines, manifests } = surroundings();
  const texts = Array.from({ length: 9_000 }, () => randomBytes(800).toString('base64'));
  publish(texts);
  clock.advance(1);
  // The first part that is full cannot be written: its run must not appear without it.
  fail('storage');
  await expect(drain()).rejects.toThrow(Transient);
  expect(await manifests()).toEqual([]);
  expect(left()).toBe(9_000);
  fail(null);
  clock.advance(200_000);
  state.advance();
  expect(await drain()).toMatchObject({ messages: 9_000 });
  expect((await lines()).map(({ payload }) => payload).sort()).toEqual(texts.sort());
});

test('a tick is followed by so many slices at once, and no more', async () => {
  const { clock, publish, world, slow } = surroundings();
  const published: string[] = [];
  const asking = {
    ...world,
    queue: {
      publish: async (_: string, { data }: { readonly data: Buffer }) =>
        void published.push(data.toString()),
    },
  } as unknown as World;
  publish(Array.from({ length: 60_000 }, (_, i) => `{"id":${i}}`));
  clock.advance(1);
  slow(30_000);
  const source = 'website.site_events';
  for (const data of [{ source }, { source, continues: 1 }, { source, continues: 2 }]) {
    await handle({ data, attributes: {} }, asking, config);
  }
  expect(published).toEqual([
    `{"source":"${source}","continues":1}`,
    `{"source":"${source}","continues":2}`,
  ]);
});

test('what was given up is taken in like the rest, until there is none', async () => {
  const { clock, publish, world, state, left, lines, slow } = surroundings();
  const asked: string[] = [];
  const published: { readonly topic: string; readonly data: string }[] = [];
  const surrounded = {
    ...world,
    subscriptions: {
      take: (name: string, most: number) => {
        asked.push(name);
        return world.subscriptions.take(name, most);
      },
      acknowledge: (name: string, ids: readonly string[]) => {
        asked.push(name);
        return world.subscriptions.acknowledge(name, ids);
      },
    },
    queue: {
      publish: async (topic: string, { data }: { readonly data: Buffer }) =>
        void published.push({ topic, data: data.toString() }),
    },
  } as unknown as World;
  const message = {
    data: { source: 'website.site_events', dead_letters: true },
    attributes: {},
  } as const;
  publish(Array.from({ length: 20_000 }, (_, i) => `{"id":${i}}`));
  clock.advance(1);
  // Each pull takes so long that the slice ends before the subscription is empty.
  slow(30_000);
  await handle(message, surrounded, config);
  const before = 20_000 - left();
  expect(before).toBeGreaterThan(0);
  expect(left()).toBeGreaterThan(0);
  expect(published).toEqual([
    { topic: 'drain', data: '{"source":"website.site_events","dead_letters":true}' },
  ]);
  slow(50);
  state.advance();
  await handle(message, surrounded, config);
  expect(left()).toBe(0);
  expect(published).toHaveLength(1);
  expect(await lines()).toHaveLength(20_000);
  expect([...new Set(asked)]).toEqual(['site-events--drain-dead']);
});

test('the backlog of one source leaves the others their instances', () => {
  const drained = Object.values(catalog.sources).filter(
    ({ arrives }) => arrives.kind === 'pubsub_messages',
  );
  const settings = functions.find(({ name }) => name === 'drain');
  // Three slices of up to a minute follow a tick, and a tick comes every minute.
  expect(settings?.maxInstances).toBeGreaterThanOrEqual(3 * drained.length);
});

test('refuses a message that names no source which arrives as messages', async () => {
  const { world } = surroundings();
  for (const source of ['email.contacts', 'nobody.knows', undefined]) {
    const drained = handle({ data: { source }, attributes: {} }, world, config);
    await expect(drained).rejects.toThrow(Permanent);
  }
});
