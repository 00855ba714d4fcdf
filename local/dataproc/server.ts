/** Dataproc's gRPC face: what the official client calls (BatchController and Operations). */
import { randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import {
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type sendUnaryData,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { fromJSON } from '@grpc/proto-loader';
import { Journal } from '../journal.ts';
import { type Drivers, submitDrivers, warmDrivers } from './drivers.ts';
import type { SparkPlace } from './spark.ts';
import { type Batch, type BatchRequest, code, Dataproc, isFinal, Refusal } from './state.ts';

const require = createRequire(import.meta.url);

/** The classes of the client's package that encode messages into `google.protobuf.Any`. */
interface Encoder {
  fromObject(value: object): object;
  encode(message: object): { finish(): Uint8Array };
}
const { protos } = require('@google-cloud/dataproc') as {
  protos: { google: { cloud: { dataproc: { v1: Record<string, Encoder> } } } };
};

const any = (type: string, value: object): object => {
  const encoder = protos.google.cloud.dataproc.v1[type] as Encoder;
  return {
    type_url: `type.googleapis.com/google.cloud.dataproc.v1.${type}`,
    value: Buffer.from(encoder.encode(encoder.fromObject(value)).finish()),
  };
};

const timestamp = (ms: number): object => ({
  seconds: Math.floor(ms / 1000),
  nanos: (ms % 1000) * 1_000_000,
});

/** A batch as the API shows it. */
function shown(batch: Batch): object {
  const { request } = batch;
  return {
    name: batch.name,
    uuid: batch.uuid,
    createTime: timestamp(batch.createTime),
    pysparkBatch: {
      mainPythonFileUri: request.mainPythonFileUri,
      args: request.args,
      pythonFileUris: request.pythonFileUris,
      jarFileUris: request.jarFileUris,
    },
    runtimeInfo: { outputUri: batch.outputUri },
    state: batch.state,
    stateMessage: batch.stateMessage,
    stateTime: timestamp(batch.stateTime),
    creator: 'local',
    labels: request.labels,
    runtimeConfig: { version: request.runtimeVersion, properties: request.properties },
    environmentConfig: {
      executionConfig: {
        serviceAccount: request.serviceAccount,
        subnetworkUri: request.subnetworkUri,
        stagingBucket: request.stagingBucket,
        ...(request.ttlSeconds === null ? {} : { ttl: { seconds: request.ttlSeconds } }),
      },
    },
    operation: batch.operation,
    stateHistory: batch.history.map((past) => ({
      ...past,
      stateStartTime: timestamp(past.stateStartTime),
    })),
  };
}

function shownOperation(batch: Batch): object {
  const operation = {
    name: batch.operation,
    metadata: any('BatchOperationMetadata', {
      batch: batch.name,
      batchUuid: batch.uuid,
      createTime: timestamp(batch.createTime),
      operationType: 'BATCH',
      description: 'Batch',
      labels: batch.request.labels,
      ...(isFinal(batch.state) ? { doneTime: timestamp(batch.stateTime) } : {}),
    }),
    done: isFinal(batch.state),
  };
  if (batch.state === 'SUCCEEDED') return { ...operation, response: any('Batch', shown(batch)) };
  if (batch.state === 'CANCELLED')
    return { ...operation, error: { code: 1, message: 'Cancelled' } };
  if (batch.state === 'FAILED') {
    return { ...operation, error: { code: 10, message: batch.stateMessage } };
  }
  return operation;
}

interface WireBatch {
  readonly batch?: 'pysparkBatch' | 'sparkBatch' | 'sparkRBatch' | 'sparkSqlBatch';
  readonly labels: Readonly<Record<string, string>>;
  readonly pysparkBatch: {
    readonly mainPythonFileUri: string;
    readonly args: readonly string[];
    readonly pythonFileUris: readonly string[];
    readonly jarFileUris: readonly string[];
    readonly fileUris: readonly string[];
    readonly archiveUris: readonly string[];
  } | null;
  readonly runtimeConfig: {
    readonly version: string;
    readonly containerImage: string;
    readonly properties: Readonly<Record<string, string>>;
  } | null;
  readonly environmentConfig: {
    readonly executionConfig: {
      readonly serviceAccount: string;
      readonly subnetworkUri: string;
      readonly stagingBucket: string;
      readonly ttl: { readonly seconds: string } | null;
      readonly authenticationConfig: { readonly userWorkloadAuthenticationType: string } | null;
    } | null;
  } | null;
}

/** @throws Refusal for what this server does not run */
function requested(wire: WireBatch | null): BatchRequest {
  const python = wire?.pysparkBatch;
  if (wire === null || python == null) {
    throw new Refusal(code.unimplemented, 'only PySpark batches run locally');
  }
  if (python.fileUris.length + python.archiveUris.length > 0) {
    throw new Refusal(code.unimplemented, 'fileUris and archiveUris are not supported locally');
  }
  if (wire.runtimeConfig?.containerImage) {
    throw new Refusal(code.unimplemented, 'container images are not supported locally');
  }
  const execution = wire.environmentConfig?.executionConfig;
  return {
    labels: wire.labels,
    mainPythonFileUri: python.mainPythonFileUri,
    args: python.args,
    pythonFileUris: python.pythonFileUris,
    jarFileUris: python.jarFileUris,
    runtimeVersion: wire.runtimeConfig?.version ?? '',
    properties: wire.runtimeConfig?.properties ?? {},
    serviceAccount: execution?.serviceAccount ?? '',
    subnetworkUri: execution?.subnetworkUri ?? '',
    stagingBucket: execution?.stagingBucket ?? '',
    ttlSeconds: execution?.ttl == null ? null : Number(execution.ttl.seconds),
  };
}

/** Answers a call by a function that returns the response or throws a Refusal. */
const unary =
  <Q>(answer: (request: Q) => object) =>
  (call: ServerUnaryCall<Q, object>, reply: sendUnaryData<object>): void => {
    try {
      reply(null, answer(call.request));
    } catch (error) {
      const refused = error instanceof Refusal;
      const details = error instanceof Error ? error.message : String(error);
      reply({ code: refused ? error.code : 13, details });
    }
  };

const services = (dataproc: Dataproc): Readonly<Record<string, UntypedServiceImplementation>> => ({
  'google.cloud.dataproc.v1.BatchController': {
    CreateBatch: unary(
      (call: { parent: string; batchId: string; requestId: string; batch: WireBatch | null }) =>
        shownOperation(
          dataproc.create(call.parent, call.batchId, call.requestId, requested(call.batch)),
        ),
    ),
    GetBatch: unary((call: { name: string }) => shown(dataproc.get(call.name))),
    ListBatches: unary(
      (call: {
        parent: string;
        filter: string;
        orderBy: string;
        pageSize: number;
        pageToken: string;
      }) => {
        const { batches, nextPageToken } = dataproc.list(call.parent, call);
        return { batches: batches.map(shown), nextPageToken };
      },
    ),
    DeleteBatch: unary((call: { name: string }) => {
      dataproc.delete(call.name);
      return {};
    }),
  },
  'google.longrunning.Operations': {
    GetOperation: unary((call: { name: string }) => shownOperation(dataproc.operation(call.name))),
    CancelOperation: unary((call: { name: string }) => {
      dataproc.cancel(call.name);
      return {};
    }),
  },
});

export interface DataprocServer {
  /** `http://127.0.0.1:PORT`: gRPC without TLS. */
  readonly endpoint: string;
  /** Resolves when a batch could begin at once. */
  ready(): Promise<void>;
  /** Ends running batches (a later start finds them failed) and stops answering. */
  close(): Promise<void>;
}

/**
 * Starts Dataproc on a free port.
 * @param options `folder`: where batches are remembered; `drivers`: `warm` keeps one Spark driver,
 *   `process` starts spark-submit for every batch, or a runner of the caller's
 */
export async function startDataproc(options: {
  readonly folder: string;
  readonly spark: SparkPlace;
  readonly drivers?: 'warm' | 'process' | Drivers;
  readonly port?: number;
}): Promise<DataprocServer> {
  const journal = new Journal<{ name: string; batch: Batch | null }>(
    join(options.folder, 'batches.journal'),
  );
  const known = new Map<string, Batch>();
  for (const { name, batch } of journal.entries()) {
    if (batch === null) known.delete(name);
    else known.set(name, batch);
  }
  journal.rewrite([...known].map(([name, batch]) => ({ name, batch })));
  const chosen = options.drivers ?? 'warm';
  const drivers =
    chosen === 'warm'
      ? warmDrivers(options.spark)
      : chosen === 'process'
        ? submitDrivers(options.spark)
        : chosen;
  const dataproc = new Dataproc(
    {
      now: Date.now,
      after: (ms, call) => {
        // A timer holds 32 bits of milliseconds: longer ones would fire at once.
        const timer = setTimeout(call, Math.min(ms, 2 ** 31 - 1));
        timer.unref();
        return () => clearTimeout(timer);
      },
      uuid: randomUUID,
      start: (batch) => drivers.start(batch),
      remember: (name, batch) => journal.append({ name, batch }),
      parallel: 1,
    },
    known.values(),
  );
  const server = new Server();
  const definition = fromJSON(require('@google-cloud/dataproc/build/protos/protos.json'), {
    longs: String,
    enums: String,
    defaults: true,
    arrays: true,
    objects: true,
    oneofs: true,
  });
  for (const [name, implementation] of Object.entries(services(dataproc))) {
    server.addService(definition[name] as never, implementation);
  }
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(
      `127.0.0.1:${options.port ?? 0}`,
      ServerCredentials.createInsecure(),
      (error, bound) => (error === null ? resolve(bound) : reject(error)),
    );
  });
  return {
    endpoint: `http://127.0.0.1:${port}`,
    ready: () => drivers.ready(),
    close: async () => {
      server.forceShutdown();
      // Both at once: a driver that ends while batches still begin would be replaced.
      await Promise.all([dataproc.close(), drivers.close()]);
      await journal.close();
    },
  };
}
