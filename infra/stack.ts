/** Everything one environment consists of. */
import { createHash } from 'node:crypto';
import { basename, relative } from 'node:path';
import { ArtifactRegistryRepository } from '@cdktf/provider-google/lib/artifact-registry-repository/index.js';
import { ArtifactRegistryRepositoryIamMember } from '@cdktf/provider-google/lib/artifact-registry-repository-iam-member/index.js';
import { GoogleProvider } from '@cdktf/provider-google/lib/provider/index.js';
import {
  GcsBackend,
  LocalBackend,
  TerraformElement,
  TerraformResource,
  TerraformStack,
} from 'cdktf';
import type { Construct, Node } from 'constructs';
import { delivery, functions, pullFunctionOf, type Variable } from '../functions/settings.ts';
import { type Catalog, OPS } from '../schemas/derive/rules.ts';
import { Alerts } from './alerts.ts';
import type { Artifact, Artifacts } from './artifacts.ts';
import { Bucket } from './bucket.ts';
import { Budget } from './budget.ts';
import { Dataset } from './dataset.ts';
import type { Environment } from './environment.ts';
import { DeployedFunction } from './function.ts';
import { type Estate, grantNeeds, pullTopicOf } from './grants.ts';
import { Identity } from './identity.ts';
import { PersonalTag } from './personal.ts';
import { Project, storageAgent } from './project.ts';
import { CustomRole } from './role.ts';
import { Schedule } from './schedule.ts';
import { Secret } from './secret.ts';
import { Spark } from './spark.ts';
import type { PushSubscription } from './subscription.ts';
import { Topic } from './topic.ts';

export interface StackOptions {
  readonly environment: Environment;
  readonly catalog: Catalog;
  readonly artifacts: Artifacts;
  /** Absolute path of the folder the stack is written to: Terraform runs there. */
  readonly folder: string;
}

