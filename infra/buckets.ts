/** The buckets of an environment, by purpose. */
import type { Construct } from 'constructs';
import { Bucket } from './bucket.ts';
import type { Environment } from './environment.ts';

export interface Buckets {
  /** What sources sent, byte for byte. */
  readonly bronze: Bucket;
  /** Manifests, ledgers, checkpoints. */
  readonly control: Bucket;
  /** Silver and gold. */
  readonly lake: Bucket;
  /** Files that people and systems put in. */
  readonly inbox: Bucket;
  /** Refused records as they came: restricted, and not for ever. */
  readonly rejected: Bucket;
  /** What is deployed: zips of functions, files of the Spark job. */
  readonly code: Bucket;
}

export function makeBuckets(scope: Construct, environment: Environment): Buckets {
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
          // Rows of `ops` on their way into BigQuery, and marks of runs that brought nothing; the
          // manifests that both were made of stay.
          action: { type: 'Delete' },
          condition: { age: 30, matchesPrefix: ['staging/', 'empty/'] },
        },
      ],
    }),
    lake: new Bucket(scope, 'lake', {
      ...common,
      name: `${project}-lake`,
      purpose: 'lake',
      softDeleteDays: 7,
    }),
    inbox: new Bucket(scope, 'inbox', {
      ...common,
      name: `${project}-inbox`,
      purpose: 'inbox',
      versioned: true,
      softDeleteDays: 7,
      // What was landed lies in bronze, byte for byte.
      rules: [{ action: { type: 'Delete' }, condition: { age: 90 } }],
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
      disposable: true,
    }),
  };
}
