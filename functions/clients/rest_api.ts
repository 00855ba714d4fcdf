/**
 * One request to a REST API that a contract declares, asked until there is an answer that can be
 * used. The token goes into the request and nowhere else: targets, messages and bodies that are
 * handed on do not hold it, not even where the other side echoes it.
 */
import { isUtf8 } from 'node:buffer';
import type { RestListArrival } from '../../schemas/contract.ts';
import { Permanent, Transient } from '../errors.ts';
import type { HttpAnswer } from '../world.ts';
import {
  type Access,
  type Asked,
  askPatiently,
  GOES_ON,
  TIMEOUT_MS,
  type Verdict as VerdictOf,
} from './patience.ts';
import { retryAfterMs } from './rate_budget.ts';

/** What a request needs of the run it belongs to. */
export interface RestAccess extends Access {
  readonly arrival: Pick<RestListArrival, 'api' | 'auth'>;
}

export interface RestRequest {
  /** Path and query below the base URL, without the credential. */
  readonly target: string;
  /** How often a whole answer that is no JSON is asked for in all; default: as any other failure. */
  readonly unreadableTries?: number;
}

export interface RestAnswer extends HttpAnswer, Asked {
  /** The token was in the body; stars stand in its place. */
  readonly redacted: boolean;
  /** The body, read. `null` for an answer without content (204). */
  readonly value: unknown;
}

type Unread = Omit<RestAnswer, 'value'>;

/** An answer that came whole and is no JSON in UTF-8, as often as it was asked for. */
export class UnreadableBody extends Transient {
  readonly answer: Unread;
  constructor(message: string, answer: Unread) {
    super({ code: 'api_invalid_json', message });
    this.answer = answer;
  }
}

/** Of what an error's body says, this much is repeated. */
const SAID_CHARACTERS = 200;

/** A shorter text is in any body by chance. */
const SHORTEST_SECRET = 8;

/**
 * Asks the API.
 * @throws Permanent `api_token`, `api_scope`, `api_not_found`, `api_request`,
 *   `api_answer_too_large`: a person has to do something, and the message says what
 * @throws Transient `api_rate_limit`, `api_unavailable`, `slice_over`: later, with `retryAfterMs`
 *   where it is known
 * @throws UnreadableBody (Transient, `api_invalid_json`) with the body as it came
 */
export function ask(access: RestAccess, request: RestRequest): Promise<RestAnswer> {
  const { world, arrival, budget } = access;
  return askPatiently(access, {
    api: 'api',
    named: named(request),
    told: { api: arrival.api },
    sendable: (secret) => sendable(secret, access),
    send: async (token) => {
      const answer = await world.fetch({ method: 'GET', ...signed(access, request, token) });
      budget.learn(answer.status, answer.headers);
      return answer;
    },
    judge: (answer, token, now) => judge(withoutSecret(answer, token), access, request, now),
    unreadable: (message, broken) => new UnreadableBody(message, broken),
    unreadableTries: request.unreadableTries,
    tooLarge: "Ask for fewer records a page: the contract's page size",
  });
}

type Verdict = VerdictOf<Omit<RestAnswer, keyof Asked>, Omit<Unread, keyof Asked>>;

/** The request with its credential. */
function signed(
  { arrival, baseUrl }: RestAccess,
  { target }: RestRequest,
  token: string,
): {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
} {
  const { auth } = arrival;
  const headers: Record<string, string> = { accept: 'application/json', 'accept-encoding': 'gzip' };
  let url = baseUrl + target;
  if (auth === 'bearer') headers['authorization'] = `Bearer ${token}`;
  else if ('header' in auth) headers[auth.header.toLowerCase()] = token;
  else {
    const credential = new URLSearchParams({ [auth.parameter]: token });
    url += `${target.includes('?') ? '&' : '?'}${credential}`;
  }
  return { url, headers, timeoutMs: TIMEOUT_MS };
}

