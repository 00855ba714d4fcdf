import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { allocator, functions, type SparkSettings } from '../../functions/settings.ts';
import { builtArtifacts, NotBuilt } from '../../infra/artifacts.ts';
import { defineTable } from '../../schemas/contract.ts';
import { catalog } from '../../schemas/rendered/catalog.ts';
import {
  artifacts,
  asItIs,
  environments,
  only,
  type Resource,
  reference,
  synthesised,
} from './stack.ts';

const root = resolve(import.meta.dirname, '../..');
const stack = asItIs();

test.each(functions)(
  '$name runs as its settings say, as itself, reachable from inside only unless it is open',
  (settings) => {
    const id = settings.name.replaceAll('-', '_');
    const [, deployed] = only(stack, 'google_cloudfunctions2_function', { name: settings.name });
    const service = deployed['service_config'] as Resource;
    expect(service).toMatchObject({
      service_account_email: `\${google_service_account.function_${id}_fn_${id}.email}`,
      available_memory: settings.memory,
      available_cpu: settings.cpu,
      timeout_seconds: settings.timeoutSeconds,
      min_instance_count: 0,
      max_instance_count: settings.maxInstances,
      max_instance_request_concurrency: settings.concurrency,
      ingress_settings: settings.open ? 'ALLOW_ALL' : 'ALLOW_INTERNAL_ONLY',
    });
    expect(Object.keys(service['environment_variables'] as Resource).sort()).toEqual(
      [...settings.variables, ...Object.keys(allocator)].sort(),
    );
    expect(service).not.toHaveProperty('secret_environment_variables');
    const build = deployed['build_config'] as Resource;
    expect(build).toMatchObject({
      runtime: 'nodejs24',
      entry_point: 'handler',
      service_account: reference('google_service_account', 'function_build', 'name'),
    });
  },
);

test.each(functions)('no variable of $name is empty', ({ name }) => {
  const [, deployed] = only(stack, 'google_cloudfunctions2_function', { name });
  const { environment_variables: values } = deployed['service_config'] as {
    readonly environment_variables: Readonly<Record<string, string>>;
  };
  expect(Object.entries(values).filter(([, value]) => value === '')).toEqual([]);
});

test('another zip is another object, so that a change of code is deployed', () => {
  const nameOf = (sha256: string) =>
    only(synthesised({}, catalog, 'dev', artifacts(sha256)), 'google_storage_bucket_object', {
      source: stack.all('google_storage_bucket_object')['function_load_zip']?.['source'],
    })[1]['name'];
  expect(nameOf('a'.repeat(64))).toBe('functions/load-aaaaaaaaaaaaaaaa.zip');
  expect(nameOf('b'.repeat(64))).toBe('functions/load-bbbbbbbbbbbbbbbb.zip');
});

test('without what is to be uploaded, the message names the file and the command', () => {
  const nowhere = builtArtifacts('/nowhere');
  expect(() => nowhere.function('load')).toThrow(NotBuilt);
  expect(() => nowhere.function('load')).toThrow(
    /dist\/load\.zip is missing: run `node scripts\/build\.ts`/,
  );
});

test('every bucket is private, is never emptied by Terraform, and keeps what must be kept', () => {
  const buckets = Object.entries(stack.all('google_storage_bucket'));
  expect(buckets.map(([id]) => id)).toEqual([
    'bronze',
    'code',
    'control',
    'inbox',
    'lake',
    'rejected',
    'spark_staging',
  ]);
  for (const [id, bucket] of buckets) {
    const kept = ['bronze', 'control', 'inbox', 'lake', 'rejected'].includes(id);
    expect(bucket, id).toMatchObject({
      uniform_bucket_level_access: true,
      public_access_prevention: 'enforced',
      force_destroy: false,
      versioning: { enabled: ['bronze', 'control', 'inbox'].includes(id) },
      soft_delete_policy: { retention_duration_seconds: kept ? 7 * 86_400 : 0 },
    });
  }
});

test('nothing that counts is removed by age', () => {
  const removals = Object.entries(stack.all('google_storage_bucket')).flatMap(([id, bucket]) =>
    (bucket['lifecycle_rule'] as readonly { action: Resource; condition: Resource }[])
      .filter(({ action }) => action['type'] === 'Delete')
      .map(({ condition }) => [id, condition]),
  );
  expect(removals).toEqual([
    ['bronze', { days_since_noncurrent_time: 30 }],
    ['control', { age: 30, matches_prefix: ['staging/', 'empty/'] }],
    ['control', { days_since_noncurrent_time: 30 }],
    ['inbox', { age: 90 }],
    ['inbox', { days_since_noncurrent_time: 30 }],
    ['rejected', { age: 90 }],
    ['spark_staging', { age: 14 }],
  ]);
});

