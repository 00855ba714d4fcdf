/** What a stack declares, in the terms of the local services. */
import { dirname, resolve } from 'node:path';
import { checkKnown, withoutEffect } from './known.ts';
import type { Grant, SubscriptionConfig, TopicConfig } from './pubsub/config.ts';
import type { Schedule } from './scheduler.ts';
import {
  functionNames,
  type Outputs,
  type Properties,
  pubsubAgent,
  type Resource,
  readStack,
  storageAgent,
  Unknown,
  type Value,
} from './stack.ts';
import type { BucketConfig } from './storage/resource.ts';

export interface DeclaredFunction {
  readonly name: string;
  readonly entryPoint: string;
  readonly bucket: string;
  readonly object: string;
  readonly variables: Readonly<Record<string, string>>;
  readonly memoryMb: number;
  readonly timeoutSeconds: number;
  /** Requests at once, over all its instances. */
  readonly concurrency: number;
  /** Emails of the service accounts that may call it. */
  readonly invokers: readonly string[];
}

export interface DeclaredObject {
  readonly bucket: string;
  readonly name: string;
  /** Absolute path of the file it is made from. */
  readonly file: string;
  readonly contentType: string;
}

export interface DeclaredDataset {
  readonly id: string;
  readonly location: string;
  /** The REST resource to insert. */
  readonly resource: Readonly<Record<string, unknown>>;
  readonly tables: readonly Readonly<Record<string, unknown>>[];
}

export interface Declared {
  readonly project: string;
  readonly region: string;
  readonly buckets: readonly BucketConfig[];
  readonly objects: readonly DeclaredObject[];
  /** Bodies of notification configs by bucket. */
  readonly notifications: Readonly<Record<string, readonly Readonly<Record<string, unknown>>[]>>;
  readonly topics: readonly TopicConfig[];
  readonly subscriptions: readonly SubscriptionConfig[];
  /** What the Pub/Sub agent may do: without these nothing is dead-lettered. */
  readonly grants: readonly Grant[];
  readonly schedules: readonly Schedule[];
  readonly functions: readonly DeclaredFunction[];
  readonly secrets: readonly string[];
  readonly datasets: readonly DeclaredDataset[];
}

export { functionNames };

/**
 * Reads a stack whole.
 * @param file `cdk.tf.json`
 * @throws Unknown naming the resource that the local cloud does not know, or that the real one
 *   would refuse
 */
export function readDeclared(file: string, outputs: Pick<Outputs, 'functionUri'>): Declared {
  const { project, region, resources } = readStack(file, {
    ...outputs,
    isWithoutEffect: (type) => type in withoutEffect,
  });
  for (const resource of resources) checkKnown(resource);
  const of = (type: string): readonly Resource[] =>
    resources.filter((resource) => resource.type === type);
  const topicGrants = of('google_pubsub_topic_iam_member');
  const topicName = (topic: Value | undefined): string => fullName(project, 'topics', topic);

  return {
    project,
    region,
    buckets: of('google_storage_bucket').map(({ properties }) => bucket(properties)),
    objects: of('google_storage_bucket_object').map(({ properties }) => ({
      bucket: text(properties['bucket']),
      name: text(properties['name']),
      // Terraform runs in the folder of the file.
      file: resolve(dirname(file), text(properties['source'])),
      contentType: text(properties['content_type'] ?? 'application/octet-stream'),
    })),
    notifications: notifications(of('google_storage_notification'), topicGrants, topicName),
    topics: of('google_pubsub_topic').map(({ properties }) => ({
      name: topicName(properties['name']),
      ...optional('messageRetentionSeconds', seconds(properties['message_retention_duration'])),
    })),
    subscriptions: of('google_pubsub_subscription').map(({ properties }) =>
      subscription(project, properties),
    ),
    grants: [
      ...topicGrants.map(({ properties }) => ({
        properties,
        resource: topicName(properties['topic']),
      })),
      ...of('google_pubsub_subscription_iam_member').map(({ properties }) => ({
        properties,
        resource: fullName(project, 'subscriptions', properties['subscription']),
      })),
      ...of('google_project_iam_member').map(({ properties }) => ({
        properties,
        resource: `projects/${text(properties['project'] ?? project)}`,
      })),
    ].flatMap(({ properties, resource }) => {
      const role = properties['role'];
      const known = role === 'roles/pubsub.publisher' || role === 'roles/pubsub.subscriber';
      return known && properties['member'] === `serviceAccount:${pubsubAgent}`
        ? [{ role, resource }]
        : [];
    }),
    schedules: of('google_cloud_scheduler_job').map(schedule),
    functions: of('google_cloudfunctions2_function').map((resource) =>
      declaredFunction(resource, of('google_cloud_run_v2_service_iam_member')),
    ),
    secrets: of('google_secret_manager_secret').map(({ properties }) =>
      text(properties['secret_id']),
    ),
    datasets: of('google_bigquery_dataset').map(({ properties }) =>
      dataset(properties, of('google_bigquery_table')),
    ),
  };
}

