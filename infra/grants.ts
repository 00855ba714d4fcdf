/** What each need of a function is granted, and nothing else. */
import { type Need, pullFunctionOf } from '../functions/settings.ts';
import type { SourceContract } from '../schemas/contract.ts';
import type { Bucket } from './bucket.ts';
import type { Dataset } from './dataset.ts';
import type { DeployedFunction } from './function.ts';
import type { Project } from './project.ts';
import type { CustomRole } from './role.ts';
import type { Secret } from './secret.ts';
import type { Spark } from './spark.ts';
import type { Topic } from './topic.ts';

export interface Estate {
  readonly project: Project;
  readonly sparkProject: Project;
  readonly spark: Spark;
  readonly buckets: {
    readonly bronze: Bucket;
    readonly control: Bucket;
    readonly lake: Bucket;
  };
  readonly hubspotToken: Secret;
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

/** The pull function of the account that a credential opens. */
const pullOfCredential = {
  hubspot: 'pull-hubspot',
} as const satisfies Partial<Record<Need, string>>;

/** Sources that a function lands or asks for: those that its credential's pull function serves. */
export function sourcesOf(
  settings: { readonly name: string; readonly needs: readonly Need[] },
  sources: Readonly<Record<string, SourceContract>>,
): readonly string[] {
  const serving = [
    settings.name,
    ...Object.entries(pullOfCredential).flatMap(([need, pull]) =>
      settings.needs.includes(need as Need) ? [pull] : [],
    ),
  ];
  return Object.entries(sources)
    .filter(([, source]) => serving.includes(pullFunctionOf[source.arrives.kind] ?? ''))
    .map(([name]) => name);
}

/** The topic on which a function asks for a pull; null when it never does. */
export function pullTopicOf(settings: {
  readonly name: string;
  readonly needs: readonly Need[];
}): string | null {
  if (!settings.needs.includes('pull')) return null;
  if (Object.values(pullFunctionOf).includes(settings.name)) return settings.name;
  return settings.needs.includes('hubspot') ? pullOfCredential.hubspot : null;
}

type Granting = (deployed: DeployedFunction, estate: Estate) => void;

const grantings: Readonly<Record<Need, Granting>> = {
  control: ({ identity }, { buckets }) => {
    buckets.control.grant(identity, 'roles/storage.objectUser');
  },
  land: ({ identity, settings }, { buckets, sources }) => {
    const prefixes = sourcesOf(settings, sources).map((name) => `${name.replace('.', '/')}/`);
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
    const domains = new Set(sourcesOf(settings, sources).map((name) => name.split('.')[0] ?? ''));
    for (const domain of domains) {
      datasets.get(domain)?.grant(identity, 'roles/bigquery.dataViewer');
    }
  },
  hubspot: ({ identity }, { hubspotToken }) => {
    hubspotToken.grantRead(identity);
  },
  pull: ({ identity, settings }, { topics }) => {
    topics.get(pullTopicOf(settings) ?? '')?.grant(identity, 'roles/pubsub.publisher');
  },
};

/** Grants a function what its settings say it needs. */
export function grantNeeds(deployed: DeployedFunction, estate: Estate): void {
  for (const need of deployed.settings.needs) grantings[need](deployed, estate);
}
