/** What the service remembers: topics, subscriptions and what they have, as a list of entries. */
import type { SubscriptionConfig, TopicConfig } from './config.ts';
import { notFound } from './errors.ts';
import type { MessageStore } from './messages.ts';
import { NumberSet, packNumbers, unpackNumbers } from './queue.ts';
import type { Subscription } from './subscription.ts';
import { Topic } from './topic.ts';

/** What must be remembered between two starts, in order. */
export type Entry =
  | { readonly do: 'topic'; readonly id: number; readonly topic: TopicConfig }
  | { readonly do: 'dropTopic'; readonly name: string }
  | {
      readonly do: 'subscription';
      readonly id: number;
      readonly subscription: SubscriptionConfig;
      readonly epoch?: number;
    }
  | { readonly do: 'dropSubscription'; readonly name: string }
  | { readonly do: 'ack'; readonly s: number; readonly n: readonly number[] }
  /** Message, number of failed deliveries. */
  | { readonly do: 'failed'; readonly s: number; readonly n: readonly (readonly number[])[] }
  /** Of all messages up to `upTo` exactly the packed ones are unacknowledged. */
  | {
      readonly do: 'unacked';
      readonly s: number;
      readonly upTo: number;
      readonly epoch: number;
      readonly packed: string;
    }
  /** Ids and message numbers up to these were used. */
  | { readonly do: 'used'; readonly id: number; readonly number: number };

/** After a restart numbers go on well above the last one seen: the very last may not be on disk. */
const RESTART_GAP = 1_000_000;
/** The topic of a subscription whose topic was deleted. */
export const DELETED_TOPIC = '_deleted-topic_';

export class Memory {
  readonly topics = new Map<string, Topic>();
  readonly subscriptions = new Map<string, Subscription>();
  readonly #messages: MessageStore;
  #lastId = 0;
  #lastNumber = 0;

  constructor(messages: MessageStore) {
    this.#messages = messages;
  }

  /** An id for a topic or a subscription. */
  nextId(): number {
    return ++this.#lastId;
  }

  /** A number for a message. */
  nextNumber(): number {
    return ++this.#lastNumber;
  }

