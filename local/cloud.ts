/**
 * The local cloud: starts exactly what a synthesised stack declares, on this machine.
 *
 * State lies in one folder; whatever is stopped, at any point and in any way, goes on from there.
 *
 *   storage/ pubsub/ bigquery/ dataproc/    the services' own state
 *   functions/ logs/                        bundles and what they print
 *   secrets.json                            only readable by its owner
 *   cloud.json                              who runs on this folder, and the account's "today"
 *   endpoints.json                          where everything answers, while it runs
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { glob, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { storageObjects } from '../functions/clients/objects.ts';
import { type RunningBigquery, startBigquery } from './bigquery/server.ts';
import type { Drivers } from './dataproc/drivers.ts';
import { startDataproc } from './dataproc/server.ts';
import { type Declared, type DeclaredFunction, functionNames, readDeclared } from './declared.ts';
import { type Gate, openGate } from './functions.ts';
import { type Outside, type OutsideOptions, startOutside } from './outside/stand_ins.ts';
import { startPlatform } from './platform.ts';
import { processIdentity } from './process_identity.ts';
import { type PubsubServer, startPubsub } from './pubsub/server.ts';
import { Scheduler } from './scheduler.ts';
import { Secrets } from './secrets.ts';
import { type StorageServer, startStorage } from './storage/server.ts';

export interface CloudOptions extends OutsideOptions {
  /** `cdk.tf.json` of the environment. */
  readonly stack: string;
  /** Folder of the state. */
  readonly data: string;
  /** Forget the state of an earlier run first. */
  readonly fresh?: boolean;
  readonly spark: { readonly python: string; readonly jars: readonly string[] };
  readonly drivers?: 'warm' | 'process' | Drivers;
  /** Schedules fire only when somebody asks for it. */
  readonly quietSchedules?: boolean;
  /** Values of secrets are taken from here: `HUBSPOT_TOKEN` for `hubspot-token`. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly log?: (line: string) => void;
}

/** Where everything answers; `endpoints.json`. */
export interface CloudEndpoints {
  readonly pid: number;
  readonly data: string;
  readonly project: string;
  readonly region: string;
  readonly location: string;
  readonly environment: string;
  readonly buckets: Readonly<Record<string, string>>;
  readonly storage: string;
  readonly pubsub: string;
  /** `host:port` of the gRPC face, for the official client. */
  readonly pubsub_grpc: string;
  readonly bigquery: string;
  readonly dataproc: string;
  readonly secrets: string;
  readonly scheduler: string;
  readonly functions: Readonly<Record<string, string>>;
  readonly hubspot: string;
  readonly orders: string;
  /** The database's address without user and password; the secret has them. */
  readonly postgres: string;
}

/** The cloud cannot start; the message says what to do. */
export class CannotStart extends Error {
  override readonly name = 'CannotStart';
}

export interface Cloud {
  readonly endpoints: CloudEndpoints;
  readonly declared: Declared;
  readonly storage: StorageServer;
  readonly pubsub: PubsubServer;
  readonly scheduler: Scheduler;
  readonly outside: Outside;
  /** Process of a function, for tests that kill it. */
  functionPid(name: string): number | undefined;
  /** Resolves when a Spark batch could begin at once. */
  sparkReady(): Promise<void>;
  close(): Promise<void>;
}

const OWN_FILE = 'cloud.json';

interface Own {
  readonly pid: number | null;
  readonly born: string | null;
  /** The stand-in's "today" when it was first filled: the same account after every start. */
  readonly until: number;
}

export async function startCloud(options: CloudOptions): Promise<Cloud> {
  const data = resolve(options.data);
  const log = options.log ?? (() => {});
  const own = takeFolder(data, options.fresh === true);
  const closing: (() => Promise<unknown> | unknown)[] = [() => releaseFolder(data, own)];
  const close = async (): Promise<void> => {
    // In the opposite order: nothing loses what it still calls.
    for (const step of closing.splice(0).reverse()) await step();
  };
  try {
    return await startParts(options, data, own, log, closing, close);
  } catch (error) {
    await close();
    throw error;
  }
}

