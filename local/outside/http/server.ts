/** The wire face of every stand-in of an HTTP API, at 127.0.0.1. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type Listening, listen } from '../../loopback.ts';
import type { Answer } from './answer.ts';
import { type Controls, control } from './control.ts';
import type { HttpService } from './service.ts';

/**
 * Serves a stand-in and its controls.
 * @param port 0 = any free one; rejects when it is taken
 */
export function serveStandIn(
  service: HttpService,
  controls: Controls,
  port = 0,
): Promise<Listening> {
  const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    serve(service, controls, request, response).catch(() => response.destroy());
  });
  return listen(server, port);
}

async function serve(
  service: HttpService,
  controls: Controls,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks).toString('utf8');
  const method = request.method ?? 'GET';
  const target = request.url ?? '/';
  if (target.startsWith('/_stand-in/')) {
    send(response, control(service, controls, { method, target, body }));
    return;
  }
  service.requests.enter();
  response.once('close', () => service.requests.leave());
  // Admission is decided on arrival, as a gateway does, and the answer follows later.
  const headers = request.headers as Readonly<Record<string, string | undefined>>;
  const answer = service.answer({ method, target, headers, body });
  const waitMs = service.nextLatencyMs();
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
