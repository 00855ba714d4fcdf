import type { Clock, Fetch } from '../../../functions/world.ts';
import type { Orders } from './state.ts';

/** The stand-in without sockets: latency and time-outs pass on the given clock. */
export function fetchFrom(orders: Orders, clock: Clock): Fetch {
  return async (request) => {
    const answer = orders.answer({
      method: request.method,
      target: request.url.replace(/^https?:\/\/[^/]+/, ''),
      headers: request.headers,
    });
    const waitMs = answer.ending === 'hang' ? request.timeoutMs : orders.latencyMs;
    if (waitMs > 0) await clock.sleep(waitMs);
    if (answer.ending !== 'whole') throw new TypeError(`connection lost: ${answer.ending}`);
    const headers = Object.entries(answer.headers).map(([name, value]) => [
      name.toLowerCase(),
      value,
    ]);
    return {
      status: answer.status,
      headers: Object.fromEntries(headers) as Readonly<Record<string, string>>,
      body: Buffer.from(answer.body),
    };
  };
}