async function startParts(
  options: CloudOptions,
  data: string,
  own: Own,
  log: (line: string) => void,
  closing: (() => Promise<unknown> | unknown)[],
  close: () => Promise<void>,
): Promise<Cloud> {
  const gates = new Map<string, Gate>();
  closing.push(() => Promise.all([...gates.values()].map((gate) => gate.close())));
  for (const name of functionNames(options.stack)) gates.set(name, await openGate());
  const declared = readDeclared(options.stack, {
    functionUri: (name) => gates.get(name)?.url ?? '',
  });
  const { project, region } = declared;

  const pubsub = await startPubsub({ root: join(data, 'pubsub'), grants: declared.grants, log });
  closing.push(() => pubsub.close());
  // At once, before it can push to where the functions of an earlier life were: the gates are
  // open, and hold what comes until their functions are up.
  declareMessaging(pubsub, declared);
  const publish: PublishTo = (topic, message) => {
    pubsub.state.publish(topic, [{ ...message, orderingKey: '' }]);
    return pubsub.durable();
  };

  const storageRoot = join(data, 'storage');
  const storage = await startStorage({ root: storageRoot, publish, log });
  closing.push(() => storage.close());
  for (const bucket of declared.buckets) storage.state.buckets.declare(bucket);
  for (const { name } of declared.buckets) {
    storage.state.notifications.declare(name, declared.notifications[name] ?? []);
  }
  await storage.durable();
  const buckets = Object.fromEntries(
    declared.buckets.map(({ name }) => [name, join(storageRoot, name)]),
  );
  await upload(declared, storage.url);

  const location = declared.datasets[0]?.location ?? region;
  const bigquery = await startBigquery({
    projectId: project,
    file: join(ensured(join(data, 'bigquery')), 'bigquery.duckdb'),
    location,
    resolve: (uri) => filesOf(buckets, uri),
    threads: 2,
  });
  closing.push(() => bigquery.close());
  await declareTables(bigquery, declared);

  const dataproc = await startDataproc({
    folder: ensured(join(data, 'dataproc')),
    spark: { ...options.spark, buckets, scratch: ensured(join(data, 'dataproc', 'scratch')) },
    ...(options.drivers === undefined ? {} : { drivers: options.drivers }),
  });
  closing.push(() => dataproc.close());

  const outside = await startOutside(options, { data, until: own.until });
  closing.push(() => outside.close());
  const secrets = new Secrets(join(data, 'secrets.json'), declared.secrets, {
    ...options.environment,
    ...(outside.postgresUrl === '' ? {} : { SHOP_DATABASE_URL: outside.postgresUrl }),
  });
  const scheduler = new Scheduler({
    schedules: declared.schedules,
    publish,
    quiet: options.quietSchedules === true,
    log,
  });
  closing.push(() => scheduler.close());
  const platform = await startPlatform({
    project,
    region,
    secrets,
    scheduler,
    backlog: () =>
      Object.fromEntries(
        declared.subscriptions.map(({ name }) => [
          name.split('/').at(-1) ?? name,
          pubsub.state.backlog(name).unacknowledged,
        ]),
      ),
    about: { data, pid: process.pid },
  });
  closing.push(() => platform.close());

  const variables = {
    TRIBUTARY_ENDPOINTS: JSON.stringify({
      storage: storage.url,
      pubsub: pubsub.restUrl,
      pubsub_grpc: pubsub.grpcUrl,
      bigquery: bigquery.url,
      dataproc: dataproc.endpoint,
      secrets: platform.url,
    }),
    TRIBUTARY_HUBSPOT_URL: outside.hubspotUrl,
  };
  const logs = ensured(join(data, 'logs'));
  await Promise.all(
    declared.functions.map((one) =>
      gates.get(one.name)?.start(one, {
        zip: join(buckets[one.bucket] ?? '', one.object),
        folder: ensured(join(data, 'functions')),
        logFile: join(logs, `${one.name}.log`),
        // A variable that the function does not declare is none that it is given.
        variables: Object.fromEntries(
          Object.entries({ ...variables, ...apiOf(one, outside) }).filter(
            ([name]) => name in one.variables,
          ),
        ),
        log,
      }),
    ),
  );
  scheduler.start();

  const endpoints: CloudEndpoints = {
    pid: process.pid,
    data,
    project,
    region,
    location,
    environment: declared.functions[0]?.variables['TRIBUTARY_ENVIRONMENT'] ?? 'local',
    buckets: Object.fromEntries(
      declared.buckets.map(({ name, labels }) => [labels?.['purpose'] ?? name, name]),
    ),
    storage: storage.url,
    pubsub: pubsub.restUrl,
    pubsub_grpc: pubsub.grpcUrl,
    bigquery: bigquery.url,
    dataproc: dataproc.endpoint,
    secrets: platform.url,
    scheduler: platform.url,
    functions: Object.fromEntries([...gates].map(([name, { url }]) => [name, url])),
    hubspot: outside.hubspotUrl,
    orders: outside.ordersUrl,
    postgres: withoutCredentials(outside.postgresUrl),
  };
  writeWhole(join(data, 'endpoints.json'), endpoints);
  closing.push(() => rmSync(join(data, 'endpoints.json'), { force: true }));
  return {
    endpoints,
    declared,
    storage,
    pubsub,
    scheduler,
    outside,
    functionPid: (name) => gates.get(name)?.pid(),
    sparkReady: () => dataproc.ready(),
    close,
  };
}

function declareMessaging({ state }: PubsubServer, declared: Declared): void {
  const wanted = new Set(declared.subscriptions.map(({ name }) => name));
  for (const { name } of state.listSubscriptions(`projects/${declared.project}`)) {
    if (!wanted.has(name)) state.deleteSubscription(name);
  }
  for (const topic of declared.topics) state.declareTopic(topic);
  for (const subscription of declared.subscriptions) state.declareSubscription(subscription);
}

type PublishTo = (
  topic: string,
  message: { readonly data: Buffer; readonly attributes: Readonly<Record<string, string>> },
) => Promise<void>;

