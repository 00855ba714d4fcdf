/**
 * The local services that functions need, in a process of their own:
 *
 *   node bench/parts/services.ts ROOT [BUCKET...]     prints {url of each} as one line, ends on SIGTERM
 *
 * Storage, BigQuery and Pub/Sub are the project's own local servers, on disk and synced as ever.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { allocator, drainedSubscription, type FunctionSettings } from '../../functions/settings.ts';
import { startBigquery } from '../../local/bigquery/server.ts';
import { type PubsubServer, startPubsub } from '../../local/pubsub/server.ts';
import { startStorage } from '../../local/storage/server.ts';
import { bigqueryColumns } from '../../schemas/derive/bigquery.ts';
import { catalog } from '../../schemas/rendered/catalog.ts';
import { inRoot } from '../../scripts/place.ts';
import { startProgram } from './program.ts';

export const PROJECT = 'bench';
const LOCATION = 'EU';
export const buckets = {
  bronze: 'bench-bronze',
  control: 'bench-control',
  lake: 'bench-lake',
  rejected: 'bench-rejected',
  inbox: 'bench-inbox',
} as const;

export interface Services {
  readonly storage: string;
  readonly pubsub: string;
  readonly pubsubGrpc: string;
  readonly bigquery: string;
  readonly secrets: string;
}

/** Starts them as a program. @param more buckets beside the usual ones */
export async function startServices(
  root: string,
  more: readonly string[] = [],
): Promise<{ readonly at: Services; readonly pid: number; close(): Promise<void> }> {
  const { said, pid, close } = await startProgram(inRoot('bench/parts/services.ts'), [
    root,
    ...more,
  ]);
  return { at: said as unknown as Services, pid, close };
}

/** The variables a function is deployed with, pointing at these services. */
export function variablesOf(
  settings: FunctionSettings,
  at: Services,
  hubspot: string,
): Readonly<Record<string, string>> {
  const { storage, pubsub, pubsubGrpc, bigquery, secrets } = at;
  const all: Readonly<Record<string, string>> = {
    TRIBUTARY_PROJECT: PROJECT,
    TRIBUTARY_REGION: 'europe-west1',
    TRIBUTARY_LOCATION: LOCATION,
    TRIBUTARY_ENVIRONMENT: 'bench',
    TRIBUTARY_BUCKET_BRONZE: buckets.bronze,
    TRIBUTARY_BUCKET_CONTROL: buckets.control,
    TRIBUTARY_BUCKET_LAKE: buckets.lake,
    TRIBUTARY_BUCKET_REJECTED: buckets.rejected,
    TRIBUTARY_BUCKET_INBOX: buckets.inbox,
    TRIBUTARY_API_URL: hubspot,
    TRIBUTARY_API_SECRET: settings.secret ?? '',
    TRIBUTARY_DATABASE_SECRET: settings.secret ?? '',
    TRIBUTARY_COLLECT: JSON.stringify({ origins: ['*'], requestsPerMinute: 1e9 }),
    TRIBUTARY_HUBSPOT_URL: hubspot,
    TRIBUTARY_HUBSPOT_SECRET: 'hubspot-token',
    TRIBUTARY_HUBSPOT_DAILY_SHARE: '1',
    TRIBUTARY_SPARK: JSON.stringify({ properties: {}, labels: {} }),
    TRIBUTARY_ENDPOINTS: JSON.stringify({
      storage,
      pubsub,
      pubsub_grpc: pubsubGrpc,
      bigquery,
      secrets,
    }),
  };
  const own = settings.variables.map((name) => [name, all[name] ?? ''] as const);
  return { ...Object.fromEntries(own), ...allocator };
}

async function serve(root: string, more: readonly string[]): Promise<void> {
  const storage = await startStorage({ root: join(root, 'storage') });
  for (const name of [...Object.values(buckets), ...more]) storage.state.buckets.declare({ name });
  const pubsub = await startPubsub({ root: join(root, 'pubsub') });
  pubsub.state.declareTopic({ name: `projects/${PROJECT}/topics/pull-hubspot` });
  declareDrained(pubsub);
  const bigquery = await startBigquery({
    projectId: PROJECT,
    location: LOCATION,
    resolve: () => [],
  });
  await createTables(bigquery.url);
  const secrets = createServer((_request, response) => {
    const data = Buffer.from('bench-token').toString('base64');
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ payload: { data } }));
  });
  await new Promise<void>((resolve) => secrets.listen(0, '127.0.0.1', resolve));
  const at: Services = {
    storage: storage.url,
    pubsub: pubsub.restUrl,
    pubsubGrpc: pubsub.grpcUrl,
    bigquery: bigquery.url,
    secrets: `http://127.0.0.1:${(secrets.address() as AddressInfo).port}`,
  };
  process.stdout.write(`${JSON.stringify(at)}\n`);
  process.once('SIGTERM', async () => {
    secrets.close();
    secrets.closeAllConnections();
    await Promise.all([storage.close(), pubsub.close(), bigquery.close()]);
  });
}

/** Topics that sources arrive on, each with its own subscription, as the stack declares them. */
function declareDrained({ state }: PubsubServer): void {
  state.declareTopic({ name: `projects/${PROJECT}/topics/drain` });
  for (const { arrives } of Object.values(catalog.sources)) {
    if (arrives.kind !== 'pubsub_messages') continue;
    const topic = `projects/${PROJECT}/topics/${arrives.topic}`;
    state.declareTopic({ name: topic });
    state.declareSubscription({
      name: `projects/${PROJECT}/subscriptions/${drainedSubscription(arrives.topic)}`,
      topic,
      ackDeadlineSeconds: 180,
    });
  }
}

/** The tables that contracts declare, empty: what the sweep and the reconciliation ask. */
async function createTables(url: string): Promise<void> {
  const datasets = `${url}/bigquery/v2/projects/${PROJECT}/datasets`;
  const create = async (at: string, resource: unknown): Promise<void> => {
    const answer = await fetch(at, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(resource),
    });
    if (!answer.ok) throw new Error(await answer.text());
  };
  const names = new Set(Object.keys(catalog.tables).map((name) => name.split('.')[0] as string));
  for (const datasetId of names) {
    await create(datasets, {
      datasetReference: { projectId: PROJECT, datasetId },
      location: LOCATION,
    });
  }
  for (const [name, contract] of Object.entries(catalog.tables)) {
    const [datasetId, tableId] = name.split('.');
    await create(`${datasets}/${datasetId}/tables`, {
      tableReference: { projectId: PROJECT, datasetId, tableId },
      schema: { fields: bigqueryColumns(contract) },
    });
  }
}

if (import.meta.main) {
  const [root = '', ...more] = process.argv.slice(2);
  await serve(root, more);
}
