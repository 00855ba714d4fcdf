/** Everything one environment consists of. */
import { createHash } from 'node:crypto';
import { basename, relative } from 'node:path';
import { GoogleProvider } from '@cdktf/provider-google/lib/provider/index.js';
import { GcsBackend, LocalBackend, TerraformElement, TerraformStack } from 'cdktf';
import type { Construct, Node } from 'constructs';
import {
  delivery,
  drainedSubscription,
  functionOf,
  functions,
  type Variable,
} from '../functions/settings.ts';
import { scheduleOf } from '../schemas/contract.ts';
import { type Catalog, OPS } from '../schemas/derive/rules.ts';
import { Alerts } from './alerts.ts';
import type { Artifact, Artifacts } from './artifacts.ts';
import { makeBuckets } from './buckets.ts';
import { Budget } from './budget.ts';
import { Connector } from './connector.ts';
import { Dataset } from './dataset.ts';
import type { Environment } from './environment.ts';
import { DeployedFunction } from './function.ts';
import { type Estate, grantNeeds } from './grants.ts';
import { makeImageBuild } from './image_build.ts';
import { PersonalTag } from './personal.ts';
import { Project, storageAgent } from './project.ts';
import { CustomRole } from './role.ts';
import { Schedule } from './schedule.ts';
import { Secret } from './secret.ts';
import { services, sparkServices, waitForServices } from './services.ts';
import { Spark } from './spark.ts';
import { DrainedSubscription, type PushSubscription } from './subscription.ts';
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
        ...(environment.databases === null ? [] : ['vpcaccess', 'compute']),
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
    const secrets = new Map(
      functions
        .flatMap(({ secret }) => secret ?? [])
        .map((secret) => [
          secret,
          new Secret(this, secret.replaceAll('-', '_'), {
            name: secret,
            region,
            purpose: 'credential-of-the-world-outside',
          }),
        ]),
    );
    const collectKey = environment.collect?.keySecret;
    if (collectKey !== undefined) {
      const options = { name: collectKey, region, purpose: 'key-that-senders-name' };
      secrets.set(collectKey, new Secret(this, 'collect_key', options));
    }
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

    const ownTopics = functions.flatMap(({ inboxes }) => inboxes.map(({ topic }) => topic));
    const taken = drainedTopics(catalog).find((topic) => ownTopics.includes(topic));
    if (taken !== undefined) {
      throw new Error(`a source drains the topic ${taken}, which carries messages of a function`);
    }
    const topics = new Map(
      [...new Set([...ownTopics, ...drainedTopics(catalog)])].map((topic) => [
        topic,
        new Topic(this, topic, { name: topic, retentionSeconds: delivery.retentionSeconds }),
      ]),
    );
    const topicNamed = (topic: string): Topic => {
      const found = topics.get(topic);
      if (found === undefined) throw new Error(`no function has an inbox on the topic ${topic}`);
      return found;
    };

    const drained = new Map(
      drainedTopics(catalog).map((name) => {
        const subscription = drainedSubscription(name);
        const options = {
          name: subscription,
          topic: topicNamed(name),
          pubsubAgent: project.pubsubAgent,
        };
        return [subscription, new DrainedSubscription(this, subscription, options)];
      }),
    );

    const estate: Estate = {
      project,
      sparkProject,
      spark,
      buckets,
      secrets,
      drained,
      topics,
      datasets,
      staging,
      roles: makeRoles(this, environment),
      sources: catalog.sources,
    };
    const connector =
      environment.databases === null
        ? null
        : new Connector(this, 'databases', { region, ...environment.databases });
    const build = makeImageBuild(this, project, region);
    const agent = storageAgent(this, environment.project);
    const apiUrl = (name: string): string => {
      for (const { arrives } of Object.values(catalog.sources)) {
        if (arrives.kind !== 'rest_list' || functionOf(arrives) !== name) continue;
        return environment.apis[arrives.api] ?? arrives.url;
      }
      return '';
    };
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
        TRIBUTARY_BUCKET_INBOX: buckets.inbox.name,
        TRIBUTARY_HUBSPOT_URL: environment.hubspotUrl,
        TRIBUTARY_HUBSPOT_SECRET: settings.secret ?? '',
        TRIBUTARY_HUBSPOT_DAILY_SHARE: String(environment.hubspotDailyShare),
        TRIBUTARY_API_URL: apiUrl(settings.name),
        TRIBUTARY_API_SECRET: settings.secret ?? '',
        TRIBUTARY_DATABASE_SECRET: settings.secret ?? '',
        TRIBUTARY_COLLECT: JSON.stringify(
          environment.collect ?? { origins: [], requestsPerMinute: 0 },
        ),
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
        connector: settings.variables.includes('TRIBUTARY_DATABASE_SECRET') ? connector : null,
        isPublic: settings.open === true && environment.collect !== null,
      });
      grantNeeds(deployed, estate);
      if (collectKey !== undefined && settings.variables.includes('TRIBUTARY_COLLECT')) {
        secrets.get(collectKey)?.grantRead(deployed.identity);
      }
      for (const inbox of settings.inboxes) {
        const topic = topicNamed(inbox.topic);
        inboxes.push(deployed.receive(topic));
        if (inbox.notifies !== undefined) {
          const { bucket, prefix } = inbox.notifies;
          topic.notifiedBy(buckets[bucket], prefix, agent);
        }
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
      const schedule = scheduleOf(contract.arrives);
      if (schedule === null) continue;
      const served = functionOf(contract.arrives);
      const [verb = ''] = served.split('-');
      const job = `${verb}-${fullName.replace('.', '-')}`;
      schedules.push(
        new Schedule(this, `schedule_${job}`, {
          name: job,
          about: contract.about,
          cron: schedule,
          region,
          topic: topicNamed(served),
          message: { source: fullName },
          paused: environment.paused,
        }),
      );
    }

    const alerts = new Alerts(this, 'alerts', {
      address: environment.alertAddress,
      watched: {
        subscriptions: inboxes.map(({ name }) => name),
        drained: [...drained.keys()],
        deadLetters: [...inboxes, ...drained.values()].map(({ deadLetters }) => deadLetters),
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

const drainedTopics = (catalog: Catalog): readonly string[] =>
  Object.values(catalog.sources).flatMap(({ arrives }) =>
    arrives.kind === 'pubsub_messages' ? [arrives.topic] : [],
  );

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
