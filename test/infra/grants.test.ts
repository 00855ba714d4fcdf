import { expect, test } from 'vitest';
import { functionOf, functions, type Need } from '../../functions/settings.ts';
import { catalog } from '../../schemas/rendered/catalog.ts';
import { asItIs, type Resource, reference, type Stack, synthesised } from './stack.ts';

const stack = asItIs();

/** Every grant in the stack: what, which role, to whom, and on what condition. */
interface Grant {
  readonly on: string;
  readonly role: string;
  readonly member: string;
  readonly condition: string;
}

const targetOf: Readonly<Record<string, string>> = {
  google_artifact_registry_repository_iam_member: 'repository',
  google_bigquery_dataset_iam_member: 'dataset_id',
  google_cloud_run_v2_service_iam_member: 'name',
  google_project_iam_member: 'project',
  google_pubsub_subscription_iam_member: 'subscription',
  google_pubsub_topic_iam_member: 'topic',
  google_secret_manager_secret_iam_member: 'secret_id',
  google_service_account_iam_member: 'service_account_id',
  google_storage_bucket_iam_member: 'bucket',
};

/** `${google_storage_bucket.bronze.name}` -> `storage_bucket bronze`; other text stays. */
const readable = (text: unknown): string =>
  String(text).replaceAll(/\$\{(?:data\.)?google_(\w+)\.(\w+)\.[\w[\].]+\}/g, '$1 $2');

function grantsOf(from: Stack): readonly Grant[] {
  return from.types
    .filter((type) => type.endsWith('_iam_member'))
    .flatMap((type) =>
      Object.values(from.all(type)).map((grant) => ({
        on: readable(grant[targetOf[type] ?? `nothing known about ${type}`]),
        role: readable(grant['role']),
        member: readable(grant['member']),
        condition: readable((grant['condition'] as Resource | undefined)?.['expression'] ?? ''),
      })),
    );
}

const grants = grantsOf(stack);
/** Where a function may land: the prefixes of its own sources and no others. */
const inBronze = (name: string) =>
  Object.entries(catalog.sources)
    .filter(([, { arrives }]) => functionOf(arrives) === name)
    .map(
      ([source]) =>
        `resource.name.startsWith("projects/_/buckets/storage_bucket bronze/objects/${source.replace('.', '/')}/")`,
    )
    .join(' || ');

const PROJECT = 'example-tributary-dev';
const SPARK_PROJECT = 'example-tributary-dev-spark';
const control = ['storage_bucket control roles/storage.objectUser'];
const runsJobs = [`${PROJECT} project_iam_custom_role query_job_runner`];

/** What each need comes to, for this catalog; a new need does not compile until it is here. */
const expected: Readonly<Record<Need, (name: string) => readonly string[]>> = {
  control: () => control,
  land: (name) => [
    `storage_bucket bronze roles/storage.objectCreator if ${inBronze(name)}`,
    `storage_bucket bronze roles/storage.objectViewer if ${inBronze(name)}`,
  ],
  litter: () => ['storage_bucket bronze project_iam_custom_role litter_remover'],
  lake: () => [
    'storage_bucket lake roles/storage.legacyBucketReader',
    'storage_bucket lake roles/storage.objectViewer',
  ],
  batches: () => [
    `${SPARK_PROJECT} project_iam_custom_role spark_spark_submitter`,
    'service_account spark_spark_batches roles/iam.serviceAccountUser',
  ],
  warehouse: () => [
    ...runsJobs,
    ...Object.keys(catalog.domains).map(
      (domain) => `bigquery_dataset dataset_${domain} project_iam_custom_role row_replacer`,
    ),
    'bigquery_dataset dataset_ops_staging roles/bigquery.dataEditor',
    'storage_bucket control roles/storage.legacyBucketReader',
  ],
  ask: () => [...runsJobs, 'bigquery_dataset dataset_email roles/bigquery.dataViewer'],
  messages: () => [
    'pubsub_subscription behavior_events__drain roles/pubsub.subscriber',
    'pubsub_subscription behavior_events__drain_dead_letters roles/pubsub.subscriber',
    'pubsub_subscription site_events__drain roles/pubsub.subscriber',
    'pubsub_subscription site_events__drain_dead_letters roles/pubsub.subscriber',
  ],
  publish: () => ['pubsub_topic site_events roles/pubsub.publisher'],
  inbox: () => ['storage_bucket inbox roles/storage.objectViewer'],
};

