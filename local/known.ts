/**
 * Everything the local cloud knows of a stack: a closed list. What stands in `stack` and not here
 * is an error, so that nothing is silently left out on this machine.
 */
import { type Properties, type Resource, Unknown, type Value } from './stack.ts';

/** `true` = honoured; a text = why it changes nothing here; an object = known parts. */
type Known = true | string | { readonly [name: string]: Known };

const description = 'read by people';
const labels = 'read by people and bills';
const place = 'there is one place: this machine';
const access = 'callers carry no credentials here';
const sameProject = 'there is one project here';

/** Types whose every property is without effect, and why. */
export const withoutEffect: Readonly<Record<string, string>> = {
  google_artifact_registry_repository: 'functions run from their bundles, no images are built',
  google_artifact_registry_repository_iam_member: access,
  google_bigquery_dataset_iam_member: access,
  google_bigquery_datapolicy_data_policy: access,
  google_billing_budget: 'nothing costs anything here',
  google_compute_firewall: 'nothing leaves this machine',
  google_compute_network: 'nothing leaves this machine',
  google_compute_subnetwork: 'nothing leaves this machine',
  google_data_catalog_policy_tag: access,
  google_data_catalog_policy_tag_iam_member: access,
  google_data_catalog_taxonomy: access,
  google_logging_metric: 'logs are files here; nobody is alerted',
  google_monitoring_alert_policy: 'logs are files here; nobody is alerted',
  google_monitoring_notification_channel: 'logs are files here; nobody is alerted',
  google_project_iam_audit_config: access,
  google_project_iam_custom_role: access,
  google_project_iam_member: access,
  google_project_service: 'every service is on',
  google_secret_manager_secret_iam_member: access,
  google_service_account: 'an identity matters where something is granted to it',
  google_service_account_iam_member: access,
  google_storage_bucket_iam_member: access,
  google_vpc_access_connector: 'everything is on this machine',
};

/** Types that are started, with every property they may have. */
export const known: Readonly<Record<string, { readonly [name: string]: Known }>> = {
  google_bigquery_dataset: {
    dataset_id: true,
    default_table_expiration_ms: true,
    delete_contents_on_destroy: 'nothing is destroyed here',
    description: true,
    labels,
    location: true,
    max_time_travel_hours: 'the local BigQuery keeps no history',
    project: sameProject,
  },
  google_bigquery_table: {
    clustering: true,
    dataset_id: true,
    deletion_protection: 'nothing is destroyed here',
    description: true,
    labels,
    project: sameProject,
    require_partition_filter: true,
    schema: true,
    table_id: true,
    time_partitioning: { expiration_ms: true, field: true, type: true },
  },
  google_cloud_run_v2_service_iam_member: {
    location: place,
    member: true,
    name: true,
    project: sameProject,
    role: true,
  },
  google_cloud_scheduler_job: {
    description,
    name: true,
    paused: true,
    project: sameProject,
    pubsub_target: { attributes: true, data: true, topic_name: true },
    region: true,
    retry_config: 'publishing to this machine does not fail',
    schedule: true,
    time_zone: true,
  },
  google_cloudfunctions2_function: {
    build_config: {
      docker_repository: 'functions run from their bundles, no images are built',
      entry_point: true,
      runtime: true,
      service_account: access,
      source: { storage_source: { bucket: true, object: true } },
    },
    description,
    labels,
    location: place,
    name: true,
    project: sameProject,
    service_config: {
      all_traffic_on_latest_revision: 'there is one revision',
      available_cpu: 'the machine has what it has',
      available_memory: true,
      environment_variables: true,
      ingress_settings: 'functions listen on this machine only',
      max_instance_count: true,
      max_instance_request_concurrency: true,
      min_instance_count: 'one instance always runs',
      service_account_email: access,
      timeout_seconds: true,
      vpc_connector: 'everything is on this machine',
      vpc_connector_egress_settings: 'everything is on this machine',
    },
  },
  google_pubsub_subscription: {
    ack_deadline_seconds: true,
    dead_letter_policy: { dead_letter_topic: true, max_delivery_attempts: true },
    enable_message_ordering: true,
    expiration_policy: { ttl: true },
    filter: true,
    labels,
    message_retention_duration: true,
    name: true,
    project: sameProject,
    push_config: {
      attributes: true,
      oidc_token: { audience: true, service_account_email: true },
      push_endpoint: true,
    },
    retain_acked_messages: true,
    retry_policy: { maximum_backoff: true, minimum_backoff: true },
    topic: true,
  },
  google_pubsub_subscription_iam_member: {
    member: true,
    project: sameProject,
    role: true,
    subscription: true,
  },
  google_pubsub_topic: {
    labels,
    message_retention_duration: true,
    message_storage_policy: place,
    name: true,
    project: sameProject,
  },
  google_pubsub_topic_iam_member: {
    member: true,
    project: sameProject,
    role: true,
    topic: true,
  },
  google_secret_manager_secret: {
    labels,
    project: sameProject,
    replication: place,
    secret_id: true,
  },
  google_storage_bucket: {
    force_destroy: 'nothing is destroyed here',
    labels: true,
    lifecycle_rule: true,
    location: true,
    name: true,
    project: sameProject,
    public_access_prevention: access,
    soft_delete_policy: 'a removed object is gone here',
    storage_class: true,
    uniform_bucket_level_access: access,
    versioning: { enabled: true },
  },
  google_storage_bucket_object: {
    bucket: true,
    content_type: true,
    deletion_policy: 'nothing is destroyed here',
    detect_md5hash: 'names carry the hash of the content',
    name: true,
    source: true,
    source_md5hash: 'names carry the hash of the content',
  },
  google_storage_notification: {
    bucket: true,
    custom_attributes: true,
    event_types: true,
    object_name_prefix: true,
    payload_format: true,
    topic: true,
  },
};

/** @throws Unknown naming the resource, for a type or a property that is on no list */
export function checkKnown(resource: Resource): void {
  const { type, id, properties } = resource;
  if (type in withoutEffect) return;
  const properly = known[type];
  if (properly === undefined) {
    throw new Unknown(`${type}.${id}: the local cloud does not know ${type}`);
  }
  compare(`${type}.${id}`, properties, properly);
}

function compare(at: string, value: Value, as: Known): void {
  if (typeof as !== 'object' || value === null) return;
  if (Array.isArray(value)) {
    for (const item of value) compare(at, item as Value, as);
    return;
  }
  for (const [name, part] of Object.entries(value as Properties)) {
    const properly = as[name];
    if (properly === undefined) {
      throw new Unknown(`${at}: the local cloud does not know its property ${name}`);
    }
    compare(`${at}.${name}`, part, properly);
  }
}