const text = (value: Value | undefined): string => {
  if (typeof value === 'string') return value;
  throw new Unknown(`expected a text, got ${JSON.stringify(value)}`);
};

/** `604800s` -> 604800 */
function seconds(value: Value | undefined): number | undefined {
  if (value === undefined || value === null) return undefined;
  const parts = /^(\d+(?:\.\d+)?)s$/.exec(text(value));
  if (parts === null) throw new Unknown(`"${String(value)}" is not a duration such as 600s`);
  return Number(parts[1]);
}

const optional = <K extends string, T>(name: K, value: T | undefined | null) =>
  (value === undefined || value === null ? {} : { [name]: value }) as { readonly [_ in K]?: T };

/** Terraform takes a short or a full name. */
const fullName = (project: string, kind: string, name: Value | undefined): string => {
  const given = text(name);
  return given.startsWith('projects/') ? given : `projects/${project}/${kind}/${given}`;
};

const camel = (name: string): string =>
  name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());

/** Terraform's names of properties as the REST APIs spell them. */
function camelled(value: Value): unknown {
  if (Array.isArray(value)) return value.map((item) => camelled(item as Value));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value as Properties).map(([name, part]) => [camel(name), camelled(part)]),
  );
}

/** A block that may stand once comes as an object or as a list of one. */
function block(value: Value | undefined): Properties | undefined {
  const one = Array.isArray(value) ? (value as readonly Value[])[0] : value;
  return one === undefined || one === null ? undefined : (one as Properties);
}

function bucket(properties: Properties): BucketConfig {
  const versioning = block(properties['versioning']);
  const rules = camelled(properties['lifecycle_rule'] ?? []) as NonNullable<
    NonNullable<BucketConfig['lifecycle']>['rule']
  >;
  return {
    name: text(properties['name']),
    location: text(properties['location']),
    ...optional('storageClass', properties['storage_class'] as string | undefined),
    ...optional('labels', properties['labels'] as Record<string, string> | undefined),
    ...(versioning === undefined
      ? {}
      : { versioning: { enabled: versioning['enabled'] === true } }),
    ...(rules.length === 0 ? {} : { lifecycle: { rule: rules } }),
  };
}

