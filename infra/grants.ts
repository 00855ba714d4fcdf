/** What each need of a function is granted, and nothing else. */
import { type Need, pullFunctionOf } from '../functions/settings.ts';
import type { SourceContract } from '../schemas/contract.ts';
import type { Buckets } from './buckets.ts';
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
  readonly buckets: Buckets;
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

/** Sources that a pull function serves, by full name. */
export const sourcesPulledBy = (
  name: string,
  sources: Readonly<Record<string, SourceContract>>,
): readonly string[] =>
  Object.entries(sources)
    .filter(([, source]) => pullFunctionOf[source.arrives.kind] === name)
    .map(([fullName]) => fullName);

/**
 * The topic on which a function asks for a pull, which is called as the pull function; null when it
 * never does.
 * @throws when a function that pulls nothing itself asks, and there are several to ask
 */
export function pullTopicOf(settings: {
  readonly name: string;
  readonly needs: readonly Need[];
}): string | null {
  if (!settings.needs.includes('pull')) return null;
  const pulls = [...new Set(Object.values(pullFunctionOf))];
  if (pulls.includes(settings.name)) return settings.name;
  const [only, ...more] = pulls;
  if (only === undefined || more.length > 0) {
    throw new Error(`${settings.name} asks for pulls, but on which of ${pulls.join(', ')}?`);
  }
  return only;
}

type Granting = (deployed: DeployedFunction, estate: Estate) => void;

const grantings: Readonly<Record<Need, Granting>> = {
  control: ({ identity }, { buckets }) => {
    buckets.control.grant(identity, 'roles/storage.objectUser');
  },
  land: ({ identity, settings }, { buckets, sources }) => {
    const prefixes = sourcesPulledBy(settings.name, sources).map(
      (name) => `${name.replace('.', '/')}/`,
    );
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
    const pull = pullTopicOf(settings);
    const asked =
      pull === null
        ? [...datasets.keys()]
        : sourcesPulledBy(pull, sources).map((name) => name.split('.')[0] ?? '');
    for (const domain of new Set(asked)) {
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
