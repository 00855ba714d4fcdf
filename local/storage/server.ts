/**
 * The wire face of the local Cloud Storage: the JSON API as @google-cloud/storage speaks it with
 * `new Storage({ apiEndpoint: url, projectId })`.
 *
 *   const storage = await startStorage({ root, publish });
 *   storage.url, storage.state (to declare buckets and notifications), await storage.close()
 *
 * A change is answered when it is on the disk. Notifications are owed from the same step on and
 * given to `publish` until it succeeds, across restarts.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { Journal } from '../journal.ts';
import { listen } from '../loopback.ts';
import { DiskBlobs, PRIVATE_FOLDER } from './disk.ts';
import { download } from './download.ts';
import { StorageError } from './errors.ts';
import type { ListOptions } from './listing.ts';
import type { Entry } from './memory.ts';
import type { ObjectPatch } from './objects.ts';
import { NotificationPump, type Publish } from './pump.ts';
import {
  answer,
  claimedChecksums,
  type Exchange,
  objectFields,
  preconditions,
  readJson,
  readOptions,
  wholeNumber,
} from './request.ts';
import type { BucketConfig } from './resource.ts';
import { StorageState } from './state.ts';
import { Uploads } from './upload.ts';

export interface StorageServerOptions {
  /** Folder of the buckets: objects are files `root/<bucket>/<name>`. */
  readonly root: string;
  /** Default: any free port. */
  readonly port?: number;
  /** Delivers a notification; a rejection means "try again". Default: notifications stay owed. */
  readonly publish?: Publish;
  readonly clock?: { now(): number };
  readonly log?: (message: string) => void;
}

export interface StorageServer {
  /** `http://127.0.0.1:PORT`, the client's `apiEndpoint`. */
  readonly url: string;
  readonly state: StorageState;
  /** Resolves when every change made on `state` so far is on the disk. */
  readonly durable: () => Promise<void>;
  readonly close: () => Promise<void>;
}

const COMPACT_AT = 64 << 20;

export async function startStorage(options: StorageServerOptions): Promise<StorageServer> {
  const clock = options.clock ?? { now: () => Date.now() };
  const log = options.log ?? ((message) => console.error(message));
  const blobs = new DiskBlobs(options.root);
  const journal = new Journal<Entry>(join(options.root, PRIVATE_FOLDER, 'journal'));
  let compacted = 0;
  const state: StorageState = new StorageState({
    clock,
    blobs,
    entries: journal.entries(),
    record: (entry) => journal.append(entry),
    onOwed: () => pump?.wake(),
  });
  const compact = (): void => {
    journal.rewrite(state.entries());
    compacted = journal.size;
  };
  compact();
  blobs.clean();
  const durable = async (): Promise<void> => {
    if (journal.size > Math.max(COMPACT_AT, 4 * compacted)) compact();
    await journal.durable();
  };
  const pump = options.publish && new NotificationPump(state, options.publish, log);
  const uploads = new Uploads(blobs, clock);
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const search = (request.url ?? '').split('?').slice(1).join('?');
    const query = new URLSearchParams(search);
    await route({ request, response, query, state, durable }, uploads);
  };
  const server = createServer((request, response) => {
    serve(request, response).catch((error: unknown) => refuse(request, response, error, log));
  });
  server.keepAliveTimeout = 60_000;
  server.requestTimeout = 0;
  const listening = await listen(server, options.port);
  const { url } = listening;
  state.baseUrl = url;
  pump?.wake();
  const close = async (): Promise<void> => {
    await pump?.close();
    await listening.close();
    uploads.close();
    await journal.close();
  };
  return { url, state, durable, close };
}

function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  error: unknown,
  log: (message: string) => void,
): void {
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  // The rest of an upload that is refused early is read and dropped, so that the client sees why.
  request.resume();
  if (error instanceof StorageError) {
    if (error.status === 304) response.writeHead(304).end();
    else answer(response, error.status, error.body());
    return;
  }
  if (request.destroyed && !request.complete) return;
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
    // Another process removed the file between our look and our reading.
    const gone = new StorageError(404, 'notFound', 'No such object: it was removed meanwhile');
    answer(response, gone.status, gone.body());
    return;
  }
  const message = error instanceof Error ? error.message : String(error);
  log(`storage: ${request.method} ${request.url}: ${message}`);
  const body = new StorageError(500, 'backendError', `Internal error: ${message}`).body();
  answer(response, 500, body);
}