const tables = Object.values(stack.all('google_bigquery_table'));

test('there is one table per contract and none beside', () => {
  expect(tables.map((table) => `${readableDataset(table)}.${table['table_id']}`).sort()).toEqual(
    Object.keys(catalog.tables).sort(),
  );
});

const readableDataset = (table: Resource): string =>
  String(table['dataset_id']).replace(/^\$\{google_bigquery_dataset\.dataset_(\w+)\..*$/, '$1');

test.each(Object.entries(catalog.tables))(
  '%s is what its rendered contract says',
  (name, contract) => {
    const [dataset, table] = name.split('.');
    const resource = tables.find(
      (found) => found['table_id'] === table && readableDataset(found) === dataset,
    );
    const rendered = JSON.parse(
      readFileSync(join(root, 'schemas/rendered', `${dataset}/${table}.json`), 'utf8'),
    ) as { readonly bigquery: unknown };
    const schema = JSON.parse(String(resource?.['schema'])) as readonly Resource[];
    expect(schema.map(({ policyTags: _, ...column }) => column)).toEqual(rendered.bigquery);
    // People's data is shown to those only who may read the tag.
    expect(schema.filter((column) => 'policyTags' in column).map(({ name }) => name)).toEqual(
      Object.keys(contract.columns).filter((column) => contract.columns[column]?.personal),
    );
    expect(resource?.['time_partitioning']).toEqual(
      contract.partition === undefined ? undefined : { type: 'DAY', field: contract.partition },
    );
    expect(resource?.['clustering']).toEqual(contract.cluster);
    expect(resource?.['deletion_protection']).toBe(true);
    expect(resource?.['require_partition_filter'] ?? false).toBe(false);
  },
);

test('datasets lie where the environment says; staging tables remove themselves', () => {
  const datasets = Object.values(stack.all('google_bigquery_dataset'));
  expect(datasets.map((dataset) => dataset['dataset_id']).sort()).toEqual(
    [...Object.keys(catalog.domains), 'ops_staging'].sort(),
  );
  for (const dataset of datasets) {
    expect(dataset['location']).toBe('europe-west1');
    expect(dataset['delete_contents_on_destroy']).toBe(false);
    expect(dataset['default_table_expiration_ms']).toBe(
      dataset['dataset_id'] === 'ops_staging' ? 48 * 3_600_000 : undefined,
    );
  }
});

test('a table that shows personal data carries the policy tag there, for named readers only', () => {
  const people = defineTable({
    about: 'People',
    grain: 'one person',
    key: ['id'],
    reads: { 'email.contacts': 'all' },
    columns: {
      id: { type: 'STRING', required: true, about: 'Id' },
      full_name: { type: 'STRING', personal: true, about: 'Name' },
    },
  });
  const with_people = synthesised(
    {},
    {
      ...catalog,
      tables: { ...catalog.tables, 'email.people': people },
    },
  );
  const [, table] = only(with_people, 'google_bigquery_table', { table_id: 'people' });
  const columns = JSON.parse(String(table['schema'])) as readonly {
    readonly name: string;
    readonly policyTags?: unknown;
  }[];
  expect(columns.map(({ name, policyTags }) => [name, policyTags])).toEqual([
    ['id', undefined],
    ['full_name', { names: [reference('google_data_catalog_policy_tag', 'personal', 'name')] }],
    ['updated_at', undefined],
  ]);
  const [, taxonomy] = only(with_people, 'google_data_catalog_taxonomy', {});
  expect(taxonomy).toMatchObject({
    region: 'europe-west1',
    activated_policy_types: ['FINE_GRAINED_ACCESS_CONTROL'],
  });
  expect(
    Object.values(with_people.all('google_data_catalog_policy_tag_iam_member')).map(
      ({ role, member }) => [role, member],
    ),
  ).toEqual([['roles/datacatalog.categoryFineGrainedReader', 'group:data-stewards@example.com']]);
});

test('secrets have no value in the stack', () => {
  expect(stack.types.filter((type) => type.includes('secret_version'))).toEqual([]);
  expect(stack.text).not.toMatch(/secret_data|private_key|pat-(na|eu)\d-/);
  const secrets = Object.values(stack.all('google_secret_manager_secret'));
  expect(secrets.map((secret) => secret['secret_id'])).toEqual([
    'email-hash-key',
    'hubspot-token',
    'orders-api-token',
    'shop-database-url',
  ]);
});

/** What a submit function is told about Spark. */
function sparkOf(from = stack): SparkSettings {
  const [, deployed] = only(from, 'google_cloudfunctions2_function', { name: 'submit' });
  const { environment_variables: values } = deployed['service_config'] as {
    readonly environment_variables: Readonly<Record<string, string>>;
  };
  return JSON.parse(values['TRIBUTARY_SPARK'] ?? '') as SparkSettings;
}

test('Spark runs a supported runtime, capped, as itself, in its own project and subnet', () => {
  const spark = sparkOf();
  expect(spark).toMatchObject({
    project: 'example-tributary-dev-spark',
    runtimeVersion: '2.3',
    serviceAccount: reference('google_service_account', 'spark_spark_batches', 'email'),
    subnetworkUri: reference('google_compute_subnetwork', 'spark_subnet', 'id'),
    stagingBucket: reference('google_storage_bucket', 'spark_staging', 'name'),
    ttlSeconds: 7200,
    maxExecutors: 8,
    hashKeySecret: reference('google_secret_manager_secret', 'email_hash_key', 'secret_id'),
  });
  expect(spark.properties).toMatchObject({
    'spark.sql.session.timeZone': 'UTC',
    'spark.sql.parquet.outputTimestampType': 'TIMESTAMP_MICROS',
    'spark.sql.shuffle.partitions': '64',
  });
  for (const uri of [spark.mainPythonFileUri, ...spark.pythonFileUris, ...spark.jarFileUris]) {
    expect(uri).toMatch(/^gs:\/\/\$\{google_storage_bucket\.code\.name\}\//);
  }
  expect(spark.jarFileUris).toHaveLength(2);
});

test("Spark's files lie under their version, which the batches record", () => {
  const object = stack.all('google_storage_bucket_object');
  const folder = /^jobs\/[0-9a-f]{16}\//;
  expect(object['spark_main']?.['name']).toMatch(/^jobs\/[0-9a-f]{16}\/transform\.py$/);
  const version = (from: Resource | undefined) => folder.exec(String(from?.['name']))?.[0];
  expect(version(object['spark_main'])).toBe(version(object['spark_modules']));
  const other = synthesised({}, catalog, 'dev', artifacts('b'.repeat(64)));
  expect(version(other.all('google_storage_bucket_object')['spark_main'])).not.toBe(
    version(object['spark_main']),
  );
});

test('code that something still runs from is there until its successor is in use', () => {
  const objects = Object.entries(stack.all('google_storage_bucket_object'));
  expect(objects.length).toBeGreaterThan(10);
  for (const [id, object] of objects) {
    expect(object['lifecycle'], id).toMatchObject({ create_before_destroy: true });
    // A batch reads its files some time after it was submitted: the version before stays for ever.
    expect(object['deletion_policy'], id).toBe(id.startsWith('spark_') ? 'ABANDON' : undefined);
  }
});

test('the network of Spark reaches Google and itself, nothing else', () => {
  const [, subnet] = only(stack, 'google_compute_subnetwork', {});
  expect(subnet).toMatchObject({ private_ip_google_access: true, ip_cidr_range: '10.20.0.0/22' });
  const [, network] = only(stack, 'google_compute_network', {});
  expect(network['auto_create_subnetworks']).toBe(false);
  const [, firewall] = only(stack, 'google_compute_firewall', {});
  expect(firewall).toMatchObject({ direction: 'INGRESS', source_ranges: ['10.20.0.0/22'] });
  expect(stack.types.filter((type) => /router|nat/.test(type))).toEqual([]);
});

test('every resource waits for the service it needs to be switched on', () => {
  const on = Object.keys(stack.all('google_project_service'));
  expect(on).toContain('project_cloudfunctions');
  expect(on).toContain('spark_project_dataproc');
  for (const type of stack.types.filter((type) => type !== 'google_project_service')) {
    for (const [id, resource] of Object.entries(stack.all(type))) {
      const waits = (resource['depends_on'] as readonly string[] | undefined) ?? [];
      expect(
        waits.filter((one) => one.startsWith('google_project_service.')),
        `${type}.${id}`,
      ).not.toHaveLength(0);
    }
  }
  for (const service of Object.values(stack.all('google_project_service'))) {
    expect(service['disable_on_destroy']).toBe(false);
  }
});

test('a function also waits for what builds and runs it, a connector for networks', () => {
  const waits = (type: string) =>
    Object.values(stack.all(type)).map(({ depends_on }) => depends_on as readonly string[]);
  expect(waits('google_cloudfunctions2_function')).toHaveLength(10);
  for (const needed of waits('google_cloudfunctions2_function')) {
    expect(needed).toEqual(
      expect.arrayContaining(
        ['cloudfunctions', 'cloudbuild', 'run'].map(
          (name) => `google_project_service.project_${name}`,
        ),
      ),
    );
  }
  const [connector] = waits('google_vpc_access_connector');
  expect(connector).toContain('google_project_service.project_compute');
});

test('no plan may remove or replace tables, secrets, or buckets with data', () => {
  const kept = (type: string) =>
    Object.entries(stack.all(type)).flatMap(([id, { lifecycle }]) =>
      (lifecycle as Resource | undefined)?.['prevent_destroy'] === true ? [id] : [],
    );
  for (const type of ['google_bigquery_table', 'google_secret_manager_secret']) {
    expect(kept(type)).toEqual(Object.keys(stack.all(type)));
  }
  expect(kept('google_storage_bucket').sort()).toEqual(
    ['bronze', 'control', 'inbox', 'lake', 'rejected'].sort(),
  );
});

test('every reference names something that is declared', () => {
  for (const [name] of Object.entries(environments)) {
    const { text, all, data } = asItIs(name);
    const references = [...text.matchAll(/\$\{(data\.)?(google_\w+)\.(\w+)[.}]/g)];
    expect(references.length).toBeGreaterThan(100);
    for (const [whole, isData, type = '', id = ''] of references) {
      const there = isData === undefined ? all(type)[id] : data[type]?.[id];
      expect(there, whole).toBeDefined();
    }
    // Only plain attributes: no function, no expression that something else than Terraform
    // could not resolve.
    const written = [...text.matchAll(/\$\{([^}]*)\}/g)].map(([, inside]) => inside);
    for (const inside of written) expect(inside).toMatch(/^(data\.)?google_\w+\.\w+\.[\w[\].]+$/);
    for (const match of text.matchAll(/"depends_on": \[([^\]]*)\]/g)) {
      for (const [, type = '', id = ''] of (match[1] ?? '').matchAll(/"(\w+)\.(\w+)"/g)) {
        expect(all(type)[id], `${type}.${id}`).toBeDefined();
      }
    }
  }
});

