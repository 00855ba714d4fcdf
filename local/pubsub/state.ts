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
  granted,
  type SubscriptionConfig,
  type TopicConfig,
} from './config.ts';
import { exists, invalid, notFound, PubsubError } from './errors.ts';
import type { Message, MessageStore, StoredMessage } from './messages.ts';
import { NumberQueue, NumberSet, packNumbers, unpackNumbers } from './queue.ts';
import { type Delivery, earliest, type LeaseOptions, Subscription } from './subscription.ts';

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

export type { Delivery, Flow, LeaseOptions } from './subscription.ts';

export interface Received extends Delivery {
  readonly message: StoredMessage;
  /** Only under a dead-letter policy. */
  readonly deliveryAttempt?: number;
}

export interface PushDelivery extends Delivery {
  readonly subscription: string;
  readonly endpoint: string;
  /** The body of the POST, JSON. */
  readonly body: string;
  /** Set when a token is configured: the endpoint expects `Authorization: Bearer`. */
  readonly oidc?: { readonly email: string; readonly audience: string };
  /** An answer after this many ms comes too late. */
  readonly timeoutMs: number;
}

interface Topic {
  readonly id: number;
  config: TopicConfig;
  readonly subscriptions: Set<Subscription>;
  /** Messages that the topic itself retains. */
  readonly log: NumberQueue;
}

const MAX_BATCH = 1000;
const MAX_BYTES = 10_000_000;
const MAX_PULL = 1000;
/** What one answer carries at most; a single larger message still goes. */
const PULL_BYTES = 8 << 20;
/** After a restart numbers go on well above the last one seen: the very last may not be on disk. */
const RESTART_GAP = 1_000_000;
export const DELETED_TOPIC = '_deleted-topic_';

const iso = (ms: number): string => new Date(ms).toISOString();

/** Refuses what the service refuses; see limits at cloud.google.com/pubsub/quotas. */
function checkMessage({ data, attributes, orderingKey }: Message): void {
  const entries = Object.entries(attributes);
  if (data.length === 0 && entries.length === 0) {
    throw invalid('The message must have data or at least one attribute.');
  }
  if (entries.length > 100) throw invalid('A message has at most 100 attributes.');
  for (const [key, value] of entries) {
    if (key === '' || Buffer.byteLength(key) > 256) {
      throw invalid('An attribute key has 1 to 256 bytes.');
    }
    if (key.startsWith('goog')) throw invalid(`Attribute keys must not begin with goog: ${key}`);
    if (Buffer.byteLength(value) > 1024) throw invalid('An attribute has at most 1024 bytes.');
  }
  if (Buffer.byteLength(orderingKey) > 1024) {
    throw invalid('An ordering key has at most 1024 bytes.');
  }
}

export class PubsubState {
  readonly messages: MessageStore;
  readonly #clock: { now(): number };
  readonly #grants: readonly Grant[];
  readonly #record: (entry: Entry) => void;
  readonly #onDeliverable: (subscription: string) => void;
  readonly #onDue: () => void;
  readonly #topics = new Map<string, Topic>();
  readonly #subscriptions = new Map<string, Subscription>();
  #lastId = 0;
  #lastNumber = 0;

  constructor(options: PubsubOptions) {
    this.#clock = options.clock;
    this.messages = options.messages;
    this.#grants = options.grants ?? [];
    this.#onDeliverable = options.onDeliverable ?? (() => undefined);
    this.#onDue = options.onDue ?? (() => undefined);
    this.#record = () => undefined;
    if (options.entries) this.#restore(options.entries);
    this.#record = options.record ?? this.#record;
  }

  // --- topics

