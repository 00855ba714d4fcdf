/** Spark on this machine: how `gs://` is read there, and what is set for two cores. */
import { mkdirSync } from 'node:fs';
import { totalmem } from 'node:os';
import { join } from 'node:path';

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
  const settings: Record<string, string> = {
    'spark.master': 'local[2]',
    'spark.app.name': 'batch',
    'spark.driver.memory': `${driverMemory()}m`,
    'spark.driver.extraJavaOptions': [
      '-XX:+ExitOnOutOfMemoryError',
      // Short jobs spend more on the second compiler than it ever gives back.
      '-XX:TieredStopAtLevel=1',
      // The first compiler alone is given 48 MB for its code; one batch of email fills them, and
      // from then on everything is interpreted.
      '-XX:ReservedCodeCacheSize=512m',
      '-Duser.timezone=UTC',
    ].join(' '),
    'spark.jars': place.jars.join(','),
    'spark.local.dir': scratch,
    'spark.sql.warehouse.dir': join(scratch, 'warehouse'),
    'spark.hadoop.fs.gs.impl': 'org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme',
    'spark.hadoop.fs.file.impl': 'org.apache.hadoop.fs.RawLocalFileSystem',
    'spark.sql.streaming.checkpointFileManagerClass':
      'org.apache.spark.sql.execution.streaming.FileSystemBasedCheckpointFileManager',
    'spark.ui.enabled': 'false',
    'spark.ui.showConsoleProgress': 'false',
    'spark.sql.session.timeZone': 'UTC',
    'spark.sql.shuffle.partitions': '2',
    // A batch of the email star makes several hundred classes; the default keeps a hundred of them.
    'spark.sql.codegen.cache.maxEntries': '3000',
    'spark.driver.bindAddress': '127.0.0.1',
    'spark.driver.host': '127.0.0.1',
    'spark.sql.sources.parallelPartitionDiscovery.parallelism': '2',
    'spark.databricks.delta.snapshotPartitions': '2',
    'spark.sql.extensions': 'io.delta.sql.DeltaSparkSessionExtension',
    'spark.sql.catalog.spark_catalog': 'org.apache.spark.sql.delta.catalog.DeltaCatalog',
  };
  for (const [bucket, folder] of Object.entries(place.buckets)) {
    mkdirSync(folder, { recursive: true });
    settings[`spark.hadoop.fs.viewfs.mounttable.${bucket}.linkFallback`] = `file://${folder}`;
  }
  return settings;
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
