/**
 * Collect: events over HTTP, from browsers and servers, become messages.
 *
 *   POST /<domain>/<source>     a JSON object, an array of them, or one a line (NDJSON)
 *   POST /                      the same, where only one source is collected
 *
 * 200 {"accepted": n} means that Pub/Sub has all n durably; the drain lands them with the others.
 * Anything else means that none of them counts as accepted, and the sender may send them again:
 * events that come twice are merged by their key. Nothing of the sender but its site is kept.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { catalog } from '../schemas/rendered/catalog.ts';
import type { Config } from './config.ts';
import { classified, Permanent } from './errors.ts';
import { GroupCommit } from './group_commit.ts';
import { Malformed, objectsIn } from './json_batch.ts';
import { type BodyLimits, RequestBodies } from './request_body.ts';
import { RequestRate } from './request_rate.ts';
import type { CollectSettings } from './settings.ts';
import type { OutgoingMessage, World } from './world.ts';

/** Larger requests are refused: a beacon has 64 kB at most, and servers can send several. */
const MOST_BYTES = 1 << 20;
const MOST_EVENTS = 1_000;

/** Of 512 MiB; and no sender takes more than a quarter of it, or as long as it likes. */
const BODIES: BodyLimits = {
  mostBytes: MOST_BYTES,
  mostHeldBytes: 48 << 20,
  mostHeldBytesOfOne: 12 << 20,
  withinMs: 20_000,
};

/** A publish request may have 10 MB and 1,000 messages (cloud.google.com/pubsub/quotas). */
const PUBLISH_BYTES = 9_000_000;
const PUBLISH_EVENTS = 1_000;
const PUBLISHES_AT_ONCE = 3;
const LINGER_MS = 5;

/** Told to senders whose events could not be taken; the queue's own retries are over by then. */
const RETRY_AFTER_SECONDS = 5;

/** A new version of the key counts after this. */
const KEY_MS = 60_000;

/** So long the key that is known serves while Secret Manager does not answer. */
const STALE_KEY_MS = 3600_000;

/** Browsers ask again after a day. */
const PREFLIGHT_SECONDS = 86_400;