  createTopic(config: TopicConfig): TopicConfig {
    checkTopic(config);
    if (this.#topics.has(config.name)) throw exists(config.name);
    const id = ++this.#lastId;
    this.#record({ do: 'topic', id, topic: config });
    const subscriptions = new Set<Subscription>();
    this.#topics.set(config.name, { id, config, subscriptions, log: new NumberQueue() });
    return config;
  }

  /** Creates the topic or brings an existing one to this declaration. */
  declareTopic(config: TopicConfig): void {
    const topic = this.#topics.get(config.name);
    if (!topic) this.createTopic(config);
    else if (JSON.stringify(topic.config) !== JSON.stringify(config)) this.updateTopic(config);
  }

  updateTopic(config: TopicConfig): TopicConfig {
    checkTopic(config);
    const topic = this.#topic(config.name);
    this.#record({ do: 'topic', id: topic.id, topic: config });
    topic.config = config;
    this.#trimTopic(topic, this.#clock.now());
    return config;
  }

  getTopic(name: string): TopicConfig {
    return this.#topic(name).config;
  }

  /** All topics of `projects/P`, by name. */
  listTopics(project: string): readonly TopicConfig[] {
    return [...this.#topics.values()]
      .map(({ config }) => config)
      .filter(({ name }) => name.startsWith(`${project}/`))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  listTopicSubscriptions(name: string): readonly string[] {
    return [...this.#topic(name).subscriptions].map(({ config }) => config.name).sort();
  }

  /** Its subscriptions stay and keep what they have; their topic reads `_deleted-topic_`. */
  deleteTopic(name: string): void {
    const topic = this.#topic(name);
    this.#record({ do: 'dropTopic', name });
    this.#topics.delete(name);
    for (const number of topic.log) this.messages.release(number);
    for (const subscription of topic.subscriptions) {
      subscription.change({ ...subscription.config, topic: DELETED_TOPIC });
    }
  }

  // --- publish

  /** Returns the message ids. Durable once the caller has made the store durable. */
  publish(topicName: string, messages: readonly Message[]): readonly string[] {
    const topic = this.#topic(topicName);
    if (messages.length === 0 || messages.length > MAX_BATCH) {
      throw invalid(`A publish request has 1 to ${MAX_BATCH} messages.`);
    }
    let bytes = 0;
    for (const message of messages) {
      checkMessage(message);
      bytes += message.data.length;
    }
    if (bytes > MAX_BYTES) {
      throw invalid(`Request payload size exceeds the limit: ${MAX_BYTES} bytes.`);
    }
    return this.#append(topic, messages);
  }

  #append(topic: Topic, messages: readonly Message[]): readonly string[] {
    const publishTime = this.#clock.now();
    const retains = topic.config.messageRetentionSeconds !== undefined;
    const ids: string[] = [];
    const woken = new Set<Subscription>();
    for (const message of messages) {
      const number = ++this.#lastNumber;
      const messageId = String(number);
      ids.push(messageId);
      const targets: Subscription[] = [];
      for (const subscription of topic.subscriptions) {
        if (subscription.filter(message.attributes)) targets.push(subscription);
      }
      const holders = targets.length + (retains ? 1 : 0);
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
      if (retains) topic.log.push(number);
    }
    this.messages.commit();
    for (const subscription of woken) this.#onDeliverable(subscription.config.name);
    return ids;
  }

  // --- subscriptions

  createSubscription(config: SubscriptionConfig): SubscriptionConfig {
    checkSubscription(config);
    if (this.#subscriptions.has(config.name)) throw exists(config.name);
    const topic = this.#topic(config.topic);
    const id = ++this.#lastId;
    this.#record({ do: 'subscription', id, subscription: config });
    topic.subscriptions.add(this.#addSubscription(id, config));
    return config;
  }

  #addSubscription(id: number, config: SubscriptionConfig): Subscription {
    const subscription: Subscription = new Subscription({
      id,
      config,
      store: this.messages,
      now: this.#clock.now(),
      onFailure: (number, count) => this.#failed(subscription, number, count),
    });
    this.#subscriptions.set(config.name, subscription);
    return subscription;
  }

  /** Creates the subscription or brings an existing one to this declaration. */
  declareSubscription(config: SubscriptionConfig): void {
    const subscription = this.#subscriptions.get(config.name);
    if (!subscription) this.createSubscription(config);
    else if (JSON.stringify(subscription.config) !== JSON.stringify(config)) {
      this.updateSubscription(config);
    }
  }

  /** Replaces the declaration. Topic, filter and ordering cannot change. */
  updateSubscription(config: SubscriptionConfig): SubscriptionConfig {
    const subscription = this.#subscription(config.name);
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
    return this.#subscription(name).config;
  }

  /** All subscriptions of `projects/P`, by name. */
  listSubscriptions(project: string): readonly SubscriptionConfig[] {
    return [...this.#subscriptions.values()]
      .map(({ config }) => config)
      .filter(({ name }) => name.startsWith(`${project}/`))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  deleteSubscription(name: string): void {
    const subscription = this.#subscription(name);
    this.#record({ do: 'dropSubscription', name });
    this.#subscriptions.delete(name);
    this.#topics.get(subscription.config.topic)?.subscriptions.delete(subscription);
    subscription.drop();
    this.#onDeliverable(name);
  }

  /** For status pages: what is not acknowledged, and how much of it is out with subscribers. */
  backlog(name: string): { readonly unacknowledged: number; readonly out: number } {
    const { unacknowledged, out } = this.#subscription(name);
    return { unacknowledged, out };
  }

  // --- delivery

  /** Leases messages of a pull subscription: ids only, bodies are read from `messages`. */
  lease(name: string, options: LeaseOptions): readonly Delivery[] {
    const subscription = this.#subscription(name);
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
    const numbered = this.#subscription(name).config.deadLetterPolicy !== undefined;
    return this.lease(name, { maxMessages: max }).map((delivery) => ({
      ...delivery,
      message: this.messages.read(delivery.number),
      ...(numbered ? { deliveryAttempt: delivery.attempt } : {}),
    }));
  }

  /** Whether deliveries of this subscription carry their attempt. */
  countsAttempts(name: string): boolean {
    return this.#subscription(name).config.deadLetterPolicy !== undefined;
  }

  /** Ids that are unknown or too old are ignored, as the real service does. */
  acknowledge(name: string, ackIds: readonly string[]): void {
    const subscription = this.#subscription(name);
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
    const subscription = this.#subscription(name);
    const now = this.#clock.now();
    for (const ackId of ackIds) subscription.modify(ackId, seconds * 1000, now);
    this.#onDue();
    if (seconds === 0) this.#onDeliverable(name);
  }

  /** Pushes that may start now, leased; each ends in `acknowledge` or `refuse`. */
  takePushes(): readonly PushDelivery[] {
    const now = this.#clock.now();
    const pushes: PushDelivery[] = [];
    for (const subscription of this.#subscriptions.values()) {
      const config = subscription.push;
      if (!config || !subscription.hasDeliverable()) continue;
      const maxMessages = subscription.pushRoom(now);
      for (const delivery of subscription.lease(now, { maxMessages })) {
        const { oidcToken, pushEndpoint: endpoint } = config;
        const audience = oidcToken?.audience || endpoint;
        pushes.push({
          ...delivery,
          subscription: subscription.config.name,
          endpoint,
          body: this.#pushBody(subscription, delivery),
          timeoutMs: subscription.ackDeadlineMs,
          ...(oidcToken ? { oidc: { email: oidcToken.serviceAccountEmail, audience } } : {}),
        });
      }
    }
    return pushes;
  }

  #pushBody({ config }: Subscription, { number, attempt }: Delivery): string {
    const { data, attributes, orderingKey, messageId, publishTime } = this.messages.read(number);
    const time = iso(publishTime);
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.length);
    return JSON.stringify({
      // The service sends both spellings.
      message: {
        ...(Object.keys(attributes).length > 0 ? { attributes } : {}),
        ...(data.length > 0 ? { data: bytes.toString('base64') } : {}),
        messageId,
        message_id: messageId,
        ...(orderingKey ? { orderingKey } : {}),
        publishTime: time,
        publish_time: time,
      },
      subscription: config.name,
      ...(config.deadLetterPolicy ? { deliveryAttempt: attempt } : {}),
    });
  }

  /** A push that failed, was refused or came too late. */
  refuse({ subscription: name, ackId }: Pick<PushDelivery, 'subscription' | 'ackId'>): void {
    this.#subscriptions.get(name)?.refuse(ackId, this.#clock.now());
    this.#onDeliverable(name);
  }

  #failed(subscription: Subscription, number: number, count: number): 'dead-lettered' | 'again' {
    const { config } = subscription;
    const policy = config.deadLetterPolicy;
    const topic = policy && this.#topics.get(policy.deadLetterTopic);
    const mayLeave =
      policy !== undefined &&
      count >= (policy.maxDeliveryAttempts ?? 5) &&
      granted(this.#grants, 'roles/pubsub.publisher', policy.deadLetterTopic) &&
      granted(this.#grants, 'roles/pubsub.subscriber', config.name);
    if (!topic || !mayLeave) {
      this.#record({ do: 'failed', s: subscription.id, n: [[number, count]] });
      return 'again';
    }
    const message = this.messages.read(number);
    const [, project = '', , id = ''] = config.name.split('/');
    const attributes = {
      ...message.attributes,
      CloudPubSubDeadLetterSourceDeliveryCount: String(count),
      CloudPubSubDeadLetterSourceSubscription: id,
      CloudPubSubDeadLetterSourceSubscriptionProject: project,
      CloudPubSubDeadLetterSourceTopicPublishTime: iso(message.publishTime),
    };
    // Written before the acknowledgement: a crash between the two dead-letters it twice.
    this.#append(topic, [{ ...message, attributes }]);
    this.#record({ do: 'ack', s: subscription.id, n: [number] });
    return 'dead-lettered';
  }

  /** Epoch ms. To the past: redelivers what is still kept; to the future: acknowledges everything. */
  seek(name: string, time: number): void {
    const subscription = this.#subscription(name);
    const topic = this.#topics.get(subscription.config.topic);
    const more: number[] = [];
    for (const number of topic?.log ?? []) {
      if (this.messages.publishTime(number) < time) continue;
      if (subscription.filter(this.messages.read(number).attributes)) more.push(number);
    }
    subscription.seek(time, more);
    this.#record(this.#unackedEntry(subscription));
    this.#onDeliverable(name);
  }

  // --- time

  /** The next moment (epoch ms, not before now) at which time alone changes something. */
  nextDueAt(): number | undefined {
    const now = this.#clock.now();
    const times: (number | undefined)[] = [];
    for (const subscription of this.#subscriptions.values()) {
      times.push(subscription.nextDueAt(now));
    }
    for (const { config, log } of this.#topics.values()) {
      const head = log.peek();
      if (head === undefined || config.messageRetentionSeconds === undefined) continue;
      times.push(this.messages.publishTime(head) + config.messageRetentionSeconds * 1000);
    }
    const at = earliest(times);
    return at === undefined ? undefined : Math.max(now, at);
  }

  /** Applies everything that is due by now. */
  advance(): void {
    const now = this.#clock.now();
    for (const subscription of [...this.#subscriptions.values()]) {
      const { name } = subscription.config;
      const expiresAt = subscription.expiresAt;
      if (expiresAt !== undefined && expiresAt <= now) this.deleteSubscription(name);
      else if (subscription.advance(now)) this.#onDeliverable(name);
    }
    for (const topic of this.#topics.values()) this.#trimTopic(topic, now);
  }

  #trimTopic({ config, log }: Topic, now: number): void {
    const limit = now - (config.messageRetentionSeconds ?? 0) * 1000;
    for (;;) {
      const head = log.peek();
      if (head === undefined || this.messages.publishTime(head) > limit) return;
      log.shift();
      this.messages.release(head);
    }
  }

  // --- memory

  /** The whole memory as a fresh list of entries, for compaction. */
  *entries(): Generator<Entry> {
    yield { do: 'used', id: this.#lastId, number: this.#lastNumber };
    for (const { id, config } of this.#topics.values()) yield { do: 'topic', id, topic: config };
    for (const subscription of this.#subscriptions.values()) {
      const { id, config, epoch } = subscription;
      yield { do: 'subscription', id, subscription: config, epoch };
      yield this.#unackedEntry(subscription);
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

  #unackedEntry(subscription: Subscription): Entry {
    const packed = packNumbers(subscription.unacknowledgedNumbers());
    const { id: s, epoch } = subscription;
    return { do: 'unacked', s, upTo: this.#lastNumber, epoch, packed };
  }

  #restore(entries: Iterable<Entry>): void {
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
          const topic = this.#topics.get(entry.topic.name);
          this.#lastId = Math.max(this.#lastId, entry.id);
          if (topic) topic.config = entry.topic;
          else {
            const subscriptions = new Set<Subscription>();
            const log = new NumberQueue();
            const { id, topic: config } = entry;
            this.#topics.set(config.name, { id, config, subscriptions, log });
          }
          break;
        }
        case 'dropTopic':
          for (const { config, subscription } of [...known.values()]) {
            if (config.topic !== entry.name) continue;
            subscription.config = { ...subscription.config, topic: DELETED_TOPIC };
          }
          this.#topics.delete(entry.name);
          break;
        case 'subscription': {
          this.#lastId = Math.max(this.#lastId, entry.id);
          const before = known.get(entry.id);
          if (before) before.subscription.config = entry.subscription;
          else {
            const subscription = this.#addSubscription(entry.id, entry.subscription);
            subscription.epoch = entry.epoch ?? 0;
            known.set(entry.id, new Restoring(subscription));
          }
          break;
        }
        case 'dropSubscription': {
          const subscription = this.#subscriptions.get(entry.name);
          if (subscription) known.delete(subscription.id);
          this.#subscriptions.delete(entry.name);
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
      this.#topics.get(subscription.config.topic)?.subscriptions.add(subscription);
    }
    this.#restoreMessages([...known.values()]);
    if (any) this.#lastNumber += RESTART_GAP;
  }

  #restoreMessages(known: readonly Restoring[]): void {
    const topics = new Map([...this.#topics.values()].map((topic) => [topic.id, topic] as const));
    const now = this.#clock.now();
    for (const head of this.messages.heads()) {
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
        this.messages.retain(head.number);
        topic.log.push(head.number);
      }
    }
  }

  #topic(name: string): Topic {
    const topic = this.#topics.get(name);
    if (!topic) throw notFound(name);
    return topic;
  }

  #subscription(name: string): Subscription {
    const subscription = this.#subscriptions.get(name);
    if (!subscription) throw notFound(name);
    return subscription;
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
