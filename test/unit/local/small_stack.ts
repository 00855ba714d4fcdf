// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are references of Terraform.
/** A small stack of everything the local cloud starts: one bucket, one function, one of each. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { strToU8, zipSync } from 'fflate';

export type Resources = Record<string, Record<string, Record<string, unknown>>>;

const storageAgent = '${data.google_storage_project_service_account.agent.member}';
const pubsubAgent =
  'serviceAccount:service-${data.google_project.project.number}@gcp-sa-pubsub.iam.gserviceaccount.com';

export const smallStack = (): Resources => ({
  google_storage_bucket: {
    control: {
      name: 'p-control',
      location: 'europe-west1',
      labels: { purpose: 'control' },
      uniform_bucket_level_access: true,
      versioning: { enabled: true },
      depends_on: ['google_project_service.storage'],
    },
    code: { name: 'p-code', location: 'europe-west1', labels: { purpose: 'code' } },
    staging: { name: 'p-staging', location: 'europe-west1' },
  },
  google_project_service: { storage: { service: 'storage.googleapis.com' } },
  google_storage_bucket_object: {
    zip: {
      bucket: '${google_storage_bucket.code.name}',
      name: 'functions/echo-1.zip',
      source: 'echo.zip',
      content_type: 'application/zip',
    },
  },
  google_pubsub_topic: {
    runs: { name: 'runs', message_retention_duration: '604800s' },
    dead: { name: 'echo--runs--dead' },
  },
  google_pubsub_topic_iam_member: {
    storage: {
      topic: '${google_pubsub_topic.runs.name}',
      role: 'roles/pubsub.publisher',
      member: storageAgent,
    },
    dead: {
      topic: '${google_pubsub_topic.dead.name}',
      role: 'roles/pubsub.publisher',
      member: pubsubAgent,
    },
  },
  google_storage_notification: {
    runs: {
      bucket: '${google_storage_bucket.control.name}',
      topic: '${google_pubsub_topic.runs.id}',
      payload_format: 'JSON_API_V1',
      event_types: ['OBJECT_FINALIZE'],
      object_name_prefix: 'runs/',
    },
  },
  google_service_account: {
    echo: { account_id: 'fn-echo' },
    caller: { account_id: 'push-echo' },
  },
  google_cloudfunctions2_function: {
    echo: {
      name: 'echo',
      location: 'europe-west1',
      build_config: {
        entry_point: 'handler',
        runtime: 'nodejs24',
        source: {
          storage_source: {
            bucket: '${google_storage_bucket.code.name}',
            object: '${google_storage_bucket_object.zip.name}',
          },
        },
      },
      service_config: {
        available_memory: '256M',
        max_instance_count: 1,
        max_instance_request_concurrency: 2,
        timeout_seconds: 60,
        service_account_email: '${google_service_account.echo.email}',
        environment_variables: {
          TRIBUTARY_ENVIRONMENT: 'test',
          TRIBUTARY_ENDPOINTS: '{}',
          BUCKETS: '{"control":"gs://${google_storage_bucket.control.name}/x","price":"$${5}"}',
        },
      },
    },
  },
  google_cloud_run_v2_service_iam_member: {
    caller: {
      name: '${google_cloudfunctions2_function.echo.name}',
      location: 'europe-west1',
      role: 'roles/run.invoker',
      member: '${google_service_account.caller.member}',
    },
  },
  google_pubsub_subscription: {
    echo: {
      name: 'echo--runs',
      topic: '${google_pubsub_topic.runs.name}',
      ack_deadline_seconds: 60,
      message_retention_duration: '604800s',
      expiration_policy: { ttl: '' },
      retry_policy: { minimum_backoff: '0s', maximum_backoff: '0s' },
      dead_letter_policy: {
        dead_letter_topic: '${google_pubsub_topic.dead.id}',
        max_delivery_attempts: 5,
      },
      push_config: {
        push_endpoint: '${google_cloudfunctions2_function.echo.service_config[0].uri}',
        oidc_token: {
          service_account_email: '${google_service_account.caller.email}',
          audience: '${google_cloudfunctions2_function.echo.service_config[0].uri}',
        },
      },
    },
    dead: { name: 'echo--runs--dead', topic: '${google_pubsub_topic.dead.name}' },
  },
  google_pubsub_subscription_iam_member: {
    echo: {
      subscription: '${google_pubsub_subscription.echo.name}',
      role: 'roles/pubsub.subscriber',
      member: pubsubAgent,
    },
  },
  google_cloud_scheduler_job: {
    tick: {
      name: 'tick',
      region: 'europe-west1',
      schedule: '*/10 * * * *',
      time_zone: 'Etc/UTC',
      paused: false,
      pubsub_target: {
        topic_name: '${google_pubsub_topic.runs.id}',
        data: Buffer.from('{"tick":true}').toString('base64'),
      },
    },
  },
  google_secret_manager_secret: {
    token: {
      secret_id: 'hubspot-token',
      replication: { user_managed: { replicas: [{ location: 'europe-west1' }] } },
    },
  },
  google_bigquery_dataset: { email: { dataset_id: 'email', location: 'europe-west1' } },
  google_bigquery_table: {
    sends: {
      dataset_id: '${google_bigquery_dataset.email.dataset_id}',
      table_id: 'sends',
      schema: JSON.stringify([
        { name: 'day', type: 'DATE', mode: 'NULLABLE' },
        { name: 'id', type: 'STRING', mode: 'NULLABLE' },
      ]),
      time_partitioning: { type: 'DAY', field: 'day' },
      require_partition_filter: true,
      clustering: ['id'],
    },
  },
});

/** A handler that appends what it gets to a file, or fails when told so. */
const handler = `
const { http } = require('@google-cloud/functions-framework');
const { appendFileSync } = require('node:fs');
http('handler', (request, response) => {
  const text = Buffer.from(request.body.message.data ?? '', 'base64').toString();
  if (text.includes('exit')) process.exit(9);
  const status = text.includes('fail') ? 500 : 204;
  appendFileSync(process.cwd() + '/../../seen.ndjson', JSON.stringify({
    status, text, attempt: request.body.deliveryAttempt ?? null,
    object: request.body.message.attributes?.objectId ?? null,
    environment: Object.keys(process.env).sort(), buckets: process.env.BUCKETS,
    endpoints: process.env.TRIBUTARY_ENDPOINTS,
  }) + '\\n');
  response.status(status).end();
});
`;

/** Writes a stack and the bundle it uploads. @returns the stack's file */
export function writeStack(folder: string, resources: Resources): string {
  mkdirSync(folder, { recursive: true });
  const manifest = JSON.stringify({ name: 'echo', main: 'index.js' });
  writeFileSync(
    join(folder, 'echo.zip'),
    zipSync({ 'index.js': strToU8(handler), 'package.json': strToU8(manifest) }),
  );
  const file = join(folder, 'cdk.tf.json');
  const stack = {
    provider: { google: [{ project: 'p', region: 'europe-west1' }] },
    data: {
      google_project: { project: { project_id: 'p' } },
      google_storage_project_service_account: { agent: {} },
    },
    terraform: {},
    resource: resources,
  };
  writeFileSync(file, JSON.stringify(stack));
  return file;
}
