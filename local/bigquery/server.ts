/**
 * A local BigQuery: the REST API that @google-cloud/bigquery speaks, over DuckDB. Start it with startBigquery(); give the
 * client `apiEndpoint: url`, the same `projectId`, and an `authClient` that asks for no credentials.
 *
 * Options: `projectId`; `file`, the database (undefined: in memory); `resolve`, which maps a gs:// URI of a load to local
 * files; `port` (0: any free one); `location` (default EU); `now` (milliseconds); `threads`, `memoryLimit` of DuckDB.
 *
 * A load and a changing statement are kept as jobs before they run and are run again after a stop in between; their
 * result is committed with their data. Results of SELECTs last as long as the process, the latest of them.
 */
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { gunzipSync } from 'node:zlib';
import { listen } from '../loopback.ts';
import { DuckdbStore } from './duckdb.ts';
import { errorProto, Refusal, refusalOf } from './refusal.ts';
import { datasetRoutes } from './rest/dataset_routes.ts';
import { Jobs } from './rest/job_routes.ts';
import type { Body, Route, Service } from './rest/service.ts';
import { tableRoutes } from './rest/table_routes.ts';
import { State } from './state.ts';

export interface BigqueryOptions {
  readonly projectId: string;
  readonly file?: string | undefined;
  readonly resolve: (uri: string) => readonly string[] | Promise<readonly string[]>;
  readonly port?: number;
  readonly location?: string;
  readonly now?: () => number;
  readonly threads?: number;
  readonly memoryLimit?: string;
}

export interface RunningBigquery {
  readonly url: string;
  /** Finishes what is running, then stops. */
  close(): Promise<void>;
}

export async function startBigquery(options: BigqueryOptions): Promise<RunningBigquery> {
  const store = await DuckdbStore.open({
    file: options.file,
    projectId: options.projectId,
    ...(options.threads !== undefined && { threads: options.threads }),
    ...(options.memoryLimit !== undefined && { memoryLimit: options.memoryLimit }),
  });
  const now = options.now ?? Date.now;
  const { projectId, resolve } = options;
  const readText = (path: string): Promise<string> => readFile(path, 'utf8');
  const state = new State({ store, now, projectId, resolve, readText });
  const service: Service = { store, state, projectId, location: options.location ?? 'EU', now };
  const jobs = new Jobs(service);
  const routes = [...datasetRoutes(service), ...tableRoutes(service), ...jobs.routes()];
  const server = createServer(
    (request, response) => void answer(request, response, projectId, routes),
  );
  const listening = await listen(server, options.port);
  jobs.resume();
  return {
    url: listening.url,
    close: async () => {
      await listening.close();
      await jobs.settled();
      await store.close();
    },
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  projectId: string,
  routes: readonly Route[],
): Promise<void> {
  try {
    const url = new URL(request.url ?? '/', 'http://localhost');
    const raw = await bytesOf(request);
    const text = (
      request.headers['content-encoding'] === 'gzip' ? gunzipSync(raw) : raw
    ).toString();
    const body = text === '' ? {} : (JSON.parse(text) as Body);
    const resource = await routed(request.method ?? 'GET', url, body, projectId, routes);
    send(response, resource === undefined ? 204 : 200, resource);
  } catch (error) {
    const refusal =
      error instanceof SyntaxError
        ? new Refusal('invalid', 'Invalid JSON payload received')
        : refusalOf(error, '');
    const { code, message } = refusal;
    send(response, code, {
      error: {
        code,
        message,
        errors: [{ ...errorProto(refusal), domain: 'global' }],
        status: refusal.reason,
      },
    });
  }
}

async function routed(
  method: string,
  url: URL,
  body: Body,
  projectId: string,
  routes: readonly Route[],
): Promise<unknown> {
  const path = /^(?:\/bigquery\/v2)?\/projects\/([^/]+)\/(.*?)\/?$/.exec(
    decodeURIComponent(url.pathname),
  );
  if (path === null) throw new Refusal('notFound', `Not found: ${url.pathname}`);
  if (path[1] !== projectId) throw new Refusal('notFound', `Not found: Project ${path[1]}`);
  for (const [verb, pattern, handler] of routes) {
    const match = verb === method ? pattern.exec(path[2] as string) : null;
    if (match !== null) return handler({ query: url.searchParams, body, params: match.slice(1) });
  }
  throw new Refusal('notImplemented', `${method} ${path[2]} is not supported locally`);
}

async function bytesOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function send(response: ServerResponse, code: number, body: unknown): void {
  const text = body === undefined ? '' : JSON.stringify(body);
  response.writeHead(code, { 'content-type': 'application/json; charset=UTF-8' }).end(text);
}