const notFound = (): StorageError => new StorageError(404, 'notFound', 'Not Found');

async function route(exchange: Exchange, uploads: Uploads): Promise<void> {
  const path = (exchange.request.url ?? '/').split('?')[0] ?? '/';
  const parts = path.split('/').slice(1);
  let upload = false;
  let media = exchange.query.get('alt') === 'media';
  if (parts[0] === 'upload' || parts[0] === 'resumable') upload = parts.shift() !== undefined;
  else if (parts[0] === 'download') media = parts.shift() !== undefined;
  if (parts[0] !== 'storage' || parts[1] !== 'v1' || parts[2] !== 'b') throw notFound();
  let names: readonly string[];
  try {
    names = parts.slice(3).map((part) => decodeURIComponent(part));
  } catch {
    throw new StorageError(400, 'invalid', 'The URL is not valid.');
  }
  const [bucket, kind, ...rest] = names;
  if (upload) {
    if (bucket === undefined || kind !== 'o') throw notFound();
    return uploads.handle(exchange, bucket);
  }
  if (bucket === undefined || bucket === '') return buckets(exchange);
  if (kind === undefined) return oneBucket(exchange, bucket);
  if (kind === 'notificationConfigs') return notifications(exchange, bucket, rest[0]);
  if (kind !== 'o') throw notFound();
  if (rest.length === 0) return list(exchange, bucket);
  const [name = '', verb] = rest;
  const { method } = exchange.request;
  if (method === 'POST' && rest.length === 2 && verb === 'compose') {
    return compose(exchange, bucket, name);
  }
  if (method === 'POST' && rest.length === 6 && (verb === 'copyTo' || verb === 'rewriteTo')) {
    return copy(exchange, { bucket, name }, rest[3] ?? '', rest[5] ?? '', verb);
  }
  const whole = rest.join('/');
  if (media && (method === 'GET' || method === 'HEAD')) return download(exchange, bucket, whole);
  return oneObject(exchange, bucket, whole);
}

const wrongMethod = (): StorageError =>
  new StorageError(405, 'methodNotAllowed', 'The method is not supported for this resource.');

async function buckets({ request, response, query, state, durable }: Exchange): Promise<void> {
  if (request.method === 'GET') {
    const items = state.buckets.list(query.get('prefix') ?? '');
    answer(response, 200, { kind: 'storage#buckets', items });
  } else if (request.method === 'POST') {
    const resource = state.buckets.insert((await readJson(request)) as unknown as BucketConfig);
    await durable();
    answer(response, 200, resource);
  } else throw wrongMethod();
}

async function oneBucket(exchange: Exchange, bucket: string): Promise<void> {
  const { request, response, query, state, durable } = exchange;
  const conditions = preconditions(query);
  if (request.method === 'GET') {
    answer(response, 200, state.buckets.get(bucket, conditions));
  } else if (request.method === 'PATCH' || request.method === 'PUT') {
    const resource = state.buckets.patch(bucket, await readJson(request), conditions);
    await durable();
    answer(response, 200, resource);
  } else if (request.method === 'DELETE') {
    state.buckets.remove(bucket, conditions);
    await durable();
    answer(response, 204);
  } else throw wrongMethod();
}

async function notifications(
  { request, response, state, durable }: Exchange,
  bucket: string,
  id: string | undefined,
): Promise<void> {
  if (id === undefined && request.method === 'GET') {
    const items = state.notifications.list(bucket);
    answer(response, 200, { kind: 'storage#notifications', items });
  } else if (id === undefined && request.method === 'POST') {
    const resource = state.notifications.insert(bucket, await readJson(request));
    await durable();
    answer(response, 200, resource);
  } else if (id !== undefined && request.method === 'GET') {
    answer(response, 200, state.notifications.get(bucket, id));
  } else if (id !== undefined && request.method === 'DELETE') {
    state.notifications.remove(bucket, id);
    await durable();
    answer(response, 204);
  } else throw wrongMethod();
}