export class TributaryStack extends TerraformStack {
  constructor(scope: Construct, name: string, options: StackOptions) {
    super(scope, name);
    const { environment, catalog, artifacts } = options;
    const { region } = environment;
    new GoogleProvider(this, 'google', { project: environment.project, region });
    if (environment.stateBucket === null) {
      new LocalBackend(this, { path: 'terraform.tfstate' });
    } else {
      new GcsBackend(this, { bucket: environment.stateBucket, prefix: `tributary/${name}` });
    }
    const source = (artifact: Artifact) => relative(options.folder, artifact.path);

    const project = new Project(this, 'project', {
      projectId: environment.project,
      services: [
        ...services,
        ...(environment.spark.project === undefined ? sparkServices : []),
        ...(environment.budget === null ? [] : ['billingbudgets']),
        ...(showsPersonal(catalog) ? ['datacatalog'] : []),
      ],
    });
    const sparkProject =
      environment.spark.project === undefined
        ? project
        : new Project(this, 'spark_project', {
            projectId: environment.spark.project,
            services: sparkServices,
          });

    const buckets = makeBuckets(this, environment);
    const hubspotToken = new Secret(this, 'hubspot_token', {
      name: 'hubspot-token',
      region,
      purpose: 'private-app-token',
    });
    const hashKey = new Secret(this, 'email_hash_key', {
      name: 'email-hash-key',
      region,
      purpose: 'key-of-the-address-hash',
    });

    const spark = new Spark(this, 'spark', {
      ...environment.spark,
      project: sparkProject,
      environment: name,
      region,
      code: buckets.code,
      version: hashOf(artifacts.jobMain, artifacts.jobModules),
      main: { source: source(artifacts.jobMain), file: 'transform.py' },
      modules: { source: source(artifacts.jobModules), file: 'jobs.zip' },
      jars: environment.spark.jars.map((jar) => ({
        source: source(artifacts.jar(jar)),
        file: basename(jar.file),
      })),
      hashKey,
      buckets,
    });

    const personal = showsPersonal(catalog)
      ? new PersonalTag(this, 'personal', {
          location: environment.location,
          readers: environment.personalReaders,
        })
      : null;
    const datasets = new Map(
      Object.entries(catalog.domains).map(([domain, contract]) => [
        domain,
        new Dataset(this, `dataset_${domain}`, {
          name: domain,
          about: contract.about,
          location: environment.location,
          tables: tablesOf(catalog, domain),
          policyTag: personal?.name ?? null,
        }),
      ]),
    );
    const staging = new Dataset(this, `dataset_${OPS}_staging`, {
      name: `${OPS}_staging`,
      about: 'What loads stage; removes itself',
      location: environment.location,
      tables: {},
      policyTag: null,
      expireHours: 48,
    });

    for (const member of environment.readers) {
      const reader = { id: member, member };
      project.grant(reader, 'roles/bigquery.jobUser');
      for (const dataset of datasets.values()) dataset.grant(reader, 'roles/bigquery.dataViewer');
    }

    const topics = new Map(
      [...new Set(functions.flatMap((settings) => settings.inboxes.map(({ topic }) => topic)))].map(
        (topic) => [
          topic,
          new Topic(this, topic, { name: topic, retentionSeconds: delivery.retentionSeconds }),
        ],
      ),
    );
    const topicNamed = (topic: string): Topic => {
      const found = topics.get(topic);
      if (found === undefined) throw new Error(`no function has an inbox on the topic ${topic}`);
      return found;
    };

    const estate: Estate = {
      project,
      sparkProject,
      spark,
      buckets,
      hubspotToken,
      topics,
      datasets,
      staging,
      roles: makeRoles(this, environment),
      sources: catalog.sources,
    };
    const build = makeBuild(this, project, region);
    const agent = storageAgent(this, environment.project);
    const inboxes: PushSubscription[] = [];
    const schedules: Schedule[] = [];
    for (const settings of functions) {
      const values: Readonly<Record<Variable, string>> = {
        TRIBUTARY_PROJECT: environment.project,
        TRIBUTARY_REGION: region,
        TRIBUTARY_LOCATION: environment.location,
        TRIBUTARY_ENVIRONMENT: name,
        TRIBUTARY_BUCKET_BRONZE: buckets.bronze.name,
        TRIBUTARY_BUCKET_CONTROL: buckets.control.name,
        TRIBUTARY_BUCKET_LAKE: buckets.lake.name,
        TRIBUTARY_BUCKET_REJECTED: buckets.rejected.name,
        TRIBUTARY_TOPIC_PULL: pullTopicOf(settings) ?? '',
        TRIBUTARY_HUBSPOT_URL: environment.hubspotUrl,
        TRIBUTARY_HUBSPOT_SECRET: hubspotToken.name,
        TRIBUTARY_HUBSPOT_DAILY_SHARE: String(environment.hubspotDailyShare),
        TRIBUTARY_SPARK: JSON.stringify(spark.settings),
        TRIBUTARY_ENDPOINTS: JSON.stringify(environment.endpoints),
      };
      const zip = artifacts.function(settings.name);
      const deployed = new DeployedFunction(this, `function_${settings.name}`, {
        settings,
        project,
        region,
        values,
        code: buckets.code,
        zip: { source: source(zip), sha256: zip.sha256 },
        build,
      });
      grantNeeds(deployed, estate);
      for (const inbox of settings.inboxes) {
        const topic = topicNamed(inbox.topic);
        inboxes.push(deployed.receive(topic));
        if (inbox.notifies !== undefined) topic.notifiedBy(buckets.control, inbox.notifies, agent);
        if (inbox.schedule !== undefined) {
          schedules.push(
            new Schedule(this, `schedule_${inbox.topic}`, {
              name: inbox.topic,
              about: settings.about,
              cron: inbox.schedule,
              region,
              topic,
              message: {},
              paused: environment.paused,
            }),
          );
        }
      }
    }
    for (const [fullName, contract] of Object.entries(catalog.sources)) {
      const { kind, schedule } = contract.arrives;
      const pull = pullFunctionOf[kind];
      if (pull === undefined) throw new Error(`${fullName}: no function serves ${kind}`);
      const job = `pull-${fullName.replace('.', '-')}`;
      schedules.push(
        new Schedule(this, `schedule_${job}`, {
          name: job,
          about: contract.about,
          cron: schedule,
          region,
          topic: topicNamed(pull),
          message: { source: fullName },
          paused: environment.paused,
        }),
      );
    }

    const alerts = new Alerts(this, 'alerts', {
      address: environment.alertAddress,
      watched: {
        subscriptions: inboxes.map((inbox) => inbox.name),
        deadLetters: inboxes.map((inbox) => inbox.deadLetters),
        schedules: environment.paused ? [] : schedules.map(({ name, cron }) => ({ name, cron })),
      },
    });
    if (environment.budget !== null) {
      new Budget(this, 'budget', {
        ...environment.budget,
        name: `Tributary ${name}`,
        projects: sparkProject === project ? [project] : [project, sparkProject],
        channel: alerts.channel.id,
      });
    }
    waitForServices(this, [project, sparkProject]);
  }

