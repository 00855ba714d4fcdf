import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { protos, v1 } from '@google-cloud/dataproc';
import { credentials } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createBatchRequest, dataprocBatches } from '../../../functions/clients/batches.ts';
import type { SparkSettings } from '../../../functions/settings.ts';
import { type DataprocServer, startDataproc } from '../../../local/dataproc/server.ts';
import type { Batch, Ended } from '../../../local/dataproc/state.ts';

const spark: SparkSettings = {
  runtimeVersion: '2.3',
  serviceAccount: 'spark@p.iam.gserviceaccount.com',
  subnetworkUri: 'projects/p/regions/europe-west1/subnetworks/spark',
  stagingBucket: 'p-staging',
  mainPythonFileUri: 'gs://p-code/abc/transform.py',
  pythonFileUris: ['gs://p-code/abc/jobs.zip'],
  jarFileUris: ['gs://p-code/delta-spark_2.13-3.3.2.jar'],
  ttlSeconds: 3600,
  maxExecutors: 4,
  hashKeySecret: 'hash-key',
  properties: { 'spark.sql.shuffle.partitions': '16' },
  labels: { domain: 'email' },
};
const place = { project: 'p', region: 'europe-west1', spark };

let folder: string;
let server: DataprocServer;
const started: Batch[] = [];
let result: Ended = { exitCode: 0, message: '' };
let hold: Promise<void> = Promise.resolve();

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dataproc-'));
  server = await startDataproc({
    folder,
    spark: { python: 'none', jars: [], buckets: {}, scratch: folder },
    drivers: {
      start: (batch) => {
        started.push(batch);
        return { ended: hold.then(() => result), stop: () => {} };
      },
      ready: async () => {},
      close: async () => {},
    },
  });
});
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

const batches = () => dataprocBatches({ ...place, endpoint: server.endpoint });

describe('batches', () => {
  it('asks for exactly this', () => {
    expect(createBatchRequest(place, 'email-7-2', ['--domain', 'email'])).toEqual({
      parent: 'projects/p/locations/europe-west1',
      batchId: 'email-7-2',
      requestId: 'email-7-2',
      batch: {
        labels: { domain: 'email' },
        pysparkBatch: {
          mainPythonFileUri: 'gs://p-code/abc/transform.py',
          args: ['--domain', 'email'],
          pythonFileUris: ['gs://p-code/abc/jobs.zip'],
          jarFileUris: ['gs://p-code/delta-spark_2.13-3.3.2.jar'],
        },
        runtimeConfig: {
          version: '2.3',
          properties: {
            'spark.sql.shuffle.partitions': '16',
            'spark.dynamicAllocation.maxExecutors': '4',
          },
        },
        environmentConfig: {
          executionConfig: {
            serviceAccount: 'spark@p.iam.gserviceaccount.com',
            subnetworkUri: 'projects/p/regions/europe-west1/subnetworks/spark',
            stagingBucket: 'p-staging',
            ttl: { seconds: 3600 },
            authenticationConfig: { userWorkloadAuthenticationType: 'SERVICE_ACCOUNT' },
          },
        },
      },
    });
  });

  it('reaches the service whole, once per id', async () => {
    expect(await batches().create('email-1-1', { args: ['--claim', 'c.json'] })).toBe('created');
    await batches().create('email-1-1', { args: ['--claim', 'c.json'] });
    await expect.poll(() => batches().state('email-1-1')).toEqual({ state: 'succeeded' });
    expect(started.map(({ request }) => request)).toEqual([
      {
        labels: { domain: 'email' },
        mainPythonFileUri: 'gs://p-code/abc/transform.py',
        args: ['--claim', 'c.json'],
        pythonFileUris: ['gs://p-code/abc/jobs.zip'],
        jarFileUris: ['gs://p-code/delta-spark_2.13-3.3.2.jar'],
        runtimeVersion: '2.3',
        properties: {
          'spark.sql.shuffle.partitions': '16',
          'spark.dynamicAllocation.maxExecutors': '4',
        },
        serviceAccount: 'spark@p.iam.gserviceaccount.com',
        subnetworkUri: 'projects/p/regions/europe-west1/subnetworks/spark',
        stagingBucket: 'p-staging',
        ttlSeconds: 3600,
      },
    ]);
  });

  it('calls a batch that is not there missing, and one that waits pending', async () => {
    expect(await batches().state('email-99-1')).toEqual({ state: 'missing' });
    const { promise, resolve } = Promise.withResolvers<void>();
    hold = promise;
    await batches().create('email-2-1', { args: [] });
    await batches().create('email-3-1', { args: [] });
    expect(await batches().state('email-2-1')).toEqual({ state: 'running' });
    expect(await batches().state('email-3-1')).toEqual({ state: 'pending' });
    resolve();
    await expect.poll(() => batches().state('email-3-1')).toEqual({ state: 'succeeded' });
  });

  it('tells why a batch failed', async () => {
    result = { exitCode: 1, message: 'no such column' };
    await batches().create('email-4-1', { args: [] });
    await expect
      .poll(() => batches().state('email-4-1'))
      .toEqual({
        state: 'failed',
        message: 'Job failed with exit code 1: no such column',
        ran: true,
      });
    result = { exitCode: 0, message: '' };
  });

  it('does not try again what the service refuses', async () => {
    await expect(batches().create('Email_5', { args: [] })).rejects.toMatchObject({
      name: 'Permanent',
      code: 'dataproc_3',
    });
  });

  it('says try again when nobody answers', async () => {
    const nobody = dataprocBatches({ ...place, endpoint: 'http://127.0.0.1:9', patienceMs: 500 });
    await expect(nobody.state('email-1-1')).rejects.toMatchObject({ name: 'Transient' });
  });

  it('serves what other users of the official client call', async () => {
    const { hostname, port } = new URL(server.endpoint);
    const client = new v1.BatchControllerClient({
      apiEndpoint: hostname,
      port: Number(port),
      sslCreds: credentials.createInsecure(),
      projectId: 'p',
    });
    const parent = 'projects/p/locations/europe-west1';
    const request = createBatchRequest(place, 'email-6-1', []);
    const [operation] = await client.createBatch(request);
    const [batch] = await operation.promise();
    const { SUCCEEDED } = protos.google.cloud.dataproc.v1.Batch.State;
    expect(batch).toMatchObject({ name: `${parent}/batches/email-6-1`, state: SUCCEEDED });
    const elsewhere = { ...request, requestId: 'another-request' };
    await expect(client.createBatch(elsewhere)).rejects.toMatchObject({ code: 6 });
    const [found] = await client.listBatches({ parent, filter: 'batch_id = email-6-1' });
    expect(found).toHaveLength(1);
    await client.deleteBatch({ name: `${parent}/batches/email-6-1` });
    const gone = client.getBatch({ name: `${parent}/batches/email-6-1` });
    await expect(gone).rejects.toMatchObject({ code: 5 });
    await client.close();
  });
});
