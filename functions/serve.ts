/**
 * Registers a handler with the functions framework: push envelope in, status code out; or, where
 * anybody may call, the HTTP request itself.
 */
import { subscribe } from 'node:diagnostics_channel';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setFlagsFromString } from 'node:v8';
import { http } from '@google-cloud/functions-framework';
import { deployedWorld } from './clients/world.ts';
import { type Config, readConfig } from './config.ts';
import { classified, Permanent, type Transient } from './errors.ts';
import { log } from './log.ts';
import { type Handler, readEnvelope } from './message.ts';
import { functions } from './settings.ts';
import type { World } from './world.ts';

// A page is garbage as soon as it is landed. Left to itself the young generation grows until such
// garbage takes a hundred megabytes, which nothing but the bill would notice.
setFlagsFromString('--semi-space-growth-factor=1');

/**
 * The entry of a bundle that takes messages: 204 acknowledges; 500 has the message delivered again,
 * and after the subscription's last attempt kept among its dead letters.
 */
export function serve(handle: Handler, name: string): void {
  const { world, config } = surroundings(name);
  http('handler', async (request, response) => {
    try {
      await handle(readEnvelope(request.body), world, config);
      response.status(204).end();
    } catch (error) {
      const { code } = reported(name, error);
      response.status(500).json({ code });
    }
  });
}

/** Answers one request; a rejection is answered with 500. */
export type RequestHandler = (
  request: IncomingMessage,
  response: ServerResponse,
  world: World,
  config: Config,
) => Promise<void>;

/** The entry of a bundle that is called over HTTP by whoever may. */
export function serveRequests(handle: RequestHandler, name: string): void {
  const { world, config } = surroundings(name);
  // The framework would read up to a gigabyte of body, unpack it, and refuse what is no JSON by
  // itself, without a word on what is wrong. A request without these headers has no body in its
  // eyes: it leaves the stream to us.
  subscribe('http.server.request.start', (message) => {
    const { request } = message as { readonly request: IncomingMessage };
    delete request.headers['content-length'];
    delete request.headers['transfer-encoding'];
  });
  http('handler', async (request, response) => {
    try {
      await handle(request, response, world, config);
    } catch (error) {
      const { code } = reported(name, error);
      if (!response.headersSent) response.status(500).json({ code });
    }
  });
}

function surroundings(name: string): { readonly world: World; readonly config: Config } {
  const settings = functions.find((candidate) => candidate.name === name);
  if (settings === undefined) {
    throw new Permanent({ code: 'unknown_function', message: `no function is called "${name}"` });
  }
  const config = readConfig(process.env, settings.variables);
  return { world: deployedWorld(config), config };
}

function reported(name: string, error: unknown): Transient | Permanent {
  const failure = classified(error);
  log('ERROR', 'handler_failed', {
    function: name,
    code: failure.code,
    retry: !(failure instanceof Permanent),
    reason: failure.message,
    stack: failure.code === 'unforeseen' && error instanceof Error ? error.stack : undefined,
  });
  return failure;
}
