/** What each need of a function is granted, and nothing else. */
import { drainedSubscription, functionOf, type Need } from '../functions/settings.ts';
import type { SourceContract } from '../schemas/contract.ts';
import type { Buckets } from './buckets.ts';
import type { Dataset } from './dataset.ts';
import type { DeployedFunction } from './function.ts';
import type { Project } from './project.ts';
import type { CustomRole } from './role.ts';
import type { Secret } from './secret.ts';
import type { Spark } from './spark.ts';
import type { DrainedSubscription } from './subscription.ts';
import type { Topic } from './topic.ts';

export interface Estate {
  readonly project: Project;
  readonly sparkProject: Project;
  readonly spark: Spark;
  readonly buckets: Buckets;
  /** Secrets of the world outside, by name. */
  readonly secrets: ReadonlyMap<string, Secret>;
  /** Subscriptions that are drained, by name. */
  readonly drained: ReadonlyMap<string, DrainedSubscription>;
  /** Topic by name. */
  readonly topics: ReadonlyMap<string, Topic>;
  /** Domain's dataset by domain, `ops` among them. */
  readonly datasets: ReadonlyMap<string, Dataset>;
  readonly staging: Dataset;
  readonly roles: {
    readonly jobRunner: CustomRole;
    readonly litterRemover: CustomRole;
    readonly rowReplacer: CustomRole;
  };
  /** Sources by full name. */
  readonly sources: Readonly<Record<string, SourceContract>>;
}

/** Sources that a function takes in, by full name. */
export const sourcesOf = (
  name: string,
  sources: Readonly<Record<string, SourceContract>>,
): readonly string[] =>
  Object.entries(sources)
    .filter(([, source]) => functionOf(source.arrives) === name)
    .map(([fullName]) => fullName);

type Granting = (deployed: DeployedFunction, estate: Estate) => void;

const grantings: Readonly<Record<Need, Granting>> = {
  control: ({ identity }, { buckets }) => {
    buckets.control.grant(identity, 'roles/storage.objectUser');
  },
  land: ({ identity, settings }, { buckets, sources }) => {
    const prefixes = sourcesOf(settings.name, sources).map((name) => `${name.replace('.', '/')}/`);
    if (prefixes.length === 0) return;
    buckets.bronze.grant(identity, 'roles/storage.objectCreator', prefixes);
    // A refused write is compared with what is there: same bytes, or another attempt.
    buckets.bronze.grant(identity, 'roles/storage.objectViewer', prefixes);
  },
  litter: ({ identity }, { buckets, roles }) => {
    buckets.bronze.grant(identity, roles.litterRemover);
  },
  lake: ({ identity }, { buckets }) => {
    buckets.lake.grant(identity, 'roles/storage.objectViewer');
    // A load job looks at the bucket itself as well.
    buckets.lake.grant(identity, 'roles/storage.legacyBucketReader');
  },
  batches: ({ identity }, { sparkProject, spark }) => {
    sparkProject.grant(identity, spark.submitter);
    spark.identity.grant(identity, 'roles/iam.serviceAccountUser');
  },
  warehouse: ({ identity }, { project, datasets, staging, roles, buckets }) => {
    project.grant(identity, roles.jobRunner);
    staging.grant(identity, 'roles/bigquery.dataEditor');
    for (const dataset of datasets.values()) dataset.grant(identity, roles.rowReplacer);
    // Rows of `ops` are loaded from the control bucket.
    buckets.control.grant(identity, 'roles/storage.legacyBucketReader');
  },
  ask: ({ identity, settings }, { project, datasets, roles, sources }) => {
    project.grant(identity, roles.jobRunner);
    // Whoever asks for pulls compares what came of them; others may read everything.
    const asked =
      settings.asks === undefined
        ? [...datasets.keys()]
        : settings.asks
            .flatMap((name) => sourcesOf(name, sources))
            .map((name) => name.split('.')[0] ?? '');
    for (const domain of new Set(asked)) {
      datasets.get(domain)?.grant(identity, 'roles/bigquery.dataViewer');
    }
  },
  messages: ({ identity, settings }, { sources, drained }) => {
    for (const name of sourcesOf(settings.name, sources)) {
      const arrives = sources[name]?.arrives;
      if (arrives?.kind !== 'pubsub_messages') continue;
      drained.get(drainedSubscription(arrives.topic))?.grant(identity, 'roles/pubsub.subscriber');
    }
  },
  publish: ({ identity }, { topics, sources }) => {
    for (const { arrives } of Object.values(sources)) {
      if (arrives.kind !== 'pubsub_messages' || arrives.collect !== true) continue;
      topics.get(arrives.topic)?.grant(identity, 'roles/pubsub.publisher');
    }
  },
  inbox: ({ identity }, { buckets }) => {
    buckets.inbox.grant(identity, 'roles/storage.objectViewer');
  },
};

/** Grants a function what its settings say it needs. */
export function grantNeeds(deployed: DeployedFunction, estate: Estate): void {
  const { needs, asks = [], secret } = deployed.settings;
  for (const need of needs) grantings[need](deployed, estate);
  for (const name of asks)
    estate.topics.get(name)?.grant(deployed.identity, 'roles/pubsub.publisher');
  if (secret !== undefined) estate.secrets.get(secret)?.grantRead(deployed.identity);
}
