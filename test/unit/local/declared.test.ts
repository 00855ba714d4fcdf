// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are references of Terraform.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Declared, readDeclared } from '../../../local/declared.ts';
import { type Resources, smallStack, writeStack } from './small_stack.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'stack-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const functionUri = (name: string): string => `http://127.0.0.1:1/${name}`;
function declared(change?: (resources: Resources) => void): Declared {
  const resources = smallStack();
  change?.(resources);
  return readDeclared(writeStack(folder, resources), { functionUri });
}

/** Changes one property of one resource. */
const set = (type: string, id: string, properties: object) => (resources: Resources) => {
  resources[type] = { ...resources[type], [id]: { ...resources[type]?.[id], ...properties } };
};
const without = (type: string, id: string) => (resources: Resources) => {
  delete resources[type]?.[id];
};

describe('a stack', () => {
  it('is read with its references resolved', () => {
    const { functions, subscriptions, schedules, objects, secrets } = declared();
    expect(functions).toEqual([
      {
        name: 'echo',
        entryPoint: 'handler',
        bucket: 'p-code',
        object: 'functions/echo-1.zip',
        variables: {
          TRIBUTARY_ENVIRONMENT: 'test',
          TRIBUTARY_ENDPOINTS: '{}',
          BUCKETS: '{"control":"gs://p-control/x","price":"${5}"}',
        },
        memoryMb: 256,
        timeoutSeconds: 60,
        concurrency: 2,
        invokers: ['push-echo@p.iam.gserviceaccount.com'],
      },
    ]);
    expect(subscriptions[0]).toEqual({
      name: 'projects/p/subscriptions/echo--runs',
      topic: 'projects/p/topics/runs',
      ackDeadlineSeconds: 60,
      messageRetentionSeconds: 604_800,
      expirationSeconds: 0,
      pushConfig: {
        pushEndpoint: 'http://127.0.0.1:1/echo',
        oidcToken: {
          serviceAccountEmail: 'push-echo@p.iam.gserviceaccount.com',
          audience: 'http://127.0.0.1:1/echo',
        },
      },
      deadLetterPolicy: {
        deadLetterTopic: 'projects/p/topics/echo--runs--dead',
        maxDeliveryAttempts: 5,
      },
      retryPolicy: { minimumBackoffSeconds: 0, maximumBackoffSeconds: 0 },
    });
    expect(schedules[0]).toMatchObject({ name: 'tick', topic: 'projects/p/topics/runs' });
    expect(objects[0]?.file).toBe(join(folder, 'echo.zip'));
    expect(secrets).toEqual(['hubspot-token']);
  });

  it('becomes datasets and tables as the REST API takes them', () => {
    expect(declared().datasets).toEqual([
      {
        id: 'email',
        location: 'europe-west1',
        resource: { datasetReference: { datasetId: 'email' }, location: 'europe-west1' },
        tables: [
          {
            tableReference: { datasetId: 'email', tableId: 'sends' },
            schema: {
              fields: [
                { name: 'day', type: 'DATE', mode: 'NULLABLE' },
                { name: 'id', type: 'STRING', mode: 'NULLABLE' },
              ],
            },
            timePartitioning: { type: 'DAY', field: 'day' },
            requirePartitionFilter: true,
            clustering: { fields: ['id'] },
          },
        ],
      },
    ]);
  });

  it('gives the Pub/Sub agent what the grants give it, on the very resource', () => {
    expect(declared().grants).toEqual([
      { role: 'roles/pubsub.publisher', resource: 'projects/p/topics/echo--runs--dead' },
      { role: 'roles/pubsub.subscriber', resource: 'projects/p/subscriptions/echo--runs' },
    ]);
    const one = declared(without('google_pubsub_subscription_iam_member', 'echo')).grants;
    expect(one.map(({ role }) => role)).toEqual(['roles/pubsub.publisher']);
  });

  it('lets nobody call a function without a grant for it', () => {
    const nobody = declared(without('google_cloud_run_v2_service_iam_member', 'caller'));
    expect(nobody.functions[0]?.invokers).toEqual([]);
    const wrongRole = { role: 'roles/cloudfunctions.invoker' };
    const other = declared(set('google_cloud_run_v2_service_iam_member', 'caller', wrongRole));
    expect(other.functions[0]?.invokers).toEqual([]);
  });

  it('is refused where Storage may not publish its notifications', () => {
    expect(() => declared(without('google_pubsub_topic_iam_member', 'storage'))).toThrow(
      'google_storage_notification.runs: refused, because the Storage agent may not publish to projects/p/topics/runs',
    );
  });

  const unknown: readonly (readonly [string, (resources: Resources) => void, string])[] = [
    [
      'a type nobody knows',
      (resources) => {
        resources['google_redis_instance'] = { cache: { name: 'cache' } };
      },
      'google_redis_instance.cache: the local cloud does not know google_redis_instance',
    ],
    [
      'a property nobody knows',
      set('google_pubsub_topic', 'runs', { schema_settings: { schema: 's' } }),
      'google_pubsub_topic.runs: the local cloud does not know its property schema_settings',
    ],
    [
      'a property within a block',
      set('google_pubsub_subscription', 'echo', {
        push_config: { push_endpoint: 'http://x', no_wrapper: { write_metadata: true } },
      }),
      'google_pubsub_subscription.echo.push_config: the local cloud does not know its property no_wrapper',
    ],
    [
      'a reference to nothing',
      set('google_storage_notification', 'runs', { topic: '${google_pubsub_topic.gone.id}' }),
      'there is no google_pubsub_topic.gone',
    ],
    [
      'an expression',
      set('google_pubsub_topic', 'runs', { name: '${lower("RUNS")}' }),
      '${lower("RUNS")} is not a plain attribute',
    ],
    [
      'a schedule in another time zone',
      set('google_cloud_scheduler_job', 'tick', { time_zone: 'Europe/Berlin' }),
      'google_cloud_scheduler_job.tick: the time zone Europe/Berlin, not UTC',
    ],
  ];
  it.each(unknown)('names %s', (_, change, message) => {
    expect(() => declared(change)).toThrow(message);
  });
});
