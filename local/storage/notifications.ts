/** Notifications of a bucket to Pub/Sub: which events concern whom, and the message they become. */
import { invalid } from './errors.ts';
import type { ObjectResource } from './resource.ts';

const EVENT_TYPES = [
  'OBJECT_FINALIZE',
  'OBJECT_DELETE',
  'OBJECT_ARCHIVE',
  'OBJECT_METADATA_UPDATE',
] as const;
type EventType = (typeof EVENT_TYPES)[number];

export interface NotificationConfig {
  readonly id: string;
  /** `projects/P/topics/T` */
  readonly topic: string;
  readonly eventTypes: readonly EventType[];
  readonly objectNamePrefix?: string;
  readonly customAttributes?: Readonly<Record<string, string>>;
  readonly payloadFormat: 'JSON_API_V1' | 'NONE';
}

/** A message that is owed to a topic until it is said to be published. */
export interface Notification {
  readonly id: number;
  readonly topic: string;
  readonly attributes: Readonly<Record<string, string>>;
  /** The object resource as JSON; empty for payload format NONE. */
  readonly data: string;
}

export interface ObjectEvent {
  readonly type: EventType;
  readonly resource: ObjectResource;
  readonly overwroteGeneration?: string;
  readonly overwrittenByGeneration?: string;
}

const TOPIC = /^(?:\/\/pubsub\.googleapis\.com\/)?(projects\/[^/]+\/topics\/[^/]+)$/;
const MAX_CONFIGS = 100;
const MAX_CONFIGS_PER_EVENT = 10;

/** Reads a notificationConfigs resource, in the API's snake case or Terraform's camel case. */
export function notificationConfig(
  body: Readonly<Record<string, unknown>>,
  id: string,
  existing: readonly NotificationConfig[],
): NotificationConfig {
  const topic = TOPIC.exec(String(body['topic'] ?? ''))?.[1];
  if (topic === undefined) {
    throw invalid(`Invalid Google Cloud Pub/Sub topic: ${String(body['topic'])}`);
  }
  const wanted = (body['event_types'] ?? body['eventTypes'] ?? []) as readonly string[];
  const eventTypes = (wanted.length === 0 ? EVENT_TYPES : wanted).map((type) => {
    const known = EVENT_TYPES.find((name) => name === type);
    if (!known) throw invalid(`Invalid event type: ${type}`);
    return known;
  });
  const format = String(body['payload_format'] ?? body['payloadFormat'] ?? 'JSON_API_V1');
  if (format !== 'JSON_API_V1' && format !== 'NONE') {
    throw invalid(`Invalid payload format: ${format}`);
  }
  if (existing.length >= MAX_CONFIGS) {
    throw invalid(`A bucket has at most ${MAX_CONFIGS} notification configurations`);
  }
  for (const type of eventTypes) {
    if (existing.filter((other) => other.eventTypes.includes(type)).length >= MAX_CONFIGS_PER_EVENT)
      throw invalid(`At most ${MAX_CONFIGS_PER_EVENT} notification configurations for ${type}`);
  }
  const prefix = body['object_name_prefix'] ?? body['objectNamePrefix'];
  const attributes = body['custom_attributes'] ?? body['customAttributes'];
  return {
    id,
    topic,
    eventTypes,
    payloadFormat: format,
    ...(prefix ? { objectNamePrefix: String(prefix) } : {}),
    ...(attributes ? { customAttributes: attributes as Record<string, string> } : {}),
  };
}

export function notificationResource(
  base: string,
  bucket: string,
  config: NotificationConfig,
): Record<string, unknown> {
  return {
    kind: 'storage#notification',
    id: config.id,
    topic: `//pubsub.googleapis.com/${config.topic}`,
    event_types: config.eventTypes,
    payload_format: config.payloadFormat,
    etag: config.id,
    selfLink: `${base}/storage/v1/b/${bucket}/notificationConfigs/${config.id}`,
    ...(config.objectNamePrefix ? { object_name_prefix: config.objectNamePrefix } : {}),
    ...(config.customAttributes ? { custom_attributes: config.customAttributes } : {}),
  };
}

/** The message one configuration owes for one event, or undefined if the event is not its own. */
export function notificationOf(
  config: NotificationConfig,
  event: ObjectEvent,
  id: number,
  now: number,
): Notification | undefined {
  const { resource } = event;
  if (!config.eventTypes.includes(event.type)) return undefined;
  if (!resource.name.startsWith(config.objectNamePrefix ?? '')) return undefined;
  return {
    id,
    topic: config.topic,
    attributes: {
      ...config.customAttributes,
      notificationConfig: `projects/_/buckets/${resource.bucket}/notificationConfigs/${config.id}`,
      eventType: event.type,
      payloadFormat: config.payloadFormat,
      bucketId: resource.bucket,
      objectId: resource.name,
      objectGeneration: resource.generation,
      eventTime: new Date(now).toISOString(),
      ...(event.overwroteGeneration ? { overwroteGeneration: event.overwroteGeneration } : {}),
      ...(event.overwrittenByGeneration
        ? { overwrittenByGeneration: event.overwrittenByGeneration }
        : {}),
    },
    data: config.payloadFormat === 'NONE' ? '' : JSON.stringify(resource),
  };
}
