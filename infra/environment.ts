/** What differs between environments: data, one small file each in `environments/`. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import type { CollectSettings } from '../functions/settings.ts';

/** A Delta jar for Spark on Dataproc (Scala 2.13), staged because workers have no internet. */
export interface Jar {
  readonly file: string;
  readonly sha256: string;
}

export interface Environment {
  readonly project: string;
  /** Bucket of Terraform's state, made by hand beforehand; null = never deployed. */
  readonly stateBucket: string | null;
  /** Functions, buckets and Spark. */
  readonly region: string;
  /** BigQuery datasets; must contain the region, or loads from its buckets are refused. */
  readonly location: string;
  /** Where alerts go. */
  readonly alertAddress: string;
  readonly hubspotUrl: string;
  /** Share of the account's daily quota this pipeline may use, 0 to 1. */
  readonly hubspotDailyShare: number;
  /**
   * Network over which the functions that read databases reach them, and a free /28 in it for the
   * connector; null = databases have public addresses.
   */
  readonly databases: { readonly network: string; readonly range: string } | null;
  /** Base URLs of REST APIs in place of the ones their contracts name, by API. */
  readonly apis: Readonly<Record<string, string>>;
  /** Who may send events over HTTP; null = nobody, the collect function answers only inside. */
  readonly collect: CollectSettings | null;
  /** Schedules exist but do not fire: for a first apply, until the secrets have values. */
  readonly paused: boolean;
  readonly spark: {
    /**
     * A project of its own: Spark's worker role reaches every bucket of the project it is in.
     * Absent = the environment's project.
     */
    readonly project?: string;
    readonly subnetRange: string;
    readonly maxExecutors: number;
    readonly ttlSeconds: number;
    /** Delta jars to stage; none where the runtime brings its own. */
    readonly jars: readonly Jar[];
  };
  /** Who may read personal columns: IAM members such as `group:analysts@example.com`. */
  readonly personalReaders: readonly string[];
  /** Who may query the datasets. */
  readonly readers: readonly string[];
  /** Days that refused records are kept as they came. */
  readonly rejectedDays: number;
  readonly budget: {
    readonly billingAccount: string;
    readonly currency: string;
    /** Whole units a month. */
    readonly amount: number;
  } | null;
  /** Other endpoints than the public ones, by service; empty on a plain project. */
  readonly endpoints: Readonly<Record<string, string>>;
}

/** Delta 3.3.2 for Spark 3.5 on Scala 2.13, which Dataproc Serverless 2.3 runs. */
export const deltaJars: readonly Jar[] = [
  {
    file: 'delta-spark_2.13-3.3.2.jar',
    sha256: '435bd201b5ea6b406efaa10e815d2744e4b438128aa83c10e4b8b553f4f0ff3e',
  },
  {
    file: 'delta-storage-3.3.2.jar',
    sha256: 'c096975a2ca97ccc9b4005aa5cce16c9ac3903139d340da6665b66ace67d7c36',
  },
];

const folder = join(import.meta.dirname, 'environments');

/** Every environment by its file's name. */
export async function readEnvironments(): Promise<Readonly<Record<string, Environment>>> {
  const environments: Record<string, Environment> = {};
  const files = (await readdir(folder)).filter((file) => file.endsWith('.ts')).sort();
  for (const file of files) {
    const module: { readonly environment?: Environment } = await import(
      pathToFileURL(join(folder, file)).href
    );
    if (module.environment === undefined) {
      throw new Error(`infra/environments/${file} exports no \`environment\``);
    }
    environments[file.slice(0, -'.ts'.length)] = module.environment;
  }
  return environments;
}
