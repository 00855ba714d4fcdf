import { expect, test } from 'vitest';
import { functionOf, functions } from '../../functions/settings.ts';
import { scheduleOf } from '../../schemas/contract.ts';
import { isCron } from '../../schemas/derive/rules.ts';
import { catalog } from '../../schemas/rendered/catalog.ts';
import { asItIs, only, type Resource, reference, synthesised } from './stack.ts';

const stack = asItIs();
const subscriptions = stack.all('google_pubsub_subscription');
const topics = stack.all('google_pubsub_topic');
const isDead = (resource: Resource) => String(resource['name']).endsWith('-dead');
const pushes = Object.entries(subscriptions).filter(([, resource]) => !isDead(resource));

const topicRef = (name: string, attribute: string) =>
  reference('google_pubsub_topic', only(stack, 'google_pubsub_topic', { name })[0], attribute);

test.each(
  functions.flatMap((settings) =>
    settings.inboxes.map((inbox) => [settings.name, inbox.topic, settings, inbox] as const),
  ),
)('%s has its own push subscription on %s', (_name, _topic, settings, inbox) => {
  const name = `${settings.name}--${inbox.topic}`;
  const [, subscription] = only(stack, 'google_pubsub_subscription', { name });
  const [id] = only(stack, 'google_cloudfunctions2_function', { name: settings.name });
  const uri = reference('google_cloudfunctions2_function', id, 'service_config[0].uri');
  const caller = only(stack, 'google_service_account', { account_id: `push-${settings.name}` })[0];
  expect(subscription['topic']).toBe(topicRef(inbox.topic, 'name'));
  expect(subscription['push_config']).toEqual({
    push_endpoint: uri,
    oidc_token: {
      audience: uri,
      service_account_email: reference('google_service_account', caller, 'email'),
    },
  });
  // The push is answered before it is given up: Pub/Sub's deadline lies beyond the function's.
  const deadline = Number(subscription['ack_deadline_seconds']);
  expect(deadline).toBeGreaterThan(settings.timeoutSeconds);
  expect(deadline).toBeLessThanOrEqual(600);
});

test('there are no other push subscriptions, and no direct event triggers', () => {
  const drained = Object.values(catalog.sources).filter(
    ({ arrives }) => arrives.kind === 'pubsub_messages',
  );
  const inboxes = functions.flatMap(({ inboxes }) => inboxes);
  expect(pushes.filter(([, one]) => one['push_config'] !== undefined)).toHaveLength(inboxes.length);
  expect(pushes.filter(([, one]) => one['push_config'] === undefined)).toHaveLength(drained.length);
  for (const deployed of Object.values(stack.all('google_cloudfunctions2_function'))) {
    expect(deployed).not.toHaveProperty('event_trigger');
  }
});

test.each(pushes)('%s survives a week without its function, and gives up in the open', (id, at) => {
  expect(at['message_retention_duration']).toBe('604800s');
  expect(at['expiration_policy']).toEqual({ ttl: '' });
  expect(at['retry_policy']).toEqual({ minimum_backoff: '10s', maximum_backoff: '600s' });
  const dead = `${at['name']}-dead`;
  const policy = at['dead_letter_policy'] as Resource;
  expect(policy['dead_letter_topic']).toBe(topicRef(dead, 'id'));
  expect(policy['max_delivery_attempts']).toBeGreaterThanOrEqual(5);
  expect(policy['max_delivery_attempts']).toBeLessThanOrEqual(100);

  const [, keeps] = only(stack, 'google_pubsub_subscription', { name: dead });
  expect(keeps['topic']).toBe(topicRef(dead, 'name'));
  expect(keeps['expiration_policy']).toEqual({ ttl: '' });
  expect(keeps['message_retention_duration']).toBe('2678400s');

  // Both grants, or nothing is ever dead-lettered.
  const agent = `serviceAccount:service-${reference('data.google_project', 'project', 'number')}@gcp-sa-pubsub.iam.gserviceaccount.com`;
  only(stack, 'google_pubsub_topic_iam_member', {
    topic: topicRef(dead, 'name'),
    role: 'roles/pubsub.publisher',
    member: agent,
  });
  only(stack, 'google_pubsub_subscription_iam_member', {
    subscription: reference('google_pubsub_subscription', id, 'name'),
    role: 'roles/pubsub.subscriber',
    member: agent,
  });
});

test('every topic is kept for a week, is subscribed to, and can be seeked back', () => {
  for (const [id, topic] of Object.entries(topics)) {
    expect(topic['message_retention_duration']).toBe('604800s');
    const reader = Object.values(subscriptions).filter(
      (subscription) => subscription['topic'] === reference('google_pubsub_topic', id, 'name'),
    );
    expect(reader, String(topic['name'])).not.toHaveLength(0);
  }
});