interface Answer {
  readonly status: number;
  readonly body?: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What concurrent requests of an instance share. */
interface Shared {
  readonly rate: RequestRate;
  readonly commits: Map<string, GroupCommit<OutgoingMessage>>;
  readonly bodies: RequestBodies;
  key: { readonly digest: Buffer; readonly readAt: number } | null;
  /** The reading that is under way: one, however many requests wait for it. */
  reading: Promise<Buffer> | null;
}

const shared = new WeakMap<World, Shared>();

/** Answers one request, whatever comes; rejects only when it has not answered. */
export async function handleRequest(
  request: IncomingMessage,
  response: ServerResponse,
  world: World,
  config: Config,
): Promise<void> {
  const settings = config.collect;
  if (settings === null) {
    throw new Permanent({ code: 'configuration', message: 'TRIBUTARY_COLLECT is not set' });
  }
  let common = shared.get(world);
  if (common === undefined) {
    const rate = new RequestRate(settings.requestsPerMinute);
    const bodies = new RequestBodies(BODIES);
    common = { rate, commits: new Map(), bodies, key: null, reading: null };
    shared.set(world, common);
  }
  const answer = await answerTo(request, world, settings, common);
  if (answer === null || response.destroyed) return;
  const body = answer.body === undefined ? '' : JSON.stringify(answer.body);
  response.writeHead(answer.status, {
    ...(answer.body === undefined ? {} : { 'content-type': 'application/json' }),
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    ...corsHeaders(request, settings),
    ...answer.headers,
  });
  response.end(body);
}

/** @returns null when the sender has gone */
async function answerTo(
  request: IncomingMessage,
  world: World,
  settings: CollectSettings,
  common: Shared,
): Promise<Answer | null> {
  const { origin } = request.headers;
  if (origin !== undefined && !allowed(origin, settings)) {
    return refusal(403, 'events are not taken from this origin');
  }
  if (request.method === 'OPTIONS') return preflight;
  if (request.method !== 'POST') {
    return refusal(405, 'events are sent with POST', { allow: 'POST, OPTIONS' });
  }
  const now = world.clock.now();
  const address = addressOf(request);
  const waitMs = common.rate.wait(address, now);
  if (waitMs > 0) {
    const seconds = Math.ceil(waitMs / 1_000);
    return refusal(429, `no more than ${settings.requestsPerMinute} requests a minute`, {
      'retry-after': String(seconds),
    });
  }
  const topic = topicOf(request);
  if (topic === null) return refusal(404, `send events to ${paths().join(' or ')}`);
  if (!(await keyFits(request, world, settings, common))) {
    return refusal(401, 'the header x-tributary-key is missing or wrong');
  }
  const encoding = request.headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity') return refusal(415, `${encoding} is not unpacked: send it plain`);
  const received = await common.bodies.read(request, address);
  if (received === 'gone') return null;
  if (received === 'too_large') {
    return refusal(413, `a request has at most ${MOST_BYTES} bytes`, { connection: 'close' });
  }
  if (received === 'too_slow') {
    return refusal(408, 'the request did not arrive in time', { connection: 'close' });
  }
  if (received === 'too_busy') return busy;
  try {
    return await publish(received.bytes, origin, now, commitOf(world, topic, common));
  } finally {
    received.release();
  }
}

async function publish(
  body: Buffer,
  origin: string | undefined,
  now: number,
  commit: GroupCommit<OutgoingMessage>,
): Promise<Answer> {
  let objects: readonly string[];
  try {
    objects = objectsIn(body);
  } catch (failure) {
    if (failure instanceof Malformed) return refusal(400, failure.message);
    throw failure;
  }
  if (objects.length > MOST_EVENTS) {
    return refusal(413, `a request has at most ${MOST_EVENTS} events`);
  }
  if (objects.length === 0) return { status: 200, body: { accepted: 0 } };
  const attributes = {
    received_at: new Date(now).toISOString(),
    ...(origin === undefined ? {} : { origin }),
  };
  const messages = objects.map((text) => ({ data: Buffer.from(text), attributes }));
  // As it goes over the wire: base64, and what stands around it.
  const bytes = messages.reduce((sum, { data }) => sum + Math.ceil(data.length / 3) * 4 + 200, 0);
  try {
    await commit.add(messages, bytes);
  } catch {
    return busy;
  }
  return { status: 200, body: { accepted: messages.length } };
}

/** The shared requests of a topic. */
function commitOf(world: World, topic: string, common: Shared): GroupCommit<OutgoingMessage> {
  const known = common.commits.get(topic);
  if (known !== undefined) return known;
  const commit = new GroupCommit<OutgoingMessage>({
    clock: world.clock,
    mostItems: PUBLISH_EVENTS,
    mostBytes: PUBLISH_BYTES,
    parallel: PUBLISHES_AT_ONCE,
    lingerMs: LINGER_MS,
    send: async (messages) => {
      try {
        await world.queue.publishAll(topic, messages);
      } catch (error) {
        const failure = classified(error);
        world.log(failure instanceof Permanent ? 'ERROR' : 'WARNING', 'collect_failed', {
          topic,
          events: messages.length,
          code: failure.code,
          reason: failure.message,
        });
        throw failure;
      }
    },
  });
  common.commits.set(topic, commit);
  return commit;
}

const refusal = (
  status: number,
  error: string,
  headers: Readonly<Record<string, string>> = {},
): Answer => ({ status, body: { error }, headers });

const busy = refusal(503, 'the events could not be taken now: send them again', {
  'retry-after': String(RETRY_AFTER_SECONDS),
});

const preflight: Answer = {
  status: 204,
  headers: {
    'access-control-allow-methods': 'POST',
    'access-control-allow-headers': 'content-type, x-tributary-key',
    'access-control-max-age': String(PREFLIGHT_SECONDS),
  },
};

/**
 * Of any origin, too, only what can be one: it becomes an attribute, and a wrong attribute would
 * fail everybody in the same publish request.
 */
const allowed = (origin: string, { origins }: CollectSettings): boolean =>
  origins.includes(origin) || (origins.includes('*') && /^[\x21-\x7e]{1,500}$/.test(origin));

/** No credentials: cookies are neither wanted nor read. */
function corsHeaders(
  { headers: { origin } }: IncomingMessage,
  settings: CollectSettings,
): Readonly<Record<string, string>> {
  if (origin === undefined) return {};
  if (!allowed(origin, settings)) return { vary: 'Origin' };
  return {
    vary: 'Origin',
    'access-control-allow-origin': origin,
    'access-control-expose-headers': 'Retry-After',
  };
}

/** Topics by the path that events are sent to. */
function topics(): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const [name, { arrives }] of Object.entries(catalog.sources)) {
    if (arrives.kind !== 'pubsub_messages' || arrives.collect !== true) continue;
    found.set(`/${name.replace('.', '/')}`, arrives.topic);
  }
  return found;
}

