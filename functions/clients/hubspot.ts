/**
 * One HubSpot request, asked until there is an answer that can be used.
 *
 * An own thin client: the official one has no email events, sends no raw bytes on, ignores
 * Retry-After, does not retry network errors or `apiRequest`, and knows no timeout (hubspot.md 1.9).
 */
import { Permanent, Transient } from '../errors.ts';
import type { Budget } from '../readers/reader.ts';
import { hubspotSecret } from '../settings.ts';
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

/** Every path this project asks for, and the scope its token needs. Legacy v1 has no successor for
 * email events; the v3 paths are the ones the official client speaks (hubspot.md 1.5, 1.8). */
export const endpoints = {
  emailEvents: { path: '/email/public/v1/events', scope: 'content' },
  campaignIds: { path: '/email/public/v1/campaigns/by-id', scope: 'content' },
  recentCampaigns: { path: '/email/public/v1/campaigns', scope: 'content' },
  campaign: { path: '/email/public/v1/campaigns/', scope: 'content' },
  marketingEmails: { path: '/marketing/v3/emails', scope: 'content' },
  contacts: { path: '/crm/v3/objects/contacts', scope: 'crm.objects.contacts.read' },
  owners: { path: '/crm/v3/owners', scope: 'crm.objects.owners.read' },
} as const;

/** What a request needs of the run it belongs to. */
export type HubspotAccess = Access;

export interface HubspotRequest {
  readonly method: 'GET' | 'POST';
  /** Path and query. */
  readonly target: string;
  readonly body?: string;
  /** How often a whole answer that is no JSON is asked for in all; default: as any other failure. */
  readonly unreadableTries?: number;
}

export interface HubspotAnswer extends HttpAnswer, Asked {
  /** The body, read: always an object. */
  readonly envelope: Readonly<Record<string, unknown>>;
}

/** An answer that came whole and is no JSON object, as often as it was asked for. */
export class UnreadableAnswer extends Transient {
  readonly answer: Omit<HubspotAnswer, 'envelope'>;
  constructor(message: string, answer: Omit<HubspotAnswer, 'envelope'>) {
    super({ code: 'hubspot_invalid_json', message });
    this.answer = answer;
  }
}

/** Searches have a limit of their own, 5 a second and account: one is left to everybody else. */
const SEARCHES_PER_SECOND = 4;
const searches = new WeakMap<Budget, { last: number }>();

/**
 * Asks HubSpot.
 * @throws Permanent `hubspot_token`, `hubspot_scope`, `hubspot_not_found`, `hubspot_request`,
 *   `hubspot_answer_too_large`: a person has to do something, and the message says what
 * @throws Transient `hubspot_rate_limit`, `hubspot_daily_quota`, `hubspot_migrating`,
 *   `hubspot_unavailable`: later, with `retryAfterMs` where it is known
 * @throws UnreadableAnswer (Transient, `hubspot_invalid_json`) with the body as it came
 */
