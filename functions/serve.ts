/** Registers a handler with the functions framework: push envelope in, status code out. */
import { setFlagsFromString } from 'node:v8';
import { http } from '@google-cloud/functions-framework';
import { deployedWorld } from './clients/world.ts';
import { readConfig } from './config.ts';
import { classified, Permanent } from './errors.ts';
import { log } from './log.ts';
import { type Handler, readEnvelope } from './message.ts';
import { functions } from './settings.ts';

// A page is garbage as soon as it is landed. Left to itself the young generation grows until such
// garbage takes a hundred megabytes, which nothing but the bill would notice.
setFlagsFromString('--semi-space-growth-factor=1');

/**
 * Every bundle's entry: 204 acknowledges; 500 has the message delivered again, and after the
 * subscription's last attempt kept among its dead letters.
 */
export function serve(handle: Handler, name: string): void {
  const settings = functions.find((candidate) => candidate.name === name);
  if (settings === undefined) {
    throw new Permanent({ code: 'unknown_function', message: `no function is called "${name}"` });
  }
  const config = readConfig(process.env, settings.variables);
  const world = deployedWorld(config);
  http('handler', async (request, response) => {
    try {
      await handle(readEnvelope(request.body), world, config);
      response.status(204).end();
    } catch (error) {
      const failure = classified(error);
      log('ERROR', 'handler_failed', {
        function: name,
        code: failure.code,
        retry: !(failure instanceof Permanent),
        reason: failure.message,
        stack: failure.code === 'unforeseen' && error instanceof Error ? error.stack : undefined,
      });
      response.status(500).json({ code: failure.code });
    }
  });
}
