/** Between the protobuf messages of google.pubsub.v1 and our declarations. */
import protos from '@google-cloud/pubsub/build/protos/protos.js';
import type { PushConfig, SubscriptionConfig, TopicConfig } from './config.ts';
import { unsupported } from './errors.ts';
import type { Message, StoredMessage } from './messages.ts';

export const proto = protos.google.pubsub.v1;
export const Empty = protos.google.protobuf.Empty;

type Duration = protos.google.protobuf.IDuration;
type Timestamp = protos.google.protobuf.ITimestamp;

const seconds = (duration: Duration | null | undefined): number | undefined =>
  duration ? Number(duration.seconds ?? 0) + (duration.nanos ?? 0) / 1e9 : undefined;

const duration = (value: number): Duration => ({
  seconds: Math.floor(value),
  nanos: Math.round((value % 1) * 1e9),
});

export const timestamp = (ms: number): Timestamp => ({
  seconds: Math.floor(ms / 1000),
  nanos: Math.round((ms % 1000) * 1e6),
});

export const timestampMs = (time: Timestamp): number =>
  Number(time.seconds ?? 0) * 1000 + (time.nanos ?? 0) / 1e6;

export function encodeMessage(message: StoredMessage): Uint8Array {
  const { data, attributes, orderingKey, messageId, publishTime } = message;
  const fields: protos.google.pubsub.v1.IPubsubMessage = {
    messageId,
    publishTime: timestamp(publishTime),
  };
  if (data.length > 0) fields.data = data;
  fields.attributes = attributes;
  if (orderingKey) fields.orderingKey = orderingKey;
  return proto.PubsubMessage.encode(fields).finish();
}

export function decodeMessage(bytes: Uint8Array): StoredMessage {
  const message = proto.PubsubMessage.decode(bytes);
  return {
    ...messageOf(message),
    // The bytes belong to a buffer that is used again.
    data: Buffer.from(message.data as Uint8Array),
    messageId: message.messageId,
    publishTime: message.publishTime ? timestampMs(message.publishTime) : 0,
  };
}

export function messageOf(message: protos.google.pubsub.v1.IPubsubMessage): Message {
  return {
    data: message.data instanceof Uint8Array ? message.data : Buffer.alloc(0),
    attributes: message.attributes ?? {},
    orderingKey: message.orderingKey ?? '',
  };
}

const present = <T extends object>(fields: { readonly [K in keyof T]: T[K] | undefined }): T =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;

const labelsOf = (
  labels: Record<string, string> | null | undefined,
): Record<string, string> | undefined =>
  labels && Object.keys(labels).length > 0 ? labels : undefined;

export function topicConfig(topic: protos.google.pubsub.v1.ITopic): TopicConfig {
  if (topic.schemaSettings) throw unsupported('schemaSettings');
  if (topic.ingestionDataSourceSettings) throw unsupported('ingestionDataSourceSettings');
  if ((topic.messageTransforms ?? []).length > 0) throw unsupported('messageTransforms');
  return present<TopicConfig>({
    name: topic.name ?? '',
    labels: labelsOf(topic.labels),
    messageRetentionSeconds: seconds(topic.messageRetentionDuration),
  });
}

export function topicProto(config: TopicConfig): protos.google.pubsub.v1.ITopic {
  return {
    name: config.name,
    labels: { ...config.labels },
    state: 'ACTIVE',
    ...(config.messageRetentionSeconds === undefined
      ? {}
      : { messageRetentionDuration: duration(config.messageRetentionSeconds) }),
  };
}

export function pushConfigOf(
  push: protos.google.pubsub.v1.IPushConfig | null | undefined,
): PushConfig | undefined {
  if (!push?.pushEndpoint) return undefined;
  if (push.noWrapper) throw unsupported('noWrapper');
  const { oidcToken } = push;
  return present<PushConfig>({
    pushEndpoint: push.pushEndpoint,
    attributes: labelsOf(push.attributes),
    oidcToken: oidcToken
      ? present<NonNullable<PushConfig['oidcToken']>>({
          serviceAccountEmail: oidcToken.serviceAccountEmail ?? '',
          audience: oidcToken.audience || undefined,
        })
      : undefined,
  });
}