test('every prefix that starts a stage is announced on its topic, once', () => {
  const wanted = functions.flatMap(({ inboxes }) =>
    inboxes.flatMap(({ topic, notifies }) => (notifies === undefined ? [] : [{ topic, notifies }])),
  );
  const stages = wanted.filter(({ notifies }) => notifies.bucket === 'control');
  expect(stages.map(({ notifies }) => notifies.prefix)).toEqual(['runs/', 'loads/', 'batches/']);
  for (const { topic, notifies } of wanted) {
    const [bucket] = only(stack, 'google_storage_bucket', {
      name: `example-tributary-dev-${notifies.bucket}`,
    });
    const [, notification] = only(stack, 'google_storage_notification', {
      topic: topicRef(topic, 'id'),
    });
    expect(notification['object_name_prefix'] ?? '').toBe(notifies.prefix);
    expect(notification).toMatchObject({
      bucket: reference('google_storage_bucket', bucket, 'name'),
      event_types: ['OBJECT_FINALIZE'],
      payload_format: 'JSON_API_V1',
    });
    const [grant] = only(stack, 'google_pubsub_topic_iam_member', {
      topic: topicRef(topic, 'name'),
      role: 'roles/pubsub.publisher',
      member: reference('data.google_storage_project_service_account', 'storage_agent', 'member'),
    });
    // Storage refuses a notification on a topic it may not publish to.
    expect(notification['depends_on']).toContain(`google_pubsub_topic_iam_member.${grant}`);
  }
  expect(Object.keys(stack.all('google_storage_notification'))).toHaveLength(wanted.length);
});

const schedules = Object.values(stack.all('google_cloud_scheduler_job'));
const messageOf = (job: Resource): unknown =>
  JSON.parse(Buffer.from(String((job['pubsub_target'] as Resource)['data']), 'base64').toString());

test('every source is pulled on its schedule, every tick ticks, in UTC, and nothing else', () => {
  const sources = Object.entries(catalog.sources).flatMap(([name, { arrives }]) => {
    const schedule = scheduleOf(arrives);
    if (schedule === null) return [];
    const served = functionOf(arrives);
    return [
      {
        name: `${served.split('-')[0]}-${name.replace('.', '-')}`,
        schedule,
        message: { source: name },
        topic: topicRef(served, 'id'),
      },
    ];
  });
  const ticks = functions.flatMap(({ inboxes }) =>
    inboxes.flatMap(({ topic, schedule }) =>
      schedule === undefined
        ? []
        : [{ name: topic, schedule, message: {}, topic: topicRef(topic, 'id') }],
    ),
  );
  const byName = (a: { name: unknown }, b: { name: unknown }) =>
    String(a.name) < String(b.name) ? -1 : 1;
  expect(
    schedules
      .map((job) => ({
        name: job['name'],
        schedule: job['schedule'],
        message: messageOf(job),
        topic: (job['pubsub_target'] as Resource)['topic_name'],
      }))
      .sort(byName),
  ).toEqual([...sources, ...ticks].sort(byName));
});

test.each(schedules.map((job) => [String(job['name']), job] as const))(
  'the schedule %s is one that Scheduler takes',
  (_, job) => {
    expect(isCron(String(job['schedule']))).toBe(true);
    expect(job['time_zone']).toBe('Etc/UTC');
    expect(job['paused']).toBe(false);
    // Ignored with a Pub/Sub target, and then a difference on every plan.
    expect(job).not.toHaveProperty('attempt_deadline');
    const { retry_count: count } = job['retry_config'] as { readonly retry_count: number };
    expect(count).toBeGreaterThanOrEqual(0);
    expect(count).toBeLessThanOrEqual(5);
  },
);

test('no source may drain what carries the messages of a function', () => {
  const [name = '', source] =
    Object.entries(catalog.sources).find(([, { arrives }]) => arrives.kind === 'pubsub_messages') ??
    [];
  if (source === undefined) throw new Error('no source arrives as messages');
  const taken = { ...source, arrives: { ...source.arrives, topic: 'drain' } } as typeof source;
  const sources = { ...catalog.sources, [name]: taken };
  expect(() => synthesised({}, { ...catalog, sources })).toThrow(/drains the topic drain/);
});

test('a paused environment has every schedule, and fires none', () => {
  const paused = Object.values(synthesised({ paused: true }).all('google_cloud_scheduler_job'));
  expect(paused).toHaveLength(schedules.length);
  expect(paused.every((job) => job['paused'] === true)).toBe(true);
});

test('filters, where there are any, keep within what Pub/Sub takes', () => {
  for (const subscription of Object.values(subscriptions)) {
    expect(String(subscription['filter'] ?? '').length).toBeLessThanOrEqual(256);
    expect(Number(subscription['ack_deadline_seconds'])).toBeGreaterThanOrEqual(10);
    expect(Number(subscription['ack_deadline_seconds'])).toBeLessThanOrEqual(600);
  }
});
