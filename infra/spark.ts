/** Where and as whom Spark runs: identity, private network, staged code, staging bucket. */
import { ComputeFirewall } from '@cdktf/provider-google/lib/compute-firewall/index.js';
import { ComputeNetwork } from '@cdktf/provider-google/lib/compute-network/index.js';
import { ComputeSubnetwork } from '@cdktf/provider-google/lib/compute-subnetwork/index.js';
import { StorageBucketObject } from '@cdktf/provider-google/lib/storage-bucket-object/index.js';
import { Construct } from 'constructs';
import type { SparkSettings } from '../functions/settings.ts';
import { Bucket } from './bucket.ts';
import type { Buckets } from './buckets.ts';
import { Identity } from './identity.ts';
import type { Project } from './project.ts';
import { CustomRole } from './role.ts';
import type { Secret } from './secret.ts';

/** A file to stage: its path as Terraform will see it, and its name. */
export interface Staged {
  readonly source: string;
  readonly file: string;
}

export class Spark extends Construct {
  readonly identity: Identity;
  /** What a function that starts batches may do, in the project where they run. */
  readonly submitter: CustomRole;
  readonly settings: SparkSettings;

  constructor(
    scope: Construct,
    id: string,
    options: {
      /** Where batches run; maybe not where the data is. */
      readonly project: Project;
      readonly environment: string;
      readonly region: string;
      readonly subnetRange: string;
      readonly maxExecutors: number;
      readonly ttlSeconds: number;
      /** Content of main file and modules: also the code version that batches record. */
      readonly version: string;
      readonly main: Staged;
      readonly modules: Staged;
      readonly jars: readonly Staged[];
      readonly hashKey: Secret;
      readonly buckets: Buckets;
    },
  ) {
    super(scope, id);
    const { project, region, buckets, hashKey } = options;
    const { code } = buckets;
    const { projectId } = project;
    this.identity = new Identity(this, 'spark-batches', {
      about: 'Spark batches',
      project: projectId,
    });
    this.submitter = new CustomRole(this, 'spark_submitter', {
      project: projectId,
      title: 'Starts and watches Spark batches',
      permissions: [
        'dataproc.batches.create',
        'dataproc.batches.get',
        'dataproc.batches.list',
        'dataproc.operations.get',
      ],
    });

    const network = new ComputeNetwork(this, 'network', {
      project: projectId,
      name: 'spark',
      autoCreateSubnetworks: false,
    });
    const subnet = new ComputeSubnetwork(this, 'subnet', {
      project: projectId,
      name: 'spark',
      region,
      network: network.id,
      ipCidrRange: options.subnetRange,
      // The only way out: Google's own services. There is no NAT, and no internet.
      privateIpGoogleAccess: true,
    });
    new ComputeFirewall(this, 'workers', {
      project: projectId,
      name: 'spark-workers',
      network: network.id,
      direction: 'INGRESS',
      sourceRanges: [options.subnetRange],
      allow: [{ protocol: 'tcp' }, { protocol: 'udp' }, { protocol: 'icmp' }],
    });
    const staging = new Bucket(this, 'staging', {
      name: `${projectId}-spark-staging`,
      location: region,
      project: projectId,
      purpose: 'spark-staging',
      softDeleteDays: 0,
      disposable: true,
      rules: [{ action: { type: 'Delete' }, condition: { age: 14 } }],
    });

    project.grant(this.identity, 'roles/dataproc.worker');
    staging.grant(this.identity, 'roles/storage.objectUser');
    code.grant(this.identity, 'roles/storage.objectViewer');
    buckets.bronze.grant(this.identity, 'roles/storage.objectViewer');
    buckets.control.grant(this.identity, 'roles/storage.objectViewer');
    // Manifests are created once and never changed: creating is all the job may do there.
    buckets.control.grant(this.identity, 'roles/storage.objectCreator', ['batches/', 'failures/']);
    buckets.lake.grant(this.identity, 'roles/storage.objectUser');
    buckets.rejected.grant(this.identity, 'roles/storage.objectUser');
    hashKey.grantRead(this.identity);

    const staged = (childId: string, folder: string, file: Staged) => {
      const object = new StorageBucketObject(this, childId, {
        bucket: code.name,
        name: `${folder}/${file.file}`,
        source: file.source,
        // Another version is another object. The one before is there until nobody starts batches
        // from it any more, and stays: a batch that was submitted has not read its files yet.
        lifecycle: { createBeforeDestroy: true },
        deletionPolicy: 'ABANDON',
      });
      return `gs://${code.name}/${object.name}`;
    };
    const folder = `jobs/${options.version}`;
    this.settings = {
      project: projectId,
      runtimeVersion: '2.3',
      serviceAccount: this.identity.email,
      subnetworkUri: subnet.id,
      stagingBucket: staging.name,
      mainPythonFileUri: staged('main', folder, options.main),
      pythonFileUris: [staged('modules', folder, options.modules)],
      jarFileUris: options.jars.map((jar) => staged(jar.file, 'jars', jar)),
      ttlSeconds: options.ttlSeconds,
      maxExecutors: options.maxExecutors,
      hashKeySecret: hashKey.name,
      properties: {
        'spark.sql.extensions': 'io.delta.sql.DeltaSparkSessionExtension',
        'spark.sql.catalog.spark_catalog': 'org.apache.spark.sql.delta.catalog.DeltaCatalog',
        'spark.sql.session.timeZone': 'UTC',
        // BigQuery takes microseconds; INT96 would be read as another instant by other readers.
        'spark.sql.parquet.outputTimestampType': 'TIMESTAMP_MICROS',
        // Never the runtime's own default, which has been 1000; adaptive execution joins small ones.
        'spark.sql.shuffle.partitions': String(options.maxExecutors * 8),
        'spark.dynamicAllocation.maxExecutors': String(options.maxExecutors),
      },
      labels: { environment: options.environment },
    };
  }
}