/** What an answer means. */
function judge(
  answer: HttpAnswer & { readonly redacted: boolean },
  { arrival }: Pick<RestAccess, 'arrival'>,
  request: RestRequest,
  now: number,
): Verdict {
  const { status, headers, body } = answer;
  if (status === 204) return { kind: 'answer', answer: { ...answer, value: null } };
  const value = valueIn(body);
  if (status >= 200 && status < 300) {
    if (value !== undefined) return { kind: 'answer', answer: { ...answer, value } };
    const message = `${named(request)} was answered with ${body.length} bytes that are no JSON; ${GOES_ON}`;
    return { kind: 'retry', code: 'api_invalid_json', message, broken: answer };
  }
  const said = retryAfterMs(headers, now);
  const after = said === null ? {} : { afterMs: said };
  const saying = sayingOf(value);
  const refused = (code: string, message: string): Verdict => ({
    kind: 'refused',
    failure: new Permanent({ code, message }),
  });
  // Some gateways say 403 where they mean 429; only then do they say when to come back.
  if (status === 429 || (status === 403 && said !== null)) {
    const message = `the rate limit of the ${arrival.api} API is exceeded (${status}${saying}); ${GOES_ON}`;
    return { kind: 'retry', code: 'api_rate_limit', message, ...after };
  }
  if (status >= 500 || status === 408 || status === 425) {
    const message = `${named(request)} failed with ${status}${saying}; ${GOES_ON}`;
    return { kind: 'retry', code: 'api_unavailable', message, ...after };
  }
  if (status === 401) {
    return refused(
      'api_token',
      `the ${arrival.api} API does not accept the token (${status}${saying}). Put a valid one into the secret that TRIBUTARY_API_SECRET names, as a new version; the next tick takes it`,
    );
  }
  if (status === 403) {
    return refused(
      'api_scope',
      `the token of the ${arrival.api} API may not read ${named(request)} (${status}${saying}). Have it allowed there; if the token stays the same, the next tick goes on`,
    );
  }
  if (status === 404) {
    return refused(
      'api_not_found',
      `the ${arrival.api} API knows no ${named(request)}${saying}. The address or the contract's path is wrong, or the API has moved`,
    );
  }
  if (status >= 300 && status < 400) {
    return refused(
      'api_request',
      `${named(request)} is answered with a redirect (${status}), which is never followed: it could carry the token elsewhere. Declare the address it leads to`,
    );
  }
  return refused(
    'api_request',
    `the ${arrival.api} API refuses ${named(request)} (${status}${saying})`,
  );
}

/** Secrets are often written with a line's end; anything else that no header can carry is a mistake. */
function sendable(text: string, { arrival }: RestAccess): string {
  const token = text.trim();
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new Permanent({
    code: 'api_token',
    message: `the secret that TRIBUTARY_API_SECRET names holds no token for the ${arrival.api} API, but ${token === '' ? 'nothing' : 'spaces or signs that no header can carry'}. Put a valid one into it, as a new version`,
  });
}

function withoutSecret(
  answer: HttpAnswer,
  token: string,
): HttpAnswer & { readonly redacted: boolean } {
  const forms = [...new Set([token, encodeURIComponent(token)])];
  const echoed = forms.filter(
    (form) => form.length >= SHORTEST_SECRET && answer.body.includes(form),
  );
  if (echoed.length === 0) return { ...answer, redacted: false };
  // One character a byte: nothing else changes, whatever the encoding.
  const text = echoed.reduce(
    (sofar, form) => sofar.replaceAll(form, '***'),
    answer.body.toString('latin1'),
  );
  return { ...answer, body: Buffer.from(text, 'latin1'), redacted: true };
}

/** The JSON value; undefined = none. Spark refuses what is no UTF-8, so it is none here either. */
function valueIn(body: Buffer): unknown {
  if (!isUtf8(body)) return undefined;
  try {
    return JSON.parse(body.toString('utf8')) as unknown;
  } catch {
    return undefined;
  }
}

/** What an error's body says for people, wherever it says so. */
function sayingOf(value: unknown): string {
  const { message, error, detail, title } = (value ?? {}) as Readonly<Record<string, unknown>>;
  const inner = (error as { readonly message?: unknown } | null | undefined)?.message;
  const said = [message, inner, error, detail, title].find((text) => typeof text === 'string');
  return said === undefined ? '' : `: ${String(said).slice(0, SAID_CHARACTERS)}`;
}

/** Method and path; the query stays out of messages, for it may name a person. */
const named = ({ target }: RestRequest): string => `GET ${target.split('?')[0]}`;