const given = (member: string): readonly string[] =>
  grants
    .filter((grant) => grant.member === member)
    .map(({ on, role, condition }) => `${on} ${role}${condition === '' ? '' : ` if ${condition}`}`)
    .sort();

test.each(functions)('$name may do what it needs and nothing else', (settings) => {
  const { name, needs, asks = [], secret } = settings;
  const id = name.replaceAll('-', '_');
  expect(given(`service_account function_${id}_fn_${id}`)).toEqual(
    [
      ...new Set([
        ...needs.flatMap((need) => expected[need](name)),
        ...asks.map((asked) => `pubsub_topic ${asked.replaceAll('-', '_')} roles/pubsub.publisher`),
        ...(secret === undefined
          ? []
          : [
              `secret_manager_secret ${secret.replaceAll('-', '_')} roles/secretmanager.secretAccessor`,
            ]),
      ]),
    ].sort(),
  );
});

const delivered = functions.filter(({ inboxes }) => inboxes.length > 0);

test.each(delivered)('what calls $name may call it and nothing else', ({ name }) => {
  const id = name.replaceAll('-', '_');
  expect(given(`service_account function_${id}_push_${id}`)).toEqual([
    `cloudfunctions2_function function_${id} roles/run.invoker`,
  ]);
});

test('anybody may call collect where the environment lets them, and nothing else anywhere', () => {
  const opened = (from: Stack) =>
    Object.values(from.all('google_cloud_run_v2_service_iam_member'))
      .filter(({ member }) => member === 'allUsers')
      .map(({ name }) => name);
  expect(opened(stack)).toEqual([
    reference('google_cloudfunctions2_function', 'function_collect', 'name'),
  ]);
  expect(opened(synthesised({ collect: null }))).toEqual([]);
});

test('the key that senders must name is a secret that collect alone may read', () => {
  const keyed = synthesised({
    collect: { origins: [], requestsPerMinute: 60, keySecret: 'events-key' },
  });
  expect(keyed.all('google_secret_manager_secret')['collect_key']).toMatchObject({
    secret_id: 'events-key',
  });
  expect(grantsOf(keyed).filter(({ on }) => on.endsWith(' collect_key'))).toEqual([
    {
      on: 'secret_manager_secret collect_key',
      role: 'roles/secretmanager.secretAccessor',
      member: 'service_account function_collect_fn_collect',
      condition: '',
    },
  ]);
  expect(stack.all('google_secret_manager_secret')['collect_key']).toBeUndefined();
});

test('Spark reads bronze and manifests, writes the lake, and creates manifests only', () => {
  const created = ['batches/', 'failures/']
    .map(
      (prefix) =>
        `resource.name.startsWith("projects/_/buckets/storage_bucket control/objects/${prefix}")`,
    )
    .join(' || ');
  expect(given('service_account spark_spark_batches')).toEqual(
    [
      `${SPARK_PROJECT} roles/dataproc.worker`,
      'secret_manager_secret email_hash_key roles/secretmanager.secretAccessor',
      'storage_bucket bronze roles/storage.objectViewer',
      'storage_bucket code roles/storage.objectViewer',
      `storage_bucket control roles/storage.objectCreator if ${created}`,
      'storage_bucket control roles/storage.objectViewer',
      'storage_bucket lake roles/storage.objectUser',
      'storage_bucket rejected roles/storage.objectUser',
      'storage_bucket spark_staging roles/storage.objectUser',
    ].sort(),
  );
});

test('builds push images and read only sources of functions', () => {
  expect(given('service_account function_build')).toEqual(
    [
      'artifact_registry_repository function_images roles/artifactregistry.writer',
      `${PROJECT} roles/logging.logWriter`,
      `${PROJECT} roles/storage.objectViewer if resource.name.startsWith("projects/_/buckets/gcf-v2-")`,
    ].sort(),
  );
});

