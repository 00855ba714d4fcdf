/**
 * Spark batches on Dataproc Serverless through the official client, loaded with the first call:
 * executing it costs a quarter of a second that most invocations do not need.
 */
import type { protos, v1 } from '@google-cloud/dataproc';
import { Permanent, Transient } from '../errors.ts';
import type { SparkSettings } from '../settings.ts';
import type { Batches, BatchState } from '../world.ts';
import { isPlain } from './google_rest.ts';

type Client = v1.BatchControllerClient;
type CreateBatchRequest = protos.google.cloud.dataproc.v1.ICreateBatchRequest;

/** gRPC status codes. */
const DEADLINE_EXCEEDED = 4;
const NOT_FOUND = 5;
const ALREADY_EXISTS = 6;
const RESOURCE_EXHAUSTED = 8;
const ABORTED = 10;
const INTERNAL = 13;
const UNAVAILABLE = 14;

const passing = [2, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, INTERNAL, UNAVAILABLE];

/** The client retries no method of batches by itself; ids make repeating harmless (gcp.md 4.1). */
const callOptions = (patienceMs: number) => ({
  retry: {
    retryCodes: [UNAVAILABLE, DEADLINE_EXCEEDED],
    backoffSettings: {
      initialRetryDelayMillis: 300,
      retryDelayMultiplier: 2,
      maxRetryDelayMillis: 8_000,
      initialRpcTimeoutMillis: 20_000,
      rpcTimeoutMultiplier: 1,
      maxRpcTimeoutMillis: 20_000,
      totalTimeoutMillis: patienceMs,
    },
  },
});

export interface BatchPlace {
  readonly project: string;
  readonly region: string;
  readonly spark: SparkSettings;
  /** Default: the region's public endpoint. */
  readonly endpoint?: string;
  /** How long one call is tried again; default 40 s, well within a function's time. */
  readonly patienceMs?: number;
}

/** The whole request for one batch: everything that decides where and how it runs. */
export function createBatchRequest(
  { project, region, spark }: BatchPlace,
  id: string,
  args: readonly string[],
): CreateBatchRequest {
  return {
    parent: `projects/${project}/locations/${region}`,
    batchId: id,
    requestId: id,
    batch: {
      labels: { ...spark.labels },
      pysparkBatch: {
        mainPythonFileUri: spark.mainPythonFileUri,
        args: [...args],
        pythonFileUris: [...spark.pythonFileUris],
        jarFileUris: [...spark.jarFileUris],
      },
      runtimeConfig: {
        version: spark.runtimeVersion,
        properties: {
          ...spark.properties,
          'spark.dynamicAllocation.maxExecutors': String(spark.maxExecutors),
        },
      },
      environmentConfig: {
        executionConfig: {
          serviceAccount: spark.serviceAccount,
          subnetworkUri: spark.subnetworkUri,
          stagingBucket: spark.stagingBucket,
          ttl: { seconds: spark.ttlSeconds },
          // Later runtimes would run as whoever submits.
          authenticationConfig: { userWorkloadAuthenticationType: 'SERVICE_ACCOUNT' },
        },
      },
    },
  };
}

async function connect({ project, region, endpoint }: BatchPlace): Promise<Client> {
  const { v1: api, credentials } = await import('./dataproc_sdk.ts');
  if (endpoint === undefined) {
    return new api.BatchControllerClient({ apiEndpoint: `${region}-dataproc.googleapis.com` });
  }
  const { hostname, port } = new URL(endpoint);
  if (!isPlain(endpoint)) {
    return new api.BatchControllerClient({ apiEndpoint: hostname, port: Number(port || 443) });
  }
  return new api.BatchControllerClient({
    apiEndpoint: hostname,
    port: Number(port || 80),
    sslCreds: credentials.createInsecure(),
    projectId: project,
  });
}

const codeOf = (error: unknown): number => Number((error as { code?: unknown }).code ?? -1);

function failure(about: string, error: unknown): Transient | Permanent {
  const code = codeOf(error);
  const message = `${about}: ${error instanceof Error ? error.message : String(error)}`;
  const detail = { code: `dataproc_${code}`, message, cause: error };
  return passing.includes(code) ? new Transient(detail) : new Permanent(detail);
}

function stateOf(batch: protos.google.cloud.dataproc.v1.IBatch): BatchState {
  const message = batch.stateMessage || 'no reason given';
  const ran = (batch.stateHistory ?? []).some(({ state }) => state === 'RUNNING');
  switch (batch.state) {
    case 'SUCCEEDED':
      return { state: 'succeeded' };
    case 'FAILED':
      return { state: 'failed', message, ran };
    case 'CANCELLED':
      return { state: 'cancelled', message, ran };
    case 'RUNNING':
    case 'CANCELLING':
      return { state: 'running' };
    default:
      return { state: 'pending' };
  }
}

export function dataprocBatches(place: BatchPlace): Batches {
  const options = callOptions(place.patienceMs ?? 40_000);
  let connecting: Promise<Client> | undefined;
  const client = (): Promise<Client> => {
    connecting ??= connect(place);
    return connecting;
  };
  return {
    create: async (id, { args }) => {
      const request = createBatchRequest(place, id, args);
      try {
        // The operation is not awaited: the batch's manifest tells when it is done.
        await (await client()).createBatch(request, options);
        return 'created';
      } catch (error) {
        if (codeOf(error) === ALREADY_EXISTS) return 'exists';
        throw failure(`creating the batch ${id}`, error);
      }
    },
    state: async (id) => {
      const name = `projects/${place.project}/locations/${place.region}/batches/${id}`;
      try {
        const [batch] = await (await client()).getBatch({ name }, options);
        return stateOf(batch);
      } catch (error) {
        if (codeOf(error) === NOT_FOUND) return { state: 'missing' };
        throw failure(`asking for the batch ${id}`, error);
      }
    },
  };
}
