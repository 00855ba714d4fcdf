import { createHash } from 'node:crypto';
import type { Checkpoint } from '../../../functions/checkpoint.ts';
import { emptyCheckpoint } from '../../../functions/checkpoint.ts';
import { hubspotBudget } from '../../../functions/clients/rate_budget.ts';
import type { Page, ReadContext, Reader } from '../../../functions/readers/reader.ts';
import type { Window } from '../../../functions/window.ts';
import type { Clock, Log, Objects, StoredObject } from '../../../functions/world.ts';
import { fetchFrom } from '../../../local/outside/http/in_process.ts';
import type { HttpService } from '../../../local/outside/http/service.ts';
import { Hubspot, type HubspotOptions } from '../../../local/outside/hubspot/state.ts';
import type { Arrival, HubspotEmailEventsArrival } from '../../../schemas/contract.ts';

/** Time that passes only when everybody waits: no test sleeps. */
export function virtualClock(start: number): Clock & { readonly advance: (ms: number) => void } {
  let now = start;
  let order = 0;
  let scheduled = false;
  const sleepers: { readonly at: number; readonly order: number; readonly wake: () => void }[] = [];
  const schedule = (): void => {
    if (scheduled) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      sleepers.sort((a, b) => a.at - b.at || a.order - b.order);
      const next = sleepers.shift();
      if (next === undefined) return;
      now = Math.max(now, next.at);
      next.wake();
      if (sleepers.length > 0) schedule();
    });
  };
  return {
    now: () => now,
    sleep(ms) {
      return new Promise((wake) => {
        sleepers.push({ at: now + Math.max(0, ms), order: order++, wake });
        schedule();
      });
    },
    advance(ms) {
      now += ms;
    },
  };
}

/** As a download comes: in pieces that know nothing of lines. */
async function* pieces(bytes: Buffer): AsyncGenerator<Buffer> {
  const PIECE = 1_000;
  for (let at = 0; at < bytes.length; at += PIECE) yield bytes.subarray(at, at + PIECE);
}

/** Storage's conditional verbs over a map. */
export function memoryObjects(clock: Clock): Objects & { readonly names: () => readonly string[] } {
  const all = new Map<string, { bytes: Buffer; object: StoredObject }>();
  let generation = 0;
  return {
    names: () => [...all.keys()].sort(),
    read: async (bucket, name) => all.get(`${bucket}/${name}`) ?? null,
    stat: async (bucket, name) => all.get(`${bucket}/${name}`)?.object ?? null,
    stream: async (bucket, name, generation) => {
      const found = all.get(`${bucket}/${name}`);
      if (found?.object.generation !== generation) return null;
      return pieces(found.bytes);
    },
    async copy(from, to) {
      const found = all.get(`${from.bucket}/${from.name}`);
      if (found?.object.generation !== from.generation) throw new Error(`${from.name} is gone`);
      return this.write(to.bucket, to.name, found.bytes, {
        ifGeneration: to.ifGeneration,
        contentType: 'application/octet-stream',
      });
    },
    async write(bucket, name, bytes, { ifGeneration }) {
      const key = `${bucket}/${name}`;
      if ((all.get(key)?.object.generation ?? '0') !== ifGeneration) return { outcome: 'refused' };
      const object = {
        bucket,
        name,
        generation: String(++generation),
        size: bytes.length,
        crc32c: createHash('md5').update(bytes).digest('base64'),
        updated: clock.now(),
      };
      all.set(key, { bytes, object });
      return { outcome: 'written', generation: object.generation, crc32c: object.crc32c };
    },
    async remove(bucket, name, { ifGeneration }) {
      const key = `${bucket}/${name}`;
      if (all.get(key)?.object.generation !== ifGeneration) return 'gone';
      all.delete(key);
      return 'removed';
    },
    async list(bucket, prefix) {
      return [...all]
        .filter(([key]) => key.startsWith(`${bucket}/${prefix}`))
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([, stored]) => stored.object);
    },
  };
}

export const iso = (ms: number): string => new Date(ms).toISOString();

export const span = (from: number, to: number, pass = 'hot'): Window => ({
  pass,
  from: iso(from),
  to: iso(to),
});

/** How email events arrive, as the tests read them. */
export const emailEvents: HubspotEmailEventsArrival = {
  kind: 'hubspot_email_events',
  schedule: '*/15 * * * *',
  settle_minutes: 5,
  again_after_hours: [72, 720],
  first_days: 45,
};

export const UNTIL = Date.parse('2026-11-20T12:00:00.000Z');
export const TOKEN = 'pat-na1-test';

type Logged = {
  readonly severity: string;
  readonly event: string;
  readonly fields: unknown;
};

/** What a reader of an HTTP API touches: the stand-in without sockets, and what is in memory. */
export function worldOf(service: HttpService, clock: Clock) {
  const objects = memoryObjects(clock);
  const logged: Logged[] = [];
  const log: Log = (severity, event, fields) => void logged.push({ severity, event, fields });
  let seed = 7;
  const random = {
    next: () => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
      return seed / 4_294_967_296;
    },
    id: () => '00000000000000aa',
  };
  const fetch = fetchFrom(service, clock);
  const world = { clock, objects, random, log, fetch } as unknown as ReadContext<Arrival>['world'];
  return { world, objects, logged };
}

/** The stand-in, a virtual clock and what a reader is given. */
export function hubspotWorld(options: Partial<HubspotOptions> = {}) {
  const clock = virtualClock(options.until ?? UNTIL);
  const hubspot = new Hubspot({ until: UNTIL, scale: 3_000, clock: clock.now, ...options });
  const { world, objects, logged } = worldOf(hubspot, clock);
  const tokens = { current: TOKEN };
  const budget = hubspotBudget(world, { dailyShare: 1 });
  const context = <A extends Arrival>(arrival: A, source: string): ReadContext<A> => ({
    world,
    arrival,
    domain: 'email',
    source,
    controlBucket: 'control',
    baseUrl: 'http://hubspot.test',
    token: async () => tokens.current,
    budget,
    deadline: Number.MAX_SAFE_INTEGER,
  });
  return { hubspot, clock, objects, world, budget, logged, tokens, context };
}

/** Everything a window gives; stops like a slice that is over when `stopAfter` pages are landed. */
export async function readWindow<A extends Arrival>(
  reader: Reader<A>,
  window: Window,
  context: ReadContext<A>,
  stopAfter = Number.POSITIVE_INFINITY,
): Promise<{ readonly pages: readonly Page[]; readonly remaining: Window | null }> {
  const pages: Page[] = [];
  for await (const page of reader.pages(window, context)) {
    pages.push(page);
    if (page.remaining === undefined) continue;
    if (page.remaining === null || pages.length >= stopAfter)
      return { pages, remaining: page.remaining };
  }
  throw new Error('the pages ended without saying what remains');
}

export const checkpointWith = (edges: Readonly<Record<string, string>>): Checkpoint => ({
  ...emptyCheckpoint('email', 'test'),
  edges,
});
