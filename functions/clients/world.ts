/** The world a deployed function gets: Google's services, the network, the clock. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config.ts';
import { Permanent } from '../errors.ts';
import { log } from '../log.ts';
import type { Batches, World } from '../world.ts';
import { dataprocBatches } from './batches.ts';
import { wholeFetch } from './fetch.ts';
import { storageObjects } from './objects.ts';
import { postgresDatabase } from './postgres.ts';
import { pubsubQueue } from './queue.ts';
import { managedSecrets } from './secrets.ts';
import { pubsubSubscriptions } from './subscriptions.ts';
import { bigqueryWarehouse } from './warehouse.ts';

/**
 * What a stage asks the warehouse reads a few days of small tables. A question that would read more
 * than this is a mistake, and refused before it costs anything.
 */
const MOST_BYTES_BILLED = String(100 * 2 ** 30);

/** Nothing connects before it is used; the heavy SDKs are not even read before that. */
export function deployedWorld(config: Config): World {
  const { project, region, location, endpoints, spark } = config;
  return {
    objects: storageObjects({ project, ...at(endpoints.storage) }),
    queue: pubsubQueue({ project, ...at(endpoints.pubsub) }),
    subscriptions: pubsubSubscriptions({ project, ...at(endpoints.pubsub_grpc) }),
    postgres: postgresDatabase({ secret: config.database.secret }),
    secrets: managedSecrets({ project, ...at(endpoints.secrets) }),
    warehouse: bigqueryWarehouse({
      projectId: project,
      location,
      maximumBytesBilled: MOST_BYTES_BILLED,
      ...(endpoints.bigquery === undefined ? {} : { apiEndpoint: endpoints.bigquery }),
    }),
    batches:
      spark === null
        ? withoutBatches
        : dataprocBatches({
            project: spark.project ?? project,
            region,
            spark,
            ...at(endpoints.dataproc),
          }),
    fetch: wholeFetch,
    clock: {
      now: () => Date.now(),
      sleep: (ms) => sleep(ms),
    },
    random: {
      next: () => randomBytes(4).readUInt32BE() / 2 ** 32,
      id: () => randomBytes(8).toString('hex'),
    },
    log,
  };
}

const at = (endpoint: string | undefined): { readonly endpoint?: string } =>
  endpoint === undefined ? {} : { endpoint };

const none = (): never => {
  throw new Permanent({
    code: 'no_batches',
    message: 'this function has no Spark settings (TRIBUTARY_SPARK), so it cannot submit batches',
  });
};

const withoutBatches: Batches = { create: none, state: none };
