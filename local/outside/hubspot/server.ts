/**
 * A stand-in for HubSpot's API at 127.0.0.1, for everything Tributary asks of HubSpot: v1 email
 * events and campaigns, marketing emails, contacts, owners, usage; with its limits and refusals.
 *
 * Data: a seeded account (see seeded.ts), or given files, one JSON object a line:
 *   --hubspot-events FILE    v1 events as `/email/public/v1/events` returns them; only `created`
 *                            (ms) is required. Served byte for byte.
 *   --hubspot-objects DIR    contacts.ndjson          {id, properties, createdAt, updatedAt, archived, archivedAt?}
 *                            campaigns.ndjson         v1 campaigns; without `counters` they are counted from the events
 *                            marketing_emails.ndjson  v3 marketing emails
 *                            owners.ndjson            v3 owners with `teams`
 * Given either, nothing is made up: what is not given is empty.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Answer } from './answer.ts';
import { control } from './control.ts';
import { Hubspot, type HubspotOptions } from './state.ts';

export interface HubspotServerOptions extends Omit<HubspotOptions, 'clock'> {
  /** 0 = any free one. */
  readonly port?: number;
  /** Now in ms; without it the clock starts at `until` and runs on. */
  readonly clock?: () => number;
}

export interface RunningHubspot {
  readonly url: string;
  /** The account itself, for tests in the same process. */
  readonly hubspot: Hubspot;
  close(): Promise<void>;
}

/** Starts the stand-in. Rejects when the port is taken or given data cannot be read. */
export async function startHubspot(options: HubspotServerOptions): Promise<RunningHubspot> {
  const started = performance.now();
  const clock = options.clock ?? (() => Math.floor(options.until + performance.now() - started));
  const hubspot = new Hubspot({ ...options, clock });
  const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    serve(hubspot, request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    hubspot,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function serve(
  hubspot: Hubspot,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks).toString('utf8');
  const method = request.method ?? 'GET';
  const target = request.url ?? '/';
  if (target.startsWith('/_stand-in/')) {
    send(response, control(hubspot, method, target, body));
    return;
  }
  hubspot.enter();
  response.once('close', () => hubspot.leave());
  // Admission is decided on arrival, as HubSpot's gateway does, and the answer follows later.
  const answer = hubspot.answer({
    method,
    target,
    authorization: request.headers.authorization,
    body,
  });
  const waitMs = hubspot.nextLatencyMs();
  if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
  if (!response.destroyed) send(response, answer);
}

function send(response: ServerResponse, answer: Answer): void {
  if (answer.ending === 'hang') return;
  if (answer.ending === 'none') {
    response.destroy();
    return;
  }
  const body = Buffer.from(answer.body);
  response.writeHead(answer.status, { ...answer.headers, 'Content-Length': body.length });
  if (answer.ending === 'whole') {
    response.end(body);
    return;
  }
  response.write(body.subarray(0, Math.floor(body.length / 2)), () => response.destroy());
}
