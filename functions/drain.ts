/**
 * Drain: what waits in a source's own subscription becomes runs in bronze.
 *
 * A message names a source. Unary pulls take its messages, several at once, for at most forty
 * seconds; everything taken is landed, and acknowledged only when its run manifest is durable. A
 * slice that ends with a backlog asks for the next one, a few times. Drains may overlap: a message
 * that comes twice is merged by its key in silver. A message may also ask for what the subscription
 * has given up: its dead letters are events like the others.
 */
import { catalog } from '../schemas/rendered/catalog.ts';
import type { Config } from './config.ts';
import { Permanent } from './errors.ts';
import { type Landing, openLanding } from './land.ts';
import type { Handler, Message } from './message.ts';
import { deadLetters, drainedSubscription, drainSlices } from './settings.ts';
import { tickSource } from './ticks.ts';
import type { TakenMessage, World } from './world.ts';

/** Then nothing more is taken. With landing and acknowledging it stays below every lease's end. */
export const SLICE_MS = 40_000;

/** Messages asked for by one pull: the most there may be. */
const TAKEN_AT_ONCE = 1_000;

/** Pulls at once: an answer takes its time, and brings at most ten megabytes. */
const LANES = 6;

/** How far our clock may be behind the one that messages carry the time of. */
const CLOCKS_MS = 1_000;

/** What one landing takes, so that what is held until its manifest is durable stays bounded. */
export interface LandingLimits {
  readonly messages: number;
  /** Before compression. */
  readonly bytes: number;
}
const landingLimits: LandingLimits = { messages: 100_000, bytes: 64 << 20 };

export const handle: Handler = (message, world, config) =>
  drainTick(message, world, config, landingLimits);

/** One message's work. @throws Permanent when it names no source that arrives as messages */
export async function drainTick(
  message: Message,
  world: World,
  config: Config,
  limits: LandingLimits,
): Promise<void> {
  const name = String(message.data['source'] ?? '');
  const arrives = catalog.sources[name]?.arrives;
  if (arrives?.kind !== 'pubsub_messages') {
    throw new Permanent({
      code: 'unknown_source',
      message: `no source called "${name}" arrives as messages`,
    });
  }
  const [domain = '', source = ''] = name.split('.');
  const dead = message.data['dead_letters'] === true;
  const regular = drainedSubscription(arrives.topic);
  const of = { domain, source, subscription: dead ? deadLetters(regular) : regular };
  const { backlog } = await drainSource(world, config, of, limits);
  const followed = Number(message.data['continues'] ?? 0);
  if (!backlog) return;
  // Nothing else comes back for dead letters.
  if (dead) await tickSource(world, name, { dead_letters: true });
  // The next tick comes meanwhile: did each go on to the end, every minute would add another one.
  else if (followed + 1 < drainSlices) {
    await tickSource(world, name, { continues: followed + 1 });
  }
}

export interface Drained {
  readonly runs: number;
  readonly messages: number;
  /** The slice was over before the subscription was empty. */
  readonly backlog: boolean;
}

/** What is drained, and for which source. */
export interface Drains {
  readonly domain: string;
  readonly source: string;
  /** Short name. */
  readonly subscription: string;
}

/**
 * One slice. What was taken before a failure is landed and acknowledged all the same.
 * @throws Transient, Permanent
 */
export async function drainSource(
  world: World,
  config: Config,
  of: Drains,
  limits: LandingLimits = landingLimits,
): Promise<Drained> {
  const { clock, subscriptions } = world;
  const { subscription } = of;
  const began = clock.now();
  const deadline = began + SLICE_MS;
  const landings = new Landings(world, config, of, limits);
  let finds = 0;
  let backlog = false;

  /** @returns whether there may be more that was published before this slice began */
  const takeOnce = async (): Promise<boolean> => {
    const before = finds;
    const messages = await subscriptions.take(subscription, TAKEN_AT_ONCE);
    // What is published meanwhile is the next tick's: a steady stream would keep us for the whole
    // slice, a message at a time.
    if (messages.some(({ publishedAt }) => publishedAt < began + CLOCKS_MS)) finds += 1;
    if (messages.length > 0) await landings.add(messages, clock.now());
    // One answer without is no proof while others find something.
    return finds > before;
  };
  const lane = async (): Promise<void> => {
    while (clock.now() < deadline) {
      if (landings.failures.length > 0 || !(await takeOnce())) return;
    }
    backlog = true;
  };
  // Mostly there is nothing, or little: one pull finds out.
  let more = false;
  const first = takeOnce().then((found) => {
    more = found;
  });
  await first.catch(landings.fail);
  if (more) await Promise.all(Array.from({ length: LANES }, () => lane().catch(landings.fail)));
  await landings.close();
  const { runs, messages } = landings;
  if (messages > 0) {
    const source = `${of.domain}.${of.source}`;
    world.log('INFO', 'drained', { source, subscription, runs, messages, backlog });
  }
  if (landings.failures.length > 0) throw landings.failures[0];
  return { runs, messages, backlog };
}

