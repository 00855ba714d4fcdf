/**
 * What the local Pub/Sub knows and what it refuses. No sockets, timers, randomness or file system:
 * it gets a clock, a place for bodies (`MessageStore`) and a place for its memory (`record`), and
 * is deterministic. The server and the simulation both run on it.
 *
 *   const state = new PubsubState({ clock, messages: new MemoryMessages(), grants });
 *   state.declareTopic({ name: 'projects/p/topics/runs' });
 *   state.declareSubscription({ name: 'projects/p/subscriptions/submit', topic, pushConfig });
 *   state.publish(topic, [{ data, attributes: {}, orderingKey: '' }]);
 *   const [message] = state.pull(subscription, 10);         // pull
 *   state.acknowledge(subscription, [message.ackId]);
 *   for (const push of state.takePushes()) {                // push: the caller does the request
 *     ok ? state.acknowledge(push.subscription, [push.ackId]) : state.refuse(push);
 *   }
 *   at state.nextDueAt(): move the clock there, state.advance(), state.takePushes()
 *
 * `advance` applies what time brings: ack deadlines that ran out, retries whose backoff is over,
 * retention, expiry. At least once, in no promised order except by ordering key. Errors are
 * PubsubError with gRPC's status names.
 */
import {
  checkSubscription,
  checkTopic,
  type Grant,
  type SubscriptionConfig,
  type TopicConfig,
} from './config.ts';
import { deadLetter, mayLeave } from './dead_letter.ts';
import { exists, invalid, PubsubError } from './errors.ts';
import { DELETED_TOPIC, type Entry, Memory } from './memory.ts';
import { checkPublish, type Message, type MessageStore, type StoredMessage } from './messages.ts';
import { type PushDelivery, pushDelivery } from './push_delivery.ts';
import { type Delivery, earliest, type LeaseOptions, Subscription } from './subscription.ts';
import type { Topic } from './topic.ts';

export interface PubsubOptions {
  readonly clock: { now(): number };
  readonly messages: MessageStore;
  /** Roles of the Pub/Sub service agent, without which dead-lettering silently does nothing. */
  readonly grants?: readonly Grant[];
  /** Keeps an entry before the call returns. Default: nothing is remembered. */
  readonly record?: (entry: Entry) => void;
  /** What an earlier `record` kept, in order. */
  readonly entries?: Iterable<Entry>;
  /** Called with a subscription's name when messages may have become deliverable. */
  readonly onDeliverable?: (subscription: string) => void;
  /** Called when `nextDueAt` may have become earlier. */
  readonly onDue?: () => void;
}

export interface Received extends Delivery {
  readonly message: StoredMessage;
  /** Only under a dead-letter policy. */
  readonly deliveryAttempt?: number;
}

const MAX_PULL = 1000;
/** What one answer carries at most; a single larger message still goes. */
const PULL_BYTES = 8 << 20;

export class PubsubState {
  readonly messages: MessageStore;
  readonly #clock: { now(): number };
  readonly #grants: readonly Grant[];
  readonly #record: (entry: Entry) => void;
  readonly #onDeliverable: (subscription: string) => void;
  readonly #onDue: () => void;
  readonly #memory: Memory;

  constructor(options: PubsubOptions) {
    this.#clock = options.clock;
    this.messages = options.messages;
    this.#grants = options.grants ?? [];
    this.#onDeliverable = options.onDeliverable ?? (() => undefined);
    this.#onDue = options.onDue ?? (() => undefined);
    this.#record = () => undefined;
    this.#memory = new Memory(this.messages);
    if (options.entries) {
      const make = this.#subscriptionOf.bind(this);
      this.#memory.restore(options.entries, this.#clock.now(), make);
    }
    this.#record = options.record ?? this.#record;
  }

  // --- topics