test('everybody who is granted something is an identity of ours, a service agent, or a reader', () => {
  const strangers = grants
    .map(({ member }) => member)
    .filter(
      (member) =>
        !member.startsWith('service_account ') &&
        member !== 'serviceAccount:service-project project@gcp-sa-pubsub.iam.gserviceaccount.com' &&
        member !== 'storage_project_service_account storage_agent' &&
        member !== 'allUsers' &&
        member !== 'group:analysts@example.com' &&
        member !== 'group:data-stewards@example.com',
    );
  expect(strangers).toEqual([]);
  expect(stack.text).not.toMatch(/allAuthenticatedUsers/);
});

test('no grant takes away what others granted, and no broad role is given', () => {
  expect(stack.types.filter((type) => /_iam_(policy|binding)$/.test(type))).toEqual([]);
  const broad = /roles\/(owner|editor|viewer|.*[aA]dmin)$/;
  expect(grants.filter(({ role }) => broad.test(role))).toEqual([]);
  // In all of a project: only what cannot be given on a resource.
  expect(
    [...new Set(grants.filter(({ on }) => on === PROJECT).map(({ role }) => role))].sort(),
  ).toEqual([
    'project_iam_custom_role query_job_runner',
    'roles/bigquery.jobUser',
    'roles/logging.logWriter',
    'roles/storage.objectViewer',
  ]);
});

test('without a project of its own, Spark and those who start it are granted in the one there is', () => {
  const { project: _, ...spark } = {
    project: '',
    subnetRange: '10.0.0.0/22',
    maxExecutors: 2,
    ttlSeconds: 3600,
    jars: [],
  };
  const one = grantsOf(synthesised({ spark }));
  expect(one.filter(({ on }) => on === SPARK_PROJECT)).toEqual([]);
  expect(
    one
      .filter(({ role }) => role === 'project_iam_custom_role spark_spark_submitter')
      .map(({ on, member }) => `${on} ${member}`)
      .sort(),
  ).toEqual([
    `${PROJECT} service_account function_submit_fn_submit`,
    `${PROJECT} service_account function_sweep_fn_sweep`,
  ]);
});

test('roles of our own hold these permissions', () => {
  const roles = Object.values(stack.all('google_project_iam_custom_role')).map((role) => [
    role['role_id'],
    role['permissions'],
  ]);
  expect(Object.fromEntries(roles)).toEqual({
    queryJobRunner: ['bigquery.jobs.create', 'bigquery.jobs.get'],
    litterRemover: ['storage.objects.delete', 'storage.objects.get', 'storage.objects.list'],
    rowReplacer: [
      'bigquery.datasets.get',
      'bigquery.tables.get',
      'bigquery.tables.getData',
      'bigquery.tables.list',
      'bigquery.tables.updateData',
    ],
    sparkSubmitter: [
      'dataproc.batches.create',
      'dataproc.batches.get',
      'dataproc.batches.list',
      'dataproc.operations.get',
    ],
  });
});

test('an account id is one that IAM takes', () => {
  for (const account of Object.values(stack.all('google_service_account'))) {
    expect(account['account_id']).toMatch(/^[a-z][a-z0-9-]{4,28}[a-z0-9]$/);
    expect(String(account['display_name']).length).toBeLessThanOrEqual(100);
  }
});

test('a function with many sources is granted them in conditions that IAM takes', () => {
  const [model] = Object.values(catalog.sources).filter(
    ({ arrives }) => arrives.kind === 'postgres_table',
  );
  if (model === undefined) throw new Error('no source is a table');
  const names = Array.from({ length: 14 }, (_, number) => `commerce.table_${number}`);
  const sources = { ...catalog.sources, ...Object.fromEntries(names.map((name) => [name, model])) };
  const grants = Object.values(
    synthesised({}, { ...catalog, sources }).all('google_storage_bucket_iam_member'),
  ).filter(
    ({ member, role }) =>
      String(member).includes('fn_pull_shop_database') && role === 'roles/storage.objectCreator',
  );
  const expressions = grants.map(({ condition }) =>
    String((condition as Resource | undefined)?.['expression']),
  );
  for (const expression of expressions) {
    expect(expression.split('||').length).toBeLessThanOrEqual(13);
  }
  for (const name of names) {
    const prefix = `/objects/${name.replace('.', '/')}/")`;
    expect(expressions.filter((expression) => expression.includes(prefix))).toHaveLength(1);
  }
});