const ensured = (folder: string): string => {
  mkdirSync(folder, { recursive: true });
  return folder;
};

/** Renamed into place: whoever reads it meanwhile sees it whole. */
function writeWhole(file: string, value: unknown): void {
  writeFileSync(`${file}.new`, `${JSON.stringify(value, null, 2)}\n`);
  renameSync(`${file}.new`, file);
}

/** Folders that clouds of this very process run on. */
const taken = new Set<string>();

/** One cloud per folder. @throws CannotStart */
function takeFolder(data: string, fresh: boolean): Own {
  const file = join(data, OWN_FILE);
  let own: Own | null = null;
  if (existsSync(file)) {
    own = JSON.parse(readFileSync(file, 'utf8')) as Own;
    const same = own.pid !== null && processIdentity(own.pid) === own.born;
    if (same && (own.pid !== process.pid || taken.has(data))) {
      throw new CannotStart(
        `a local cloud already runs on ${data} (process ${own.pid}): stop it with Ctrl-C, or name another folder with --data`,
      );
    }
  } else if (existsSync(data) && readdirSync(data).some((name) => !name.startsWith('endpoints'))) {
    throw new CannotStart(
      `${data} holds files that are no local cloud's: name an empty folder with --data`,
    );
  }
  if (fresh && own !== null) {
    // The marker goes last: a removal that is cut off is taken up again.
    for (const name of readdirSync(data)) {
      if (name !== OWN_FILE) rmSync(join(data, name), { recursive: true, force: true });
    }
    own = null;
  }
  const mine = {
    pid: process.pid,
    born: processIdentity(process.pid),
    until: own?.until ?? Date.now(),
  };
  mkdirSync(data, { recursive: true });
  writeWhole(file, mine);
  taken.add(data);
  return mine;
}

function releaseFolder(data: string, own: Own): void {
  taken.delete(data);
  writeWhole(join(data, OWN_FILE), { ...own, pid: null, born: null });
}

/** Files the stack uploads; their names carry the hash of their content. */
async function upload(declared: Declared, endpoint: string): Promise<void> {
  const objects = storageObjects({ project: declared.project, endpoint });
  for (const { bucket, name, file, contentType } of declared.objects) {
    if (!existsSync(file)) {
      throw new CannotStart(`${file} is missing, which the stack uploads: run ./tributary synth`);
    }
    const bytes = await readFile(file);
    const there = await objects.stat(bucket, name);
    if (there !== null && (await sameContent(objects, there, bytes))) continue;
    await objects.write(bucket, name, bytes, {
      ifGeneration: there?.generation ?? '0',
      contentType,
    });
  }
}

async function sameContent(
  objects: ReturnType<typeof storageObjects>,
  there: { readonly bucket: string; readonly name: string; readonly size: number },
  bytes: Buffer,
): Promise<boolean> {
  if (there.size !== bytes.length) return false;
  return (await objects.read(there.bucket, there.name))?.bytes.equals(bytes) === true;
}

/** Local files behind an address of a load job; `*` stands for any text. */
async function filesOf(
  buckets: Readonly<Record<string, string>>,
  uri: string,
): Promise<readonly string[]> {
  const parts = /^gs:\/\/([^/]+)\/(.+)$/.exec(uri);
  const folder = buckets[parts?.[1] ?? ''];
  const name = parts?.[2];
  if (folder === undefined || name === undefined) return [];
  if (!name.includes('*')) return existsSync(join(folder, name)) ? [join(folder, name)] : [];
  const pattern = name.replaceAll(/[[\]{}?!()]/g, '\\$&').replaceAll('*', '**');
  const found: string[] = [];
  for await (const file of glob(pattern, { cwd: folder })) found.push(join(folder, file));
  return found.sort();
}

/** Datasets and tables as declared; a table that is there takes on the declared columns. */
async function declareTables({ url }: RunningBigquery, declared: Declared): Promise<void> {
  const datasets = `${url}/bigquery/v2/projects/${declared.project}/datasets`;
  const call = async (method: string, address: string, body: unknown): Promise<number> => {
    const answer = await fetch(address, {
      method,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok && answer.status !== 409) {
      throw new CannotStart(`the local BigQuery refused ${method} ${address}: ${text}`);
    }
    return answer.status;
  };
  for (const { id, resource, tables } of declared.datasets) {
    await call('POST', datasets, resource);
    for (const table of tables) {
      const created = await call('POST', `${datasets}/${id}/tables`, table);
      if (created !== 409) continue;
      const { tableId } = table['tableReference'] as { tableId: string };
      await call('PATCH', `${datasets}/${id}/tables/${tableId}`, table);
    }
  }
}

/** The orders API has a stand-in; other APIs are asked where their contract says. */
const apiOf = ({ name }: DeclaredFunction, { ordersUrl }: Outside) =>
  name === 'pull-orders-api' ? { TRIBUTARY_API_URL: ordersUrl } : {};

/** What people may see of a connection URL. */
function withoutCredentials(url: string): string {
  if (url === '') return '';
  const shown = new URL(url);
  shown.username = '';
  shown.password = '';
  return shown.href;
}