/** A notification that Storage may not publish is refused when it is made. */
function notifications(
  declared: readonly Resource[],
  grants: readonly Resource[],
  topicName: (topic: Value | undefined) => string,
): Record<string, Readonly<Record<string, unknown>>[]> {
  const byBucket: Record<string, Readonly<Record<string, unknown>>[]> = {};
  for (const { id, properties } of declared) {
    const topic = topicName(
      text(properties['topic']).replace(/^\/\/pubsub\.googleapis\.com\//, ''),
    );
    const allowed = grants.some(
      ({ properties: grant }) =>
        grant['role'] === 'roles/pubsub.publisher' &&
        grant['member'] === `serviceAccount:${storageAgent}` &&
        topicName(grant['topic']) === topic,
    );
    if (!allowed) {
      throw new Unknown(
        `google_storage_notification.${id}: refused, because the Storage agent may not publish to ${topic} (roles/pubsub.publisher)`,
      );
    }
    byBucket[text(properties['bucket'])] ??= [];
    byBucket[text(properties['bucket'])]?.push({
      topic: `//pubsub.googleapis.com/${topic}`,
      payload_format: properties['payload_format'],
      ...optional('event_types', properties['event_types']),
      ...optional('object_name_prefix', properties['object_name_prefix']),
      ...optional('custom_attributes', properties['custom_attributes']),
    });
  }
  return byBucket;
}

function subscription(project: string, properties: Properties): SubscriptionConfig {
  const push = block(properties['push_config']);
  const token = block(push?.['oidc_token']);
  const dead = block(properties['dead_letter_policy']);
  const retry = block(properties['retry_policy']);
  const expiration = block(properties['expiration_policy']);
  return {
    name: fullName(project, 'subscriptions', properties['name']),
    topic: fullName(project, 'topics', properties['topic']),
    ...optional('ackDeadlineSeconds', properties['ack_deadline_seconds'] as number | undefined),
    ...optional('messageRetentionSeconds', seconds(properties['message_retention_duration'])),
    ...optional('enableMessageOrdering', properties['enable_message_ordering'] as boolean),
    ...optional('retainAckedMessages', properties['retain_acked_messages'] as boolean),
    ...optional('filter', properties['filter'] as string | undefined),
    ...(expiration === undefined
      ? {}
      : {
          expirationSeconds: expiration['ttl'] === '' ? 0 : (seconds(expiration['ttl']) as number),
        }),
    ...(push === undefined
      ? {}
      : {
          pushConfig: {
            pushEndpoint: text(push['push_endpoint']),
            ...optional('attributes', push['attributes'] as Record<string, string> | undefined),
            ...(token === undefined
              ? {}
              : {
                  oidcToken: {
                    serviceAccountEmail: text(token['service_account_email']),
                    ...optional('audience', token['audience'] as string | undefined),
                  },
                }),
          },
        }),
    ...(dead === undefined
      ? {}
      : {
          deadLetterPolicy: {
            deadLetterTopic: fullName(project, 'topics', dead['dead_letter_topic']),
            ...optional('maxDeliveryAttempts', dead['max_delivery_attempts'] as number | undefined),
          },
        }),
    ...(retry === undefined
      ? {}
      : {
          retryPolicy: {
            ...optional('minimumBackoffSeconds', seconds(retry['minimum_backoff'])),
            ...optional('maximumBackoffSeconds', seconds(retry['maximum_backoff'])),
          },
        }),
  };
}

function schedule({ id, properties }: Resource): Schedule {
  const target = block(properties['pubsub_target']);
  if (target === undefined) {
    throw new Unknown(`google_cloud_scheduler_job.${id}: only Pub/Sub targets are known here`);
  }
  const zone = properties['time_zone'] ?? 'Etc/UTC';
  if (zone !== 'Etc/UTC' && zone !== 'UTC') {
    throw new Unknown(`google_cloud_scheduler_job.${id}: the time zone ${String(zone)}, not UTC`);
  }
  return {
    name: text(properties['name']),
    cron: text(properties['schedule']),
    paused: properties['paused'] === true,
    topic: text(target['topic_name']),
    data: text(target['data'] ?? ''),
    attributes: (target['attributes'] ?? {}) as Record<string, string>,
  };
}

function declaredFunction(
  { id, properties }: Resource,
  invokers: readonly Resource[],
): DeclaredFunction {
  const at = `google_cloudfunctions2_function.${id}`;
  const build = block(properties['build_config']);
  const service = block(properties['service_config']);
  const source = block(block(build?.['source'])?.['storage_source']);
  if (build === undefined || service === undefined || source === undefined) {
    throw new Unknown(`${at}: it needs a build_config with a storage_source and a service_config`);
  }
  if (!/^nodejs\d+$/.test(text(build['runtime']))) {
    throw new Unknown(`${at}: the runtime ${String(build['runtime'])} does not run here`);
  }
  const name = text(properties['name']);
  return {
    name,
    entryPoint: text(build['entry_point']),
    bucket: text(source['bucket']),
    object: text(source['object']),
    variables: (service['environment_variables'] ?? {}) as Record<string, string>,
    memoryMb: megabytes(at, text(service['available_memory'] ?? '256M')),
    timeoutSeconds: Number(service['timeout_seconds'] ?? 60),
    // One process stands for all instances, up to four: it has one thread. Unset, an instance takes
    // one request at a time.
    concurrency:
      Number(service['max_instance_request_concurrency'] ?? 1) *
      Math.min(Number(service['max_instance_count'] ?? 1), 4),
    invokers: invokers
      .filter(
        ({ properties: grant }) => grant['name'] === name && grant['role'] === 'roles/run.invoker',
      )
      .map(({ properties: grant }) => text(grant['member']).replace(/^serviceAccount:/, '')),
  };
}

function megabytes(at: string, memory: string): number {
  const parts = /^(\d+)(M|Mi|G|Gi)$/.exec(memory);
  if (parts === null) throw new Unknown(`${at}: available_memory "${memory}" is not such as 512M`);
  return Number(parts[1]) * (parts[2]?.startsWith('G') ? 1024 : 1);
}

function dataset(properties: Properties, tables: readonly Resource[]): DeclaredDataset {
  const id = text(properties['dataset_id']);
  return {
    id,
    location: text(properties['location']),
    resource: {
      datasetReference: { datasetId: id },
      location: properties['location'],
      ...optional('description', properties['description']),
      ...(properties['default_table_expiration_ms'] === undefined
        ? {}
        : { defaultTableExpirationMs: String(properties['default_table_expiration_ms']) }),
    },
    tables: tables
      .filter(({ properties: table }) => table['dataset_id'] === id)
      .map(({ properties: table }) => {
        const partitioning = block(table['time_partitioning']);
        return {
          tableReference: { datasetId: id, tableId: text(table['table_id']) },
          schema: { fields: JSON.parse(text(table['schema'])) as unknown },
          ...optional('description', table['description']),
          ...optional('requirePartitionFilter', table['require_partition_filter']),
          ...(partitioning === undefined ? {} : { timePartitioning: camelled(partitioning) }),
          ...(table['clustering'] === undefined
            ? {}
            : { clustering: { fields: table['clustering'] } }),
        };
      }),
  };
}
