/** Does the pushes: a POST per message; its answer in time decides between ack and nack. */
import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { PushDelivery } from './push_delivery.ts';
import type { PubsubState } from './state.ts';

/** The statuses that acknowledge, as the service documents them. */
const ACKNOWLEDGED = new Set([102, 200, 201, 202, 204]);

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/**
 * A token with the claims of Google's, for endpoints that read them. Nobody signed it: an endpoint
 * that checks signatures must refuse it.
 */
function fakeOidcToken(email: string, audience: string, now: number): string {
  const issued = Math.floor(now / 1000);
  const claims = {
    iss: 'https://accounts.google.com',
    aud: audience,
    azp: email,
    sub: email,
    email,
    email_verified: true,
    iat: issued,
    exp: issued + 3600,
  };
  return `${part({ alg: 'RS256', kid: 'local', typ: 'JWT' })}.${part(claims)}.${part('unsigned')}`;
}

export class Pusher {
  readonly #state: PubsubState;
  readonly #clock: { now(): number };
  readonly #log: (message: string) => void;
  readonly #agents = {
    'http:': new HttpAgent({ keepAlive: true, maxSockets: 256 }),
    'https:': new HttpsAgent({ keepAlive: true, maxSockets: 256 }),
  };
  readonly #out = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  /** Last failure per subscription, so that a broken endpoint is logged once, not per message. */
  readonly #failing = new Map<string, string>();

  constructor(state: PubsubState, clock: { now(): number }, log: (message: string) => void) {
    this.#state = state;
    this.#clock = clock;
    this.#log = log;
  }

  start(delivery: PushDelivery): void {
    const push = this.#push(delivery).finally(() => this.#out.delete(push));
    this.#out.add(push);
  }

  async #push(delivery: PushDelivery): Promise<void> {
    const { subscription, ackId } = delivery;
    const problem = await this.#post(delivery);
    if (this.#stop.signal.aborted) return;
    try {
      if (problem === undefined) this.#state.acknowledge(subscription, [ackId]);
      else this.#state.refuse(delivery);
    } catch {
      // The subscription was deleted while the request was out: nothing waits for the answer.
      return;
    }
    if (problem === undefined) this.#failing.delete(subscription);
    else if (this.#failing.get(subscription) !== problem) {
      this.#failing.set(subscription, problem);
      this.#log(`pubsub: push of ${subscription} to ${delivery.endpoint} failed: ${problem}`);
    }
  }

  /** Undefined = acknowledged, else what was wrong. */
  #post({ endpoint, body, timeoutMs, oidc }: PushDelivery): Promise<string | undefined> {
    return new Promise((resolve) => {
      const url = new URL(endpoint);
      const https = url.protocol === 'https:';
      const bytes = Buffer.from(body);
      const token = oidc && fakeOidcToken(oidc.email, oidc.audience, this.#clock.now());
      const request = (https ? httpsRequest : httpRequest)(url, {
        method: 'POST',
        agent: https ? this.#agents['https:'] : this.#agents['http:'],
        headers: {
          'content-type': 'application/json',
          'content-length': bytes.length,
          'user-agent': 'APIs-Google; (+https://developers.google.com/webmasters/APIs-Google.html)',
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        },
        signal: this.#stop.signal,
      });
      const timer = setTimeout(() => {
        resolve(`no answer within ${timeoutMs / 1000} s`);
        request.destroy();
      }, timeoutMs);
      request.on('response', (response) => {
        const status = response.statusCode ?? 0;
        response.resume();
        response.once('close', () => {
          clearTimeout(timer);
          resolve(ACKNOWLEDGED.has(status) ? undefined : `HTTP ${status}`);
        });
        response.on('error', () => undefined);
      });
      request.on('error', (error) => {
        clearTimeout(timer);
        resolve(error.message);
      });
      request.end(bytes);
    });
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#out);
    for (const agent of Object.values(this.#agents)) agent.destroy();
  }
}
