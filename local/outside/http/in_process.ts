import type { Clock, Fetch } from '../../../functions/world.ts';
import type { HttpService } from './service.ts';

/** A stand-in without sockets: latency and time-outs pass on the given clock. */
export function fetchFrom(service: HttpService, clock: Clock): Fetch {
  return async (request) => {
    service.requests.enter();
    try {
      const answer = service.answer({
        method: request.method,
        target: request.url.replace(/^https?:\/\/[^/]+/, ''),
        headers: request.headers,
        body: request.body ?? '',
      });
      const waitMs = answer.ending === 'hang' ? request.timeoutMs : service.nextLatencyMs();
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
    } finally {
      service.requests.leave();
    }
  };
}
