import { parseArgs } from 'node:util';
import { startHubspot } from './server.ts';

/** `node local/outside/hubspot/main.ts [--port N] [--until ISO] [--scale small|medium|large|N] ...` */
const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    seed: { type: 'string', default: '1' },
    until: { type: 'string' },
    scale: { type: 'string', default: 'small' },
    'hubspot-events': { type: 'string' },
    'hubspot-objects': { type: 'string' },
    'latency-ms': { type: 'string', default: '0' },
    'per-interval': { type: 'string', default: '190' },
  },
});

const scale = /^\d+$/.test(values.scale) ? Number(values.scale) : (values.scale as 'small');
const running = await startHubspot({
  port: Number(values.port),
  seed: Number(values.seed),
  until: values.until === undefined ? Date.now() : Date.parse(values.until),
  scale,
  latencyMs: Number(values['latency-ms']),
  limits: { perInterval: Number(values['per-interval']) },
  ...(values['hubspot-events'] === undefined ? {} : { eventsFile: values['hubspot-events'] }),
  ...(values['hubspot-objects'] === undefined ? {} : { objectsDir: values['hubspot-objects'] }),
});
process.stdout.write(`${JSON.stringify({ ready: true, url: running.url })}\n`);
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void running.close());