export function ask(access: HubspotAccess, request: HubspotRequest): Promise<HubspotAnswer> {
  const { world, budget } = access;
  const isSearch = request.target.includes('/search');
  return askPatiently(access, {
    api: 'hubspot',
    named: named(request),
    turn: async () => {
      if (isSearch) await searchTurn(access);
    },
    send: async (token) => {
      const answer = await world.fetch({
        method: request.method,
        url: access.baseUrl + request.target,
        headers: {
          authorization: `Bearer ${token}`,
          accept: 'application/json',
          'accept-encoding': 'gzip',
          ...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(request.body === undefined ? {} : { body: request.body }),
        timeoutMs: TIMEOUT_MS,
      });
      // Searches have a limit of their own, which says nothing of the others'.
      if (answer.status !== 429 || !isSearch) budget.learn(answer.status, answer.headers);
      return answer;
    },
    judge: (answer, _, now) => judge(answer, request, now),
    unreadable: (message, broken) => new UnreadableAnswer(message, broken),
    unreadableTries: request.unreadableTries,
    tooLarge: 'No page of HubSpot is as large as that: look at what it holds',
  });
}

type Verdict = VerdictOf<Omit<HubspotAnswer, keyof Asked>, HttpAnswer>;

/** What an answer means. Every field of an error body is optional (hubspot.md 1.7). */
export function judge(answer: HttpAnswer, request: HubspotRequest, now: number): Verdict {
  const { status, headers, body } = answer;
  const envelope = objectIn(body);
  if (status >= 200 && status < 300) {
    if (envelope !== null) return { kind: 'answer', answer: { status, headers, body, envelope } };
    const code = 'hubspot_invalid_json';
    const message = `${named(request)} was answered with ${body.length} bytes that are no JSON object; ${GOES_ON}`;
    return { kind: 'retry', code, message, broken: answer };
  }
  const said = retryAfterMs(headers, now);
  const after = said === null ? {} : { afterMs: said };
  const saying = typeof envelope?.['message'] === 'string' ? `: ${envelope['message']}` : '';
  const refused = (code: string, message: string): Verdict => ({
    kind: 'refused',
    failure: new Permanent({ code, message }),
  });
  const retry = (code: string, message: string): Verdict => ({
    kind: 'retry',
    code,
    message,
    ...after,
  });
  switch (status) {
    case 401:
    case 530:
      return refused(
        'hubspot_token',
        `HubSpot does not accept the token (${status}${saying}). Put a valid private app token into the secret ${hubspotSecret}, as a new version; the next tick takes it`,
      );
    case 403:
      return refused(
        'hubspot_scope',
        `HubSpot's token lacks a scope for ${named(request)}${saying}. Give the private app the scope ${scopesOf(envelope, request)}; its token stays the same, and the next tick goes on`,
      );
    case 404:
      return refused(
        'hubspot_not_found',
        `HubSpot knows no ${named(request)}${saying}. The address is wrong, or HubSpot has removed this API`,
      );
    case 423:
      // Locked: HubSpot asks for at least two seconds.
      return {
        ...retry('hubspot_unavailable', `${named(request)} is locked (423); ${GOES_ON}`),
        afterMs: Math.max(2_000, said ?? 0),
      } as Verdict;
    case 429:
      return tooMany(envelope, said, retry);
    case 477:
      return {
        ...retry(
          'hubspot_migrating',
          'HubSpot is moving this account to another data centre (477); nothing is lost, pulling goes on afterwards',
        ),
        afterMs: said ?? 3_600_000,
      } as Verdict;
    default:
      if (status >= 500 || status === 408)
        return retry(
          'hubspot_unavailable',
          `${named(request)} failed with ${status}${saying}; ${GOES_ON}`,
        );
      return refused(
        'hubspot_request',
        `HubSpot refuses ${named(request)} with ${status}${saying}`,
      );
  }
}

function tooMany(
  envelope: Readonly<Record<string, unknown>> | null,
  said: number | null,
  retry: (code: string, message: string) => Verdict,
): Verdict {
  const policy = String(envelope?.['policyName'] ?? 'unnamed');
  if (policy === 'DAILY') {
    const message =
      "the account's daily HubSpot quota is spent; pulling goes on by itself after midnight in the account's time zone";
    return {
      kind: 'retry',
      code: 'hubspot_daily_quota',
      message,
      afterMs: said ?? 3_600_000,
      pointless: true,
    };
  }
  return retry(
    'hubspot_rate_limit',
    `HubSpot's rate limit ${policy} is exceeded, by this pipeline or by others that use the account; ${GOES_ON}`,
  );
}

/** Evenly spaced, because a limit per second leaves no room for bursts. */
async function searchTurn(access: HubspotAccess): Promise<void> {
  const { clock } = access.world;
  const pace = searches.get(access.budget) ?? { last: 0 };
  searches.set(access.budget, pace);
  const at = Math.max(clock.now(), pace.last + 1_000 / SEARCHES_PER_SECOND);
  pace.last = at;
  if (at > clock.now()) await clock.sleep(at - clock.now());
}

function objectIn(body: Buffer): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? (value as Readonly<Record<string, unknown>>) : null;
  } catch {
    return null;
  }
}

/** Method and path; the query stays out of messages, for it may name a person. */
const named = (request: HubspotRequest): string =>
  `${request.method} ${request.target.split('?')[0]}`;

function scopesOf(
  envelope: Readonly<Record<string, unknown>> | null,
  request: HubspotRequest,
): string {
  const errors = (envelope?.['errors'] ?? []) as readonly {
    readonly context?: { readonly missingScopes?: readonly string[] };
  }[];
  const missing = Array.isArray(errors)
    ? errors.flatMap((one) => one.context?.missingScopes ?? [])
    : [];
  if (missing.length > 0) return missing.join(', ');
  const [known] = Object.values(endpoints)
    .filter((one) => request.target.startsWith(one.path))
    .sort((a, b) => b.path.length - a.path.length);
  return known?.scope ?? 'that HubSpot documents for it';
}