async function list({ request, response, query, state }: Exchange, bucket: string): Promise<void> {
  if (request.method !== 'GET') throw wrongMethod();
  const options: Record<string, unknown> = { versions: query.get('versions') === 'true' };
  for (const key of ['prefix', 'delimiter', 'startOffset', 'endOffset', 'pageToken'] as const) {
    const value = query.get(key);
    if (value !== null) options[key] = value;
  }
  for (const key of ['matchGlob', 'softDeleted', 'filter', 'includeFoldersAsPrefixes']) {
    if (query.has(key) && query.get(key) !== 'false') {
      throw new StorageError(400, 'invalid', `Parameter ${key} is not supported locally.`);
    }
  }
  const maxResults = query.get('maxResults');
  if (maxResults !== null) options['maxResults'] = wholeNumber('maxResults', maxResults);
  const page = state.objects.list(bucket, options as ListOptions);
  answer(response, 200, {
    kind: 'storage#objects',
    ...(page.nextPageToken === undefined ? {} : { nextPageToken: page.nextPageToken }),
    ...(page.prefixes.length > 0 ? { prefixes: page.prefixes } : {}),
    ...(page.items.length > 0 ? { items: page.items } : {}),
  });
}

async function oneObject(exchange: Exchange, bucket: string, name: string): Promise<void> {
  const { request, response, query, state, durable } = exchange;
  const options = readOptions(query);
  if (request.method === 'GET' || request.method === 'HEAD') {
    answer(response, 200, state.objects.get(bucket, name, options));
  } else if (request.method === 'PATCH') {
    const resource = state.objects.patch(
      bucket,
      name,
      (await readJson(request)) as ObjectPatch,
      options,
    );
    await durable();
    answer(response, 200, resource);
  } else if (request.method === 'PUT') {
    const cleared: ObjectPatch = {
      contentType: null,
      contentEncoding: null,
      contentDisposition: null,
      contentLanguage: null,
      cacheControl: null,
      customTime: null,
      metadata: null,
    };
    const body = await readJson(request);
    const kept = state.objects.get(bucket, name, options);
    // An update replaces the whole set of fields: what is not given is removed.
    const removed = Object.fromEntries(
      Object.keys(kept.metadata ?? {}).map((key) => [key, null] as const),
    );
    const fields = objectFields(body);
    const metadata = { ...removed, ...fields.metadata };
    const resource = state.objects.patch(
      bucket,
      name,
      { ...cleared, ...fields, metadata },
      options,
    );
    await durable();
    answer(response, 200, resource);
  } else if (request.method === 'DELETE') {
    state.objects.delete(bucket, name, options);
    await durable();
    answer(response, 204);
  } else throw wrongMethod();
}

async function compose(exchange: Exchange, bucket: string, name: string): Promise<void> {
  const { request, response, query, state, durable } = exchange;
  const body = await readJson(request);
  const destination = (body['destination'] ?? {}) as Record<string, unknown>;
  const sources = ((body['sourceObjects'] ?? []) as readonly Record<string, unknown>[]).map(
    (source) => {
      const conditions = (source['objectPreconditions'] ?? {}) as Record<string, unknown>;
      const match = conditions['ifGenerationMatch'];
      return {
        name: String(source['name'] ?? ''),
        ...(source['generation'] === undefined ? {} : { generation: String(source['generation']) }),
        ...(match === undefined ? {} : { preconditions: { ifGenerationMatch: String(match) } }),
      };
    },
  );
  const given = body['destination'] !== undefined;
  const resource = await state.objects.compose(bucket, sources, name, {
    ...(given ? { fields: objectFields(destination) } : {}),
    preconditions: preconditions(query),
    claimed: claimedChecksums(destination, undefined),
  });
  await durable();
  answer(response, 200, resource);
}

async function copy(
  exchange: Exchange,
  source: { readonly bucket: string; readonly name: string },
  bucket: string,
  name: string,
  verb: 'copyTo' | 'rewriteTo',
): Promise<void> {
  const { request, response, query, state, durable } = exchange;
  const body = await readJson(request);
  const generation = query.get('sourceGeneration');
  const conditions: Record<string, string> = {};
  for (const [key, value] of query) {
    const match = /^ifSource((?:Meta)?[gG]eneration(?:Not)?Match)$/.exec(key);
    if (match) conditions[`if${match[1]}`] = value;
  }
  const resource = await state.objects.copy(
    {
      ...source,
      ...(generation === null ? {} : { generation }),
      preconditions: preconditions(new URLSearchParams(conditions)),
    },
    bucket,
    name,
    {
      ...(Object.keys(body).length > 0 ? { fields: objectFields(body) } : {}),
      preconditions: preconditions(query),
    },
  );
  await durable();
  const { size } = resource;
  if (verb === 'copyTo') answer(response, 200, resource);
  else {
    const written = { totalBytesRewritten: size, objectSize: size, done: true };
    answer(response, 200, { kind: 'storage#rewriteResponse', ...written, resource });
  }
}