const paths = (): readonly string[] => [...topics().keys()];

function topicOf(request: IncomingMessage): string | null {
  const [path = '/'] = (request.url ?? '/').split('?');
  const known = topics();
  if (path !== '/') return known.get(path.replace(/\/$/, '')) ?? null;
  const [only] = known.values();
  return known.size === 1 && only !== undefined ? only : null;
}

/**
 * Who asks. The platform's front end appends the address it saw to what the sender claims, so only
 * the last one counts; of an IPv6 address its network, for a sender has the whole of it.
 */
function addressOf(request: IncomingMessage): string {
  const forwarded = String(request.headers['x-forwarded-for'] ?? '')
    .split(',')
    .at(-1)
    ?.trim();
  const address = forwarded || request.socket.remoteAddress || '';
  return address.includes(':') && !address.includes('.') ? networkOf(address) : address;
}

/** The first 64 bits of an IPv6 address, however its zeros are left out. */
function networkOf(address: string): string {
  const [left = [], right = []] = address
    .split('::')
    .map((part) => part.split(':').filter((group) => group !== ''));
  const zeros = Array.from({ length: Math.max(0, 8 - left.length - right.length) }, () => '0');
  const groups = [...left, ...zeros, ...right].slice(0, 4);
  return groups.map((group) => group.replace(/^0+(?=.)/, '').toLowerCase()).join(':');
}

async function keyFits(
  request: IncomingMessage,
  world: World,
  { keySecret }: CollectSettings,
  common: Shared,
): Promise<boolean> {
  if (keySecret === undefined) return true;
  const key = await keyOf(keySecret, world, common);
  const given = request.headers['x-tributary-key'];
  // Digests have one length, which a comparison in constant time needs.
  return typeof given === 'string' && timingSafeEqual(digest(given), key);
}

/** The key's digest, as it was a minute ago at most, or an hour while nobody can be asked. */
async function keyOf(secret: string, world: World, common: Shared): Promise<Buffer> {
  const { key } = common;
  const now = world.clock.now();
  if (key !== null && now - key.readAt < KEY_MS) return key.digest;
  common.reading ??= world.secrets
    .read(secret)
    .then((text) => {
      common.key = { digest: digest(text), readAt: now };
      return common.key.digest;
    })
    .finally(() => {
      common.reading = null;
    });
  try {
    return await common.reading;
  } catch (failure) {
    const serves = key !== null && now - key.readAt < STALE_KEY_MS;
    if (!serves || classified(failure) instanceof Permanent) throw failure;
    return key.digest;
  }
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
