/** Spark on this machine: how `gs://` is read there, and what is set for two cores. */
import { mkdirSync } from 'node:fs';
import { totalmem } from 'node:os';
import { join } from 'node:path';
// Plain data, for the tests of jobs/ start their Spark with the same. Of the Java options: the space
// for compiled code must hold several batches', or everything is interpreted from then on; the second
// compiler comes in later than by default, for a short batch never gets back what it costs; two cores
// have none to spare for a collector of its own. Of Spark's: a batch makes several hundred classes, and
// by default a hundred are kept; asking for a file on a disk takes less than a job that asks; where a
// file's bytes lie is no question here, and on a disk the answer takes a program of its own per file.
import settings from './settings.json' with { type: 'json' };

export interface SparkPlace {
  /** The Python that has PySpark. */
  readonly python: string;
  /** Delta's jars for PySpark's Scala. */
  readonly jars: readonly string[];
  /** Folder of each bucket: objects are plain files below it. */
  readonly buckets: Readonly<Record<string, string>>;
  /** Spark's own scratch space and logs. */
  readonly scratch: string;
}

/** Megabytes for the driver: a quarter of the machine, at most 4 GB. */
const driverMemory = (): number =>
  Math.round(Math.max(1024, Math.min(4096, totalmem() / 4 / (1 << 20))));

/** Settings that belong to this machine; a batch's own properties do not override them. */
export function localSettings(place: SparkPlace): Readonly<Record<string, string>> {
  const scratch = join(place.scratch, 'tmp');
  mkdirSync(scratch, { recursive: true });
  const here: Record<string, string> = {
    'spark.master': 'local[2]',
    'spark.app.name': 'batch',
    'spark.driver.memory': `${driverMemory()}m`,
    'spark.driver.extraJavaOptions': settings.java.join(' '),
    'spark.jars': place.jars.join(','),
    'spark.local.dir': scratch,
    'spark.sql.warehouse.dir': join(scratch, 'warehouse'),
    ...settings.spark,
  };
  for (const [bucket, folder] of Object.entries(place.buckets)) {
    mkdirSync(folder, { recursive: true });
    here[`spark.hadoop.fs.viewfs.mounttable.${bucket}.linkFallback`] = `file://${folder}`;
  }
  return here;
}

/** Properties of a batch that mean something here: how it computes, not how it is spread out. */
export function ownProperties(
  properties: Readonly<Record<string, string>>,
  settings: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(properties).filter(
      ([name]) =>
        (name.startsWith('spark.sql.') || name.startsWith('spark.databricks.')) &&
        !(name in settings),
    ),
  );
}

/** The file behind a `gs://` address. @throws Error when no such bucket is there */
export function fileOf(place: SparkPlace, uri: string): string {
  const parts = /^gs:\/\/([^/]+)\/(.+)$/.exec(uri);
  const folder = place.buckets[parts?.[1] ?? ''];
  if (parts === null || folder === undefined) throw new Error(`${uri} is in no bucket there is`);
  return join(folder, parts[2] as string);
}