  /** Ids people can read: the path of constructs, without a hash. */
  protected override allocateLogicalId(element: TerraformElement | Node): string {
    const node = element instanceof TerraformElement ? element.node : element;
    return node.path
      .split('/')
      .slice(1)
      .filter((part) => part !== 'Resource')
      .join('_')
      .replaceAll(/[^A-Za-z0-9_]/g, '_');
  }
}

const services = [
  'artifactregistry',
  'bigquery',
  'cloudbuild',
  'cloudfunctions',
  'cloudresourcemanager',
  'cloudscheduler',
  'iam',
  'logging',
  'monitoring',
  'pubsub',
  'run',
  'secretmanager',
  'storage',
];

const sparkServices = ['compute', 'dataproc', 'iam', 'storage'];

/** The service that must be on before a resource of a type can be made, by the type's beginning. */
const serviceOfType: Readonly<Record<string, string>> = {
  google_artifact_registry: 'artifactregistry',
  google_bigquery: 'bigquery',
  google_billing: 'billingbudgets',
  google_cloud_run: 'run',
  google_cloud_scheduler: 'cloudscheduler',
  google_cloudfunctions2: 'cloudfunctions',
  google_compute: 'compute',
  google_data_catalog: 'datacatalog',
  google_logging: 'logging',
  google_monitoring: 'monitoring',
  google_project_iam: 'iam',
  google_pubsub: 'pubsub',
  google_secret_manager: 'secretmanager',
  google_service_account: 'iam',
  google_storage: 'storage',
};

/** A first apply must not touch a service before it is switched on. */
function waitForServices(stack: TerraformStack, projects: readonly Project[]): void {
  for (const resource of stack.node.findAll()) {
    if (!(resource instanceof TerraformResource)) continue;
    const type = resource.terraformResourceType;
    const [, service] =
      Object.entries(serviceOfType).find(([beginning]) => type.startsWith(beginning)) ?? [];
    if (service === undefined) continue;
    const waits = new Set(
      projects.flatMap((project) => {
        const on = project.services.get(service);
        return on === undefined ? [] : [`${on.terraformResourceType}.${on.friendlyUniqueId}`];
      }),
    );
    resource.dependsOn = [...(resource.dependsOn ?? []), ...waits];
  }
}