test('state lies in a bucket where an environment is deployed, beside the stack where it is not', () => {
  expect(stack.terraform['backend']).toEqual({
    gcs: { bucket: 'example-tributary-dev-state', prefix: 'tributary/dev' },
  });
  expect(asItIs('local').terraform['backend']).toEqual({
    local: { path: 'terraform.tfstate' },
  });
});

test('the local cloud gets the same kinds of resources as a deployed environment', () => {
  const local = asItIs('local');
  expect(stack.types.filter((type) => !local.types.includes(type))).toEqual([
    'google_billing_budget',
    // What has no place on one machine: people's rights, a private network.
    'google_data_catalog_policy_tag_iam_member',
    'google_vpc_access_connector',
  ]);
  expect(local.types.filter((type) => !stack.types.includes(type))).toEqual([]);
});

test('no environment names a place outside the repository', () => {
  for (const name of Object.keys(environments)) {
    expect(existsSync(join(root, 'infra/environments', `${name}.ts`))).toBe(true);
    expect(asItIs(name).text).not.toContain(root);
  }
});

test('infra imports contracts, the settings of functions, and nothing else of the project', () => {
  const files = readdirSync(join(root, 'infra'), { recursive: true, encoding: 'utf8' });
  const imported = files
    .filter((name) => name.endsWith('.ts'))
    .flatMap((name) => {
      const text = readFileSync(join(root, 'infra', name), 'utf8');
      return [...text.matchAll(/from '(\.\.\/[^']+)'/g)].map(([, path]) => path);
    });
  expect(
    [...new Set(imported)].filter(
      (path) => !/^(\.\.\/)+(schemas\/|functions\/settings\.ts|environment\.ts)/.test(path ?? ''),
    ),
  ).toEqual([]);
  // The index of the provider costs seconds and half a gigabyte; its single modules do not.
  const whole = files.filter(
    (name) =>
      name.endsWith('.ts') &&
      readFileSync(join(root, 'infra', name), 'utf8').includes("from '@cdktf/provider-google'"),
  );
  expect(whole).toEqual([]);
});