  addTopic(id: number, config: TopicConfig): void {
    this.topics.set(config.name, new Topic(id, config, this.#messages));
  }

  topic(name: string): Topic {
    const topic = this.topics.get(name);
    if (!topic) throw notFound(name);
    return topic;
  }

  subscription(name: string): Subscription {
    const subscription = this.subscriptions.get(name);
    if (!subscription) throw notFound(name);
    return subscription;
  }

  /** The whole memory as a fresh list of entries, for compaction. */
  *entries(): Generator<Entry> {
    yield { do: 'used', id: this.#lastId, number: this.#lastNumber };
    for (const { id, config } of this.topics.values()) yield { do: 'topic', id, topic: config };
    for (const subscription of this.subscriptions.values()) {
      const { id, config, epoch } = subscription;
      yield { do: 'subscription', id, subscription: config, epoch };
      yield this.unacked(subscription);
      let batch: (readonly number[])[] = [];
      for (const failure of subscription.failureCounts()) {
        batch.push(failure);
        if (batch.length < 1000) continue;
        yield { do: 'failed', s: id, n: batch };
        batch = [];
      }
      if (batch.length > 0) yield { do: 'failed', s: id, n: batch };
    }
  }

  /** What a subscription has not acknowledged, all of it. */
  unacked(subscription: Subscription): Entry {
    const packed = packNumbers(subscription.unacknowledgedNumbers());
    const { id: s, epoch } = subscription;
    return { do: 'unacked', s, upTo: this.#lastNumber, epoch, packed };
  }

  /**
   * Remembers what an earlier process kept.
   * @param make a subscription of its own kind
   */
  restore(
    entries: Iterable<Entry>,
    now: number,
    make: (id: number, config: SubscriptionConfig) => Subscription,
  ): void {
    const known = new Map<number, Restoring>();
    let any = false;
    for (const entry of entries) {
      any = true;
      switch (entry.do) {
        case 'used':
          this.#lastId = Math.max(this.#lastId, entry.id);
          this.#lastNumber = Math.max(this.#lastNumber, entry.number);
          break;
        case 'topic': {
          const topic = this.topics.get(entry.topic.name);
          this.#lastId = Math.max(this.#lastId, entry.id);
          if (topic) topic.config = entry.topic;
          else this.addTopic(entry.id, entry.topic);
          break;
        }
        case 'dropTopic':
          for (const { config, subscription } of [...known.values()]) {
            if (config.topic !== entry.name) continue;
            subscription.config = { ...subscription.config, topic: DELETED_TOPIC };
          }
          this.topics.delete(entry.name);
          break;
        case 'subscription': {
          this.#lastId = Math.max(this.#lastId, entry.id);
          const before = known.get(entry.id);
          if (before) before.subscription.config = entry.subscription;
          else {
            const subscription = make(entry.id, entry.subscription);
            this.subscriptions.set(entry.subscription.name, subscription);
            subscription.epoch = entry.epoch ?? 0;
            known.set(entry.id, new Restoring(subscription));
          }
          break;
        }
        case 'dropSubscription': {
          const subscription = this.subscriptions.get(entry.name);
          if (subscription) known.delete(subscription.id);
          this.subscriptions.delete(entry.name);
          break;
        }
        case 'ack':
          known.get(entry.s)?.acknowledge(entry.n);
          break;
        case 'failed':
          known.get(entry.s)?.fail(entry.n);
          break;
        case 'unacked':
          known.get(entry.s)?.reset(entry.upTo, entry.epoch, entry.packed);
          break;
      }
    }
    for (const { subscription } of known.values()) {
      this.topics.get(subscription.config.topic)?.subscriptions.add(subscription);
    }
    this.#restoreMessages([...known.values()], now);
    if (any) this.#lastNumber += RESTART_GAP;
  }

  #restoreMessages(known: readonly Restoring[], now: number): void {
    const topics = new Map([...this.topics.values()].map((topic) => [topic.id, topic] as const));
    for (const head of this.#messages.heads()) {
      this.#lastNumber = Math.max(this.#lastNumber, head.number);
      for (const restoring of known) {
        const queued = head.subscriptions.includes(restoring.subscription.id);
        const unacknowledged = restoring.isUnacknowledged(head.number, queued);
        if (!queued && !unacknowledged) continue;
        const { subscription } = restoring;
        if (head.publishTime + subscription.retentionMs <= now) continue;
        const failures = restoring.failures.get(head.number) ?? 0;
        subscription.restore(head.number, unacknowledged, failures);
      }
      const topic = topics.get(head.topic);
      const retention = topic?.config.messageRetentionSeconds;
      if (topic && retention !== undefined && head.publishTime + retention * 1000 > now) {
        this.#messages.retain(head.number);
        topic.log.push(head.number);
      }
    }
  }
}

/** What the journal says about one subscription, before the messages are met in rising order. */
class Restoring {
  readonly subscription: Subscription;
  readonly failures = new Map<number, number>();
  #acknowledged = new NumberSet();
  #upTo = 0;
  #unacked: Iterator<number> = [][Symbol.iterator]();
  #nextUnacked: number | undefined;

  constructor(subscription: Subscription) {
    this.subscription = subscription;
  }

  get config(): SubscriptionConfig {
    return this.subscription.config;
  }

  acknowledge(numbers: readonly number[]): void {
    for (const number of numbers) this.#acknowledged.add(number);
  }

  fail(pairs: readonly (readonly number[])[]): void {
    for (const [number = 0, count = 0] of pairs) this.failures.set(number, count);
  }

  reset(upTo: number, epoch: number, packed: string): void {
    this.subscription.epoch = epoch;
    this.#acknowledged = new NumberSet();
    this.failures.clear();
    this.#upTo = upTo;
    this.#unacked = unpackNumbers(packed);
    this.#nextUnacked = this.#unacked.next().value as number | undefined;
  }

  /** Call with rising numbers. */
  isUnacknowledged(number: number, queued: boolean): boolean {
    while (this.#nextUnacked !== undefined && this.#nextUnacked < number) {
      this.#nextUnacked = this.#unacked.next().value as number | undefined;
    }
    const listed = this.#nextUnacked === number;
    return (number > this.#upTo ? queued : listed) && !this.#acknowledged.has(number);
  }
}