export function subscriptionConfig(
  subscription: protos.google.pubsub.v1.ISubscription,
): SubscriptionConfig {
  if (subscription.bigqueryConfig) throw unsupported('bigqueryConfig');
  if (subscription.cloudStorageConfig) throw unsupported('cloudStorageConfig');
  if (subscription.bigtableConfig) throw unsupported('bigtableConfig');
  if (subscription.enableExactlyOnceDelivery) throw unsupported('enableExactlyOnceDelivery');
  if ((subscription.messageTransforms ?? []).length > 0) throw unsupported('messageTransforms');
  const { expirationPolicy, deadLetterPolicy, retryPolicy } = subscription;
  return present<SubscriptionConfig>({
    name: subscription.name ?? '',
    topic: subscription.topic ?? '',
    pushConfig: pushConfigOf(subscription.pushConfig),
    ackDeadlineSeconds: subscription.ackDeadlineSeconds || undefined,
    retainAckedMessages: subscription.retainAckedMessages || undefined,
    messageRetentionSeconds: seconds(subscription.messageRetentionDuration),
    labels: labelsOf(subscription.labels),
    enableMessageOrdering: subscription.enableMessageOrdering || undefined,
    // A policy without ttl means "never"; no policy means the default.
    expirationSeconds: expirationPolicy ? (seconds(expirationPolicy.ttl) ?? 0) : undefined,
    filter: subscription.filter || undefined,
    deadLetterPolicy: deadLetterPolicy?.deadLetterTopic
      ? present<NonNullable<SubscriptionConfig['deadLetterPolicy']>>({
          deadLetterTopic: deadLetterPolicy.deadLetterTopic,
          maxDeliveryAttempts: deadLetterPolicy.maxDeliveryAttempts || undefined,
        })
      : undefined,
    retryPolicy: retryPolicy
      ? present<NonNullable<SubscriptionConfig['retryPolicy']>>({
          minimumBackoffSeconds: seconds(retryPolicy.minimumBackoff),
          maximumBackoffSeconds: seconds(retryPolicy.maximumBackoff),
        })
      : undefined,
  });
}

export function subscriptionProto(
  config: SubscriptionConfig,
): protos.google.pubsub.v1.ISubscription {
  const { pushConfig, deadLetterPolicy, retryPolicy, expirationSeconds } = config;
  return {
    name: config.name,
    topic: config.topic,
    pushConfig: pushConfig ? { ...pushConfig, attributes: { ...pushConfig.attributes } } : {},
    ackDeadlineSeconds: config.ackDeadlineSeconds ?? 10,
    retainAckedMessages: config.retainAckedMessages ?? false,
    messageRetentionDuration: duration(config.messageRetentionSeconds ?? 7 * 86_400),
    labels: { ...config.labels },
    enableMessageOrdering: config.enableMessageOrdering ?? false,
    expirationPolicy:
      expirationSeconds === 0 ? {} : { ttl: duration(expirationSeconds ?? 31 * 86_400) },
    filter: config.filter ?? '',
    state: 'ACTIVE',
    ...(deadLetterPolicy
      ? {
          deadLetterPolicy: {
            deadLetterTopic: deadLetterPolicy.deadLetterTopic,
            maxDeliveryAttempts: deadLetterPolicy.maxDeliveryAttempts ?? 5,
          },
        }
      : {}),
    ...(retryPolicy
      ? {
          retryPolicy: {
            minimumBackoff: duration(retryPolicy.minimumBackoffSeconds ?? 10),
            maximumBackoff: duration(retryPolicy.maximumBackoffSeconds ?? 600),
          },
        }
      : {}),
  };
}

const MAX_VARINT = 10;

function varint(bytes: Buffer, at: number, value: number): number {
  let rest = value;
  let to = at;
  while (rest > 127) {
    bytes[to++] = (rest & 127) | 128;
    rest >>>= 7;
  }
  bytes[to++] = rest;
  return to;
}

const varintLength = (value: number): number =>
  value < 128 ? 1 : value < 16_384 ? 2 : value < 2_097_152 ? 3 : value < 268_435_456 ? 4 : 5;

/**
 * Received messages as the bytes of a PullResponse, which are also those of a
 * StreamingPullResponse: `message` is copied as stored, neither decoded nor encoded.
 */
export class ReceivedBytes {
  #bytes = Buffer.allocUnsafe(64 << 10);
  #used = 0;

  /** `attempt` 0 = not shown. */
  add(ackId: string, message: Buffer, attempt: number): void {
    const inner =
      1 +
      varintLength(ackId.length) +
      ackId.length +
      1 +
      varintLength(message.length) +
      message.length +
      (attempt > 0 ? 1 + varintLength(attempt) : 0);
    const needed = this.#used + 1 + MAX_VARINT + inner;
    if (needed > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, 2 * this.#bytes.length));
      this.#bytes.copy(larger, 0, 0, this.#used);
      this.#bytes = larger;
    }
    const bytes = this.#bytes;
    let at = this.#used;
    bytes[at++] = 0x0a;
    at = varint(bytes, at, inner);
    bytes[at++] = 0x0a;
    at = varint(bytes, at, ackId.length);
    at += bytes.write(ackId, at, 'latin1');
    bytes[at++] = 0x12;
    at = varint(bytes, at, message.length);
    at += message.copy(bytes, at);
    if (attempt > 0) {
      bytes[at++] = 0x18;
      at = varint(bytes, at, attempt);
    }
    this.#used = at;
  }

  end(): Buffer {
    return this.#bytes.subarray(0, this.#used);
  }
}