/** A landing that is being filled, with what is to be acknowledged when it is durable. */
interface Open {
  readonly landing: Landing;
  readonly ackIds: string[];
  /** Messages by the minute they were published in. */
  readonly published: Record<string, number>;
  bytes: number;
}

/** Landings one after another: one is filled while the one before it becomes durable. */
class Landings {
  /** Landed and acknowledged. */
  runs = 0;
  messages = 0;
  /** After one nothing more need be taken; what has been taken is still landed where it can be. */
  readonly failures: unknown[] = [];
  readonly #world: World;
  readonly #config: Config;
  readonly #of: Drains;
  readonly #limits: LandingLimits;
  #open: Open | null = null;
  /** Appends in turn: a landing takes one line after the other. */
  #turn: Promise<void> = Promise.resolve();
  /** The landing before this one. */
  #settling: Promise<void> = Promise.resolve();

  constructor(world: World, config: Config, of: Drains, limits: LandingLimits) {
    this.#world = world;
    this.#config = config;
    this.#of = of;
    this.#limits = limits;
  }

  readonly fail = (failure: unknown): void => {
    this.failures.push(failure);
  };

  /** Resolves when the messages are in a landing; durable, and acknowledged, they are later. */
  add(messages: readonly TakenMessage[], askedAt: number): Promise<void> {
    this.#turn = this.#turn.then(() => this.#append(messages, askedAt)).catch(this.fail);
    return this.#turn;
  }

  /** Settles what is open, and waits for all. */
  async close(): Promise<void> {
    await this.#turn;
    await this.#settle();
    await this.#settling;
  }

  async #append(messages: readonly TakenMessage[], askedAt: number): Promise<void> {
    const open = this.#open ?? this.#begin();
    // Whatever goes wrong leaves no landing that lacks a line: all of it is delivered again.
    this.#open = null;
    let lastMs = Number.NaN;
    let last = '';
    const lines = messages.map((message) => {
      const { ackId, data, publishedAt } = message;
      // Messages that were published together carry one time.
      if (publishedAt !== lastMs) {
        lastMs = publishedAt;
        last = new Date(publishedAt).toISOString();
      }
      open.ackIds.push(ackId);
      open.bytes += data.length;
      const minute = last.slice(0, 16);
      open.published[minute] = (open.published[minute] ?? 0) + 1;
      return { payload: data, meta: metaOf(message, last) };
    });
    await open.landing.appendAll(lines, askedAt);
    this.#open = open;
    const { messages: most, bytes } = this.#limits;
    if (open.ackIds.length >= most || open.bytes >= bytes) await this.#settle();
  }

  #begin(): Open {
    const { clock, random } = this.#world;
    const digits = new Date(clock.now()).toISOString().replace(/[^0-9]/g, '');
    const run = `drain-${digits}-${random.id()}`;
    const { domain, source } = this.#of;
    const landing = openLanding(this.#world, this.#config, { domain, source, run });
    return { landing, ackIds: [], published: {}, bytes: 0 };
  }

  async #settle(): Promise<void> {
    const open = this.#open;
    this.#open = null;
    await this.#settling;
    if (open !== null) this.#settling = this.#finish(open).catch(this.fail);
  }

  async #finish({ landing, ackIds, published }: Open): Promise<void> {
    await landing.finish({ window: null, remaining: null, published });
    await this.#world.subscriptions.acknowledge(this.#of.subscription, ackIds);
    this.runs += 1;
    this.messages += ackIds.length;
  }
}

function metaOf(
  { id, attributes, orderingKey }: TakenMessage,
  published_at: string,
): Readonly<Record<string, unknown>> {
  const meta = { message_id: id, published_at, attributes };
  return orderingKey === '' ? meta : { ...meta, ordering_key: orderingKey };
}
