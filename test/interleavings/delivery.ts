/**
 * Pub/Sub's push side, as the stack declares it: every function has its own subscription per topic;
 * a message comes at least once, in any order, again with backoff while it is refused, and after
 * the last attempt it goes to the dead letters. Schedules publish on the virtual clock.
 */
import type { Config } from '../../functions/config.ts';
import type { Handler, Message } from '../../functions/message.ts';
import { delivery, type FunctionSettings } from '../../functions/settings.ts';
import type { Queue, World } from '../../functions/world.ts';
import type { Process, Simulation } from './simulation.ts';

/** How badly messages and invocations fare; shares from 0 to 1. */
export interface Mail {
  readonly duplicated: number;
  readonly delayed: number;
  /** Longest delay of a delayed message, milliseconds. */
  readonly longestDelay: number;
  readonly lost: number;
  readonly unacknowledged: number;
  /** Invocations that go on after their timeout, unseen. */
  readonly zombies: number;
}

export const calm: Mail = {
  duplicated: 0,
  delayed: 0,
  longestDelay: 0,
  lost: 0,
  unacknowledged: 0,
  zombies: 0,
};

interface Subscription {
  readonly settings: FunctionSettings;
  readonly topic: string;
}

export class Deliveries {
  mail: Mail = calm;
  /** Decides about single messages in scenarios: true = this one never arrives. */
  drops: (topic: string, message: Message) => boolean = () => false;
  /** Milliseconds by which a message is held back, in scenarios. */
  holds: (topic: string, message: Message) => number = () => 0;
  deadLetters = 0;
  readonly #simulation: Simulation;
  readonly #handlers: Readonly<Record<string, Handler>>;
  readonly #subscriptions: readonly Subscription[];
  readonly #config: Config;
  readonly #worldOf: (process: Process) => World;
  readonly #running = new Map<string, number>();

  constructor(
    simulation: Simulation,
    options: {
      readonly functions: readonly FunctionSettings[];
      /** By entry. */
      readonly handlers: Readonly<Record<string, Handler>>;
      readonly config: Config;
      readonly worldOf: (process: Process) => World;
    },
  ) {
    this.#simulation = simulation;
    this.#handlers = options.handlers;
    this.#config = options.config;
    this.#worldOf = options.worldOf;
    this.#subscriptions = options.functions.flatMap((settings) =>
      settings.inboxes.map(({ topic }) => ({ settings, topic })),
    );
  }

  queue(process: Process): Queue {
    const publishAll: Queue['publishAll'] = (topic, messages) => {
      const texts = messages.map(({ data }) => data.toString());
      const send = (): void => {
        messages.forEach(({ attributes = {} }, i) => {
          this.publish(topic, { data: JSON.parse(texts[i] as string), attributes });
        });
      };
      const what = `${topic} ${texts.join(' ')}`;
      return this.#simulation.call(process, 'pubsub', 'publish', what, send, send);
    };
    return { publish: (topic, message) => publishAll(topic, [message]), publishAll };
  }

  /** Takes a message as Pub/Sub does: from here on it is Pub/Sub's to deliver. */
  publish(topic: string, message: Message): void {
    const takers = this.#subscriptions.filter((subscription) => subscription.topic === topic);
    if (takers.length === 0) throw new Error(`nobody subscribes to ${topic}`);
    const { random } = this.#simulation;
    for (const taker of takers) {
      if (this.drops(topic, message) || random.chance(this.mail.lost)) {
        this.#simulation.note(null, `${topic} ${shown(message)} LOST`, 'landmark');
        continue;
      }
      const copies = random.chance(this.mail.duplicated) ? 2 : 1;
      for (let copy = 0; copy < copies; copy += 1) {
        const delay =
          this.holds(topic, message) ||
          (random.chance(this.mail.delayed)
            ? random.between(0, this.mail.longestDelay)
            : random.between(5, 500));
        this.#simulation.after(delay, () => this.#deliver(taker, message, 1));
      }
    }
  }

  #again(subscription: Subscription, message: Message, attempt: number): void {
    if (attempt >= delivery.maxDeliveryAttempts) {
      this.deadLetters += 1;
      this.#simulation.note(
        null,
        `${subscription.topic} ${shown(message)} DEAD LETTER`,
        'landmark',
      );
      return;
    }
    const { minimumBackoffSeconds, maximumBackoffSeconds } = delivery;
    const backoff = Math.min(maximumBackoffSeconds, minimumBackoffSeconds * 2 ** (attempt - 1));
    const delay = 1000 * backoff * this.#simulation.random.between(1, 1.5);
    this.#simulation.after(delay, () => this.#deliver(subscription, message, attempt + 1));
  }

  #deliver(subscription: Subscription, message: Message, attempt: number): void {
    const { settings } = subscription;
    const running = this.#running.get(settings.name) ?? 0;
    // No instance free: the front end answers 429, which is a failed delivery like any other.
    if (running >= settings.maxInstances * settings.concurrency) {
      this.#again(subscription, message, attempt);
      return;
    }
    const simulation = this.#simulation;
    const { random } = simulation;
    const process = simulation.spawn(settings.name, Math.round(random.between(-1_500, 1_500)));
    simulation.note(process, `STARTS on ${subscription.topic} ${shown(message)}, try ${attempt}`);
    this.#running.set(settings.name, running + 1);
    let over = false;
    const end = (outcome: 'done' | 'failed' | 'killed' | 'timeout'): void => {
      if (over) return;
      over = true;
      this.#running.set(settings.name, (this.#running.get(settings.name) ?? 1) - 1);
      simulation.note(process, `ENDS ${outcome}`);
      if (outcome === 'done' && !random.chance(this.mail.unacknowledged)) return;
      this.#again(subscription, message, attempt);
    };
    process.onKilled = () => end('killed');
    simulation.after(settings.timeoutSeconds * 1000, () => {
      if (over) return;
      if (random.chance(this.mail.zombies)) end('timeout');
      else simulation.kill(process);
    });
    const handle = this.#handlers[settings.entry] as Handler;
    handle(message, this.#worldOf(process), this.#config).then(
      () => end('done'),
      (error: unknown) => {
        const reason = error instanceof Error ? error.message : String(error);
        simulation.note(process, `REJECTS ${reason}`, 'landmark');
        end('failed');
      },
    );
  }

  /** Publishes on a schedule until the end of the run. */
  every(minutes: number, phaseMs: number, topic: string, data: () => Message['data']): void {
    const tick = (): void => {
      this.publish(topic, { data: data(), attributes: {} });
      this.#simulation.after(minutes * 60_000, tick);
    };
    const period = minutes * 60_000;
    const first = Math.ceil(this.#simulation.now / period) * period - this.#simulation.now;
    this.#simulation.after(first + phaseMs, tick);
  }
}

const shown = (message: Message): string =>
  message.attributes['objectId'] ?? JSON.stringify(message.data);
