/**
 * One HubSpot request, asked until there is an answer that can be used.
 *
 * An own thin client: the official one has no email events, sends no raw bytes on, ignores
 * Retry-After, does not retry network errors or `apiRequest`, and knows no timeout (hubspot.md 1.9).
 */
import { Permanent, Transient } from '../errors.ts';
import type { Budget } from '../readers/reader.ts';
import { hubspotSecret } from '../settings.ts';
import type { HttpAnswer, World } from '../world.ts';
import {
  ATTEMPTS,
  FIRST_WAIT_MS,
  GOES_ON,
  GRACE_MS,
  LONGEST_WAIT_MS,
  TIMEOUT_MS,
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
export interface HubspotAccess {
  readonly world: Pick<World, 'fetch' | 'clock' | 'random' | 'log'>;
  readonly baseUrl: string;
  readonly token: () => Promise<string>;
  readonly budget: Budget;
  /** Epoch ms; no wait between attempts goes beyond it. */
  readonly deadline: number;
}

export interface HubspotRequest {
  readonly method: 'GET' | 'POST';
  /** Path and query. */
  readonly target: string;
  readonly body?: string;
  /** How often a whole answer that is no JSON is asked for in all; default: as any other failure. */
  readonly unreadableTries?: number;
}

export interface HubspotAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** The body as it came. */
  readonly body: Buffer;
  /** The same, read: always an object. */
  readonly envelope: Readonly<Record<string, unknown>>;
  /** Epoch ms when the request went out: what it says was true no earlier. */
  readonly askedAt: number;
  /** How long the rate budget kept the request back. */
  readonly waitedMs: number;
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

/** Tokens by the run's own accessor: read once, and again when HubSpot says that it is wrong. */
const tokens = new WeakMap<() => Promise<string>, Promise<string>>();

/**
 * Asks HubSpot.
 * @throws Permanent `hubspot_token`, `hubspot_scope`, `hubspot_not_found`, `hubspot_request`,
 *   `hubspot_answer_too_large`: a person has to do something, and the message says what
 * @throws Transient `hubspot_rate_limit`, `hubspot_daily_quota`, `hubspot_migrating`,
 *   `hubspot_unavailable`: later, with `retryAfterMs` where it is known
 * @throws UnreadableAnswer (Transient, `hubspot_invalid_json`) with the body as it came
 */
export async function ask(access: HubspotAccess, request: HubspotRequest): Promise<HubspotAnswer> {
  const { world, budget } = access;
  let token = await tokenOf(access);
  let renewed = false;
  let failed = 0;
  let unreadable = 0;
  for (let attempt = 0; ; attempt += 1) {
    if (request.target.includes('/search')) await searchTurn(access);
    const began = world.clock.now();
    await budget.take();
    const askedAt = world.clock.now();
    const waitedMs = askedAt - began;
    if (askedAt > access.deadline + GRACE_MS) {
      const message = `the slice was over before ${named(request)} could be asked; the next one goes on`;
      throw new Transient({ code: 'slice_over', message });
    }
    let verdict: Verdict;
    try {
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
      const isSearchRefusal = answer.status === 429 && request.target.includes('/search');
      if (!isSearchRefusal) budget.learn(answer.status, answer.headers);
      verdict = judge(answer, request, world.clock.now());
    } catch (cause) {
      if (cause instanceof Permanent) {
        const message = `${cause.message}; no page of HubSpot is as large as that: look at what it holds`;
        throw new Permanent({ code: 'hubspot_answer_too_large', message, cause });
      }
      verdict = {
        kind: 'retry',
        failure: {
          code: 'hubspot_unavailable',
          message: `no complete answer to ${named(request)}; ${GOES_ON}`,
          cause,
        },
      };
    }
    if (verdict.kind === 'answer') return { ...verdict.answer, askedAt, waitedMs };
    if (verdict.kind === 'refused') {
      // A token that was replaced while the run went on.
      if (verdict.failure.code === 'hubspot_token' && !renewed) {
        renewed = true;
        const fresh = await tokenOf(access, { anew: true });
        if (fresh !== token) {
          token = fresh;
          continue;
        }
      }
      throw verdict.failure;
    }
    const { broken } = verdict;
    if (broken !== undefined) {
      unreadable += 1;
      if (unreadable >= (request.unreadableTries ?? ATTEMPTS)) {
        throw new UnreadableAnswer(verdict.failure.message, { ...broken, askedAt, waitedMs });
      }
    }
    const wait = pause(verdict, attempt, world.random.next());
    const tooLate = world.clock.now() + wait > access.deadline;
    // A rate limit is no failure of the request: waiting is bounded by the slice alone.
    if (verdict.failure.code !== 'hubspot_rate_limit') failed += 1;
    if (failed >= ATTEMPTS || tooLate || verdict.pointless === true) {
      throw new Transient({
        ...verdict.failure,
        ...(verdict.afterMs === undefined ? {} : { retryAfterMs: verdict.afterMs }),
      });
    }
    world.log('INFO', 'hubspot_retry', {
      code: verdict.failure.code,
      attempt: attempt + 1,
      wait_ms: Math.round(wait),
    });
    await world.clock.sleep(wait);
  }
}

interface Failure {
  readonly code: string;
  readonly message: string;
  readonly cause?: unknown;
}

type Verdict =
  | { readonly kind: 'answer'; readonly answer: Omit<HubspotAnswer, 'askedAt' | 'waitedMs'> }
  | { readonly kind: 'refused'; readonly failure: Permanent }
  | {
      readonly kind: 'retry';
      readonly failure: Failure;
      /** What HubSpot said, or what is known, about when. */
      readonly afterMs?: number;
      /** Trying again within this slice is of no use. */
      readonly pointless?: boolean;
      /** What came whole and is no JSON object. */
      readonly broken?: HttpAnswer;
    };

/** What an answer means. Every field of an error body is optional (hubspot.md 1.7). */
export function judge(answer: HttpAnswer, request: HubspotRequest, now: number): Verdict {
  const { status, headers, body } = answer;
  const envelope = objectIn(body);
  if (status >= 200 && status < 300) {
    if (envelope !== null) return { kind: 'answer', answer: { status, headers, body, envelope } };
    const code = 'hubspot_invalid_json';
    const message = `${named(request)} was answered with ${body.length} bytes that are no JSON object; ${GOES_ON}`;
    return { kind: 'retry', failure: { code, message }, broken: answer };
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
    failure: { code, message },
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
      failure: { code: 'hubspot_daily_quota', message },
      afterMs: said ?? 3_600_000,
      pointless: true,
    };
  }
  return retry(
    'hubspot_rate_limit',
    `HubSpot's rate limit ${policy} is exceeded, by this pipeline or by others that use the account; ${GOES_ON}`,
  );
}

function pause(
  verdict: Extract<Verdict, { kind: 'retry' }>,
  attempt: number,
  random: number,
): number {
  const jitter = random * Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** attempt);
  // A moment after the one that was named, so that those told the same do not return together.
  return verdict.afterMs === undefined ? jitter : verdict.afterMs + Math.min(1_000, jitter);
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

function tokenOf(access: HubspotAccess, options = { anew: false }): Promise<string> {
  const known = tokens.get(access.token);
  if (known !== undefined && !options.anew) return known;
  const reading = access.token();
  tokens.set(access.token, reading);
  // A secret that could not be read is asked for again next time.
  reading.catch(() => tokens.delete(access.token));
  return reading;
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