  createTopic(config: TopicConfig): TopicConfig {
    checkTopic(config);
    if (this.#memory.topics.has(config.name)) throw exists(config.name);
    const id = this.#memory.nextId();
    this.#record({ do: 'topic', id, topic: config });
    this.#memory.addTopic(id, config);
    return config;
  }

  /** Creates the topic or brings an existing one to this declaration. */
  declareTopic(config: TopicConfig): void {
    const topic = this.#memory.topics.get(config.name);
    if (!topic) this.createTopic(config);
    else if (JSON.stringify(topic.config) !== JSON.stringify(config)) this.updateTopic(config);
  }

  updateTopic(config: TopicConfig): TopicConfig {
    checkTopic(config);
    const topic = this.#memory.topic(config.name);
    this.#record({ do: 'topic', id: topic.id, topic: config });
    topic.config = config;
    topic.trim(this.#clock.now());
    return config;
  }

  getTopic(name: string): TopicConfig {
    return this.#memory.topic(name).config;
  }

  /** All topics of `projects/P`, by name. */
  listTopics(project: string): readonly TopicConfig[] {
    return [...this.#memory.topics.values()]
      .map(({ config }) => config)
      .filter(({ name }) => name.startsWith(`${project}/`))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  listTopicSubscriptions(name: string): readonly string[] {
    return [...this.#memory.topic(name).subscriptions].map(({ config }) => config.name).sort();
  }

  /** Its subscriptions stay and keep what they have; their topic reads `_deleted-topic_`. */
  deleteTopic(name: string): void {
    const topic = this.#memory.topic(name);
    this.#record({ do: 'dropTopic', name });
    this.#memory.topics.delete(name);
    topic.drop();
    for (const subscription of topic.subscriptions) {
      subscription.change({ ...subscription.config, topic: DELETED_TOPIC });
    }
  }

  // --- publish

  /** Returns the message ids. Durable once the caller has made the store durable. */
  publish(topicName: string, messages: readonly Message[]): readonly string[] {
    const topic = this.#memory.topic(topicName);
    checkPublish(messages);
    return this.#append(topic, messages);
  }

  #append(topic: Topic, messages: readonly Message[]): readonly string[] {
    const publishTime = this.#clock.now();
    const ids: string[] = [];
    const woken = new Set<Subscription>();
    for (const message of messages) {
      const number = this.#memory.nextNumber();
      const messageId = String(number);
      ids.push(messageId);
      const targets: Subscription[] = [];
      for (const subscription of topic.subscriptions) {
        if (subscription.filter(message.attributes)) targets.push(subscription);
      }
      const holders = targets.length + (topic.retains ? 1 : 0);
      if (holders === 0) continue;
      const { data, attributes, orderingKey } = message;
      this.messages.append(
        { number, publishTime, topic: topic.id, subscriptions: targets.map(({ id }) => id) },
        { data, attributes, orderingKey, messageId, publishTime },
        holders,
      );
      for (const subscription of targets) {
        subscription.offer(number);
        woken.add(subscription);
      }
      if (topic.retains) topic.log.push(number);
    }
    this.messages.commit();
    for (const subscription of woken) this.#onDeliverable(subscription.config.name);
    return ids;
  }

  // --- subscriptions

  createSubscription(config: SubscriptionConfig): SubscriptionConfig {
    checkSubscription(config);
    if (this.#memory.subscriptions.has(config.name)) throw exists(config.name);
    const topic = this.#memory.topic(config.topic);
    const id = this.#memory.nextId();
    this.#record({ do: 'subscription', id, subscription: config });
    const subscription = this.#subscriptionOf(id, config);
    this.#memory.subscriptions.set(config.name, subscription);
    topic.subscriptions.add(subscription);
    return config;
  }

  #subscriptionOf(id: number, config: SubscriptionConfig): Subscription {
    const subscription: Subscription = new Subscription({
      id,
      config,
      store: this.messages,
      now: this.#clock.now(),
      onFailure: (number, count) => this.#failed(subscription, number, count),
    });
    return subscription;
  }

  /** Creates the subscription or brings an existing one to this declaration. */
  declareSubscription(config: SubscriptionConfig): void {
    const subscription = this.#memory.subscriptions.get(config.name);
    if (!subscription) this.createSubscription(config);
    else if (JSON.stringify(subscription.config) !== JSON.stringify(config)) {
      this.updateSubscription(config);
    }
  }

  /** Replaces the declaration. Topic, filter and ordering cannot change. */
  updateSubscription(config: SubscriptionConfig): SubscriptionConfig {
    const subscription = this.#memory.subscription(config.name);
    const before = subscription.config;
    for (const key of ['topic', 'filter', 'enableMessageOrdering'] as const) {
      if ((before[key] || undefined) !== (config[key] || undefined)) {
        throw invalid(`The ${key} of a subscription cannot be changed: ${config.name}`);
      }
    }
    checkSubscription(config);
    this.#record({ do: 'subscription', id: subscription.id, subscription: config });
    subscription.change(config);
    this.#onDeliverable(config.name);
    return config;
  }

  getSubscription(name: string): SubscriptionConfig {
    return this.#memory.subscription(name).config;
  }

  /** All subscriptions of `projects/P`, by name. */
  listSubscriptions(project: string): readonly SubscriptionConfig[] {
    return [...this.#memory.subscriptions.values()]
      .map(({ config }) => config)
      .filter(({ name }) => name.startsWith(`${project}/`))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  deleteSubscription(name: string): void {
    const subscription = this.#memory.subscription(name);
    this.#record({ do: 'dropSubscription', name });
    this.#memory.subscriptions.delete(name);
    this.#memory.topics.get(subscription.config.topic)?.subscriptions.delete(subscription);
    subscription.drop();
    this.#onDeliverable(name);
  }

  /** For status pages: what is not acknowledged, and how much of it is out with subscribers. */
  backlog(name: string): { readonly unacknowledged: number; readonly out: number } {
    const { unacknowledged, out } = this.#memory.subscription(name);
    return { unacknowledged, out };
  }

  // --- delivery

  /** Leases messages of a pull subscription: ids only, bodies are read from `messages`. */
  lease(name: string, options: LeaseOptions): readonly Delivery[] {
    const subscription = this.#memory.subscription(name);
    if (subscription.push) {
      throw new PubsubError(
        'FAILED_PRECONDITION',
        `This operation is not supported for push subscriptions (${name}).`,
      );
    }
    const { maxMessages, maxBytes = PULL_BYTES } = options;
    const bounded = { maxMessages: Math.min(maxMessages, MAX_PULL), maxBytes };
    const deliveries = subscription.lease(this.#clock.now(), { ...options, ...bounded });
    if (deliveries.length > 0) this.#onDue();
    return deliveries;
  }

  /** Leases messages of a pull subscription, with their bodies. Empty = nothing is deliverable. */
  pull(name: string, max: number): readonly Received[] {
    if (!(max > 0)) throw invalid('max_messages must be positive.');
    const numbered = this.#memory.subscription(name).config.deadLetterPolicy !== undefined;
    return this.lease(name, { maxMessages: max }).map((delivery) => ({
      ...delivery,
      message: this.messages.read(delivery.number),
      ...(numbered ? { deliveryAttempt: delivery.attempt } : {}),
    }));
  }

  /** Whether deliveries of this subscription carry their attempt. */
  countsAttempts(name: string): boolean {
    return this.#memory.subscription(name).config.deadLetterPolicy !== undefined;
  }

  /** Ids that are unknown or too old are ignored, as the real service does. */
  acknowledge(name: string, ackIds: readonly string[]): void {
    const subscription = this.#memory.subscription(name);
    const now = this.#clock.now();
    const numbers: number[] = [];
    for (const ackId of ackIds) {
      const number = subscription.acknowledge(ackId, now);
      if (number !== undefined) numbers.push(number);
    }
    if (numbers.length === 0) return;
    this.#record({ do: 'ack', s: subscription.id, n: numbers });
    if (subscription.push || subscription.config.enableMessageOrdering) this.#onDeliverable(name);
  }

  /** Seconds from now, 0 to 600; 0 gives the messages back (nack). */
  modifyAckDeadline(name: string, ackIds: readonly string[], seconds: number): void {
    if (!(seconds >= 0 && seconds <= 600)) {
      throw invalid(`Invalid ack deadline: ${seconds}. It must lie between 0 and 600.`);
    }
    const subscription = this.#memory.subscription(name);
    const now = this.#clock.now();
    for (const ackId of ackIds) subscription.modify(ackId, seconds * 1000, now);
    this.#onDue();
    if (seconds === 0) this.#onDeliverable(name);
  }

  /** Pushes that may start now, leased; each ends in `acknowledge` or `refuse`. */
  takePushes(): readonly PushDelivery[] {
    const now = this.#clock.now();
    const pushes: PushDelivery[] = [];
    for (const subscription of this.#memory.subscriptions.values()) {
      if (!subscription.push || !subscription.hasDeliverable()) continue;
      const maxMessages = subscription.pushRoom(now);
      for (const delivery of subscription.lease(now, { maxMessages })) {
        pushes.push(pushDelivery(subscription, delivery, this.messages.read(delivery.number)));
      }
    }
    return pushes;
  }

  /** A push that failed, was refused or came too late. */
  refuse({ subscription: name, ackId }: Pick<PushDelivery, 'subscription' | 'ackId'>): void {
    this.#memory.subscriptions.get(name)?.refuse(ackId, this.#clock.now());
    this.#onDeliverable(name);
  }

  #failed(subscription: Subscription, number: number, count: number): 'dead-lettered' | 'again' {
    const { config } = subscription;
    const topic = this.#memory.topics.get(config.deadLetterPolicy?.deadLetterTopic ?? '');
    if (!topic || !mayLeave(config, count, this.#grants)) {
      this.#record({ do: 'failed', s: subscription.id, n: [[number, count]] });
      return 'again';
    }
    // Written before the acknowledgement: a crash between the two dead-letters it twice.
    this.#append(topic, [deadLetter(this.messages.read(number), config.name, count)]);
    this.#record({ do: 'ack', s: subscription.id, n: [number] });
    return 'dead-lettered';
  }

  /** Epoch ms. To the past: redelivers what is still kept; to the future: acknowledges everything. */
  seek(name: string, time: number): void {
    const subscription = this.#memory.subscription(name);
    const topic = this.#memory.topics.get(subscription.config.topic);
    const more: number[] = [];
    for (const number of topic?.log ?? []) {
      if (this.messages.publishTime(number) < time) continue;
      if (subscription.filter(this.messages.read(number).attributes)) more.push(number);
    }
    subscription.seek(time, more);
    this.#record(this.#memory.unacked(subscription));
    this.#onDeliverable(name);
  }

  // --- time

  /** The next moment (epoch ms, not before now) at which time alone changes something. */
  nextDueAt(): number | undefined {
    const now = this.#clock.now();
    const times: (number | undefined)[] = [];
    for (const subscription of this.#memory.subscriptions.values()) {
      times.push(subscription.nextDueAt(now));
    }
    for (const topic of this.#memory.topics.values()) times.push(topic.nextDueAt());
    const at = earliest(times);
    return at === undefined ? undefined : Math.max(now, at);
  }

  /** Applies everything that is due by now. */
  advance(): void {
    const now = this.#clock.now();
    for (const subscription of [...this.#memory.subscriptions.values()]) {
      const { name } = subscription.config;
      const expiresAt = subscription.expiresAt;
      if (expiresAt !== undefined && expiresAt <= now) this.deleteSubscription(name);
      else if (subscription.advance(now)) this.#onDeliverable(name);
    }
    for (const topic of this.#memory.topics.values()) topic.trim(now);
  }

  // --- memory

  /** The whole memory as a fresh list of entries, for compaction. */
  entries(): Iterable<Entry> {
    return this.#memory.entries();
  }
}