function makeBuckets(scope: Construct, environment: Environment) {
  const { project, region } = environment;
  const common = { location: region };
  return {
    bronze: new Bucket(scope, 'bronze', {
      ...common,
      name: `${project}-bronze`,
      purpose: 'bronze',
      versioned: true,
      softDeleteDays: 7,
      rules: [
        {
          action: { type: 'SetStorageClass', storageClass: 'NEARLINE' },
          condition: { age: 90, matchesStorageClass: ['STANDARD'] },
        },
      ],
    }),
    control: new Bucket(scope, 'control', {
      ...common,
      name: `${project}-control`,
      purpose: 'control',
      versioned: true,
      softDeleteDays: 7,
      rules: [
        {
          // Rows of `ops` on their way into BigQuery; the manifests they were made of stay.
          action: { type: 'Delete' },
          condition: { age: 30, matchesPrefix: ['staging/'] },
        },
      ],
    }),
    lake: new Bucket(scope, 'lake', {
      ...common,
      name: `${project}-lake`,
      purpose: 'lake',
      softDeleteDays: 7,
    }),
    rejected: new Bucket(scope, 'rejected', {
      ...common,
      name: `${project}-rejected`,
      purpose: 'rejected',
      softDeleteDays: 7,
      rules: [{ action: { type: 'Delete' }, condition: { age: environment.rejectedDays } }],
    }),
    code: new Bucket(scope, 'code', {
      ...common,
      name: `${project}-code`,
      purpose: 'code',
      softDeleteDays: 0,
    }),
  };
}

function makeRoles(scope: Construct, { project }: Environment): Estate['roles'] {
  return {
    // `bigquery.jobUser` lacks jobs.get: a sweep could not adopt what a load had started.
    jobRunner: new CustomRole(scope, 'query_job_runner', {
      project,
      title: 'Starts BigQuery jobs and looks after those of others',
      permissions: ['bigquery.jobs.create', 'bigquery.jobs.get'],
    }),
    litterRemover: new CustomRole(scope, 'litter_remover', {
      project,
      title: 'Lists and removes objects, but never writes one',
      permissions: ['storage.objects.delete', 'storage.objects.get', 'storage.objects.list'],
    }),
    // `bigquery.dataEditor` could also drop tables.
    rowReplacer: new CustomRole(scope, 'row_replacer', {
      project,
      title: 'Reads and replaces rows, but never changes a table',
      permissions: [
        'bigquery.datasets.get',
        'bigquery.tables.get',
        'bigquery.tables.getData',
        'bigquery.tables.list',
        'bigquery.tables.updateData',
      ],
    }),
  };
}

/** Builds of functions: an own identity and repository, because default ones may have no rights. */
function makeBuild(scope: Construct, project: Project, region: string) {
  const identity = new Identity(scope, 'function-build', { about: 'Builds of functions' });
  const repository = new ArtifactRegistryRepository(scope, 'function_images', {
    repositoryId: 'functions',
    location: region,
    format: 'DOCKER',
    description: 'Images of functions',
    cleanupPolicies: [
      { id: 'keep-latest', action: 'KEEP', mostRecentVersions: { keepCount: 5 } },
      { id: 'remove-old', action: 'DELETE', condition: { olderThan: '2592000s' } },
    ],
  });
  const mayWrite = new ArtifactRegistryRepositoryIamMember(scope, 'function_images_build_writer', {
    repository: repository.name,
    location: region,
    role: 'roles/artifactregistry.writer',
    member: identity.member,
  });
  const mayLog = project.grant(identity, 'roles/logging.logWriter');
  // The service copies sources into a bucket of its own, which it names so; nothing else is read.
  const mayRead = project.grant(identity, 'roles/storage.objectViewer', {
    title: 'only sources of functions',
    expression: 'resource.name.startsWith("projects/_/buckets/gcf-v2-")',
  });
  return { identity, repository: repository.id, grants: [mayWrite, mayLog, mayRead] };
}

const showsPersonal = (catalog: Catalog): boolean =>
  Object.values(catalog.tables).some(({ columns }) =>
    Object.values(columns).some(({ personal }) => personal),
  );

const tablesOf = (catalog: Catalog, domain: string) =>
  Object.fromEntries(
    Object.entries(catalog.tables)
      .filter(([name]) => name.startsWith(`${domain}.`))
      .map(([name, contract]) => [name.slice(domain.length + 1), contract]),
  );

const hashOf = (...artifacts: readonly Artifact[]): string =>
  createHash('sha256')
    .update(artifacts.map(({ sha256 }) => sha256).join(' '))
    .digest('hex')
    .slice(0, 16);
