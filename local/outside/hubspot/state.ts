import { type Answer, type Request, unanswered } from '../http/answer.ts';
import { Faults } from '../http/faults.ts';
import { Requests, type Stats } from '../http/requests.ts';
import type { HttpService } from '../http/service.ts';
import { hash } from '../random.ts';
import { badToken, failure, invalid, json, missingScope, notFound, tooMany } from './answer.ts';
import { type ContactChange, Contacts } from './contacts.ts';
import { EmailEvents, pageOf } from './email_events.ts';
import { type Counters, count, type EventSource } from './event_source.ts';
import { type Facts, factsOf } from './facts.ts';
import type { Fault, HubspotTrouble, Trouble } from './faults.ts';
import { contactOf, givenContacts, givenEvents, givenObjects } from './given.ts';
import { type LimitSettings, Limits } from './limits.ts';
import {
  byId,
  listEmails,
  listOwners,
  seededCampaigns,
  seededEmails,
  seededOwners,
} from './marketing.ts';
import { type SeededAccount, seededAccount } from './seeded.ts';

export type Scale = 'small' | 'medium' | 'large';
const SCALES: Readonly<Record<Scale, number>> = {
  small: 100_000,
  medium: 1_000_000,
  large: 4_000_000,
};

export interface HubspotOptions {
  /** The account's content depends on these three only. `until` (ms) is its "today". */
  readonly seed?: number;
  readonly until: number;
  /** About how many events: a name, or a number. */
  readonly scale?: Scale | number;
  /** Now, in ms. */
  readonly clock: () => number;
  /** NDJSON of v1 events, and a folder of NDJSON objects, instead of the seeded account. */
  readonly eventsFile?: string;
  readonly objectsDir?: string;
  /** Time from request to answer, and how much of it varies. */
  readonly latencyMs?: number;
  readonly jitterMs?: number;
  readonly limits?: Partial<LimitSettings>;
  readonly faults?: readonly Fault[];
  /** A share of the seeded events appears only up to `maxMs` after its time. */
  readonly late?: { readonly share: number; readonly maxMs: number };
  readonly offsetTtlMs?: number;
  readonly searchLagMs?: number;
}

type Raw = Readonly<Record<string, unknown>>;

/** Date-versioned and legacy paths lead to the same thing. */
const ALIASES: readonly (readonly [RegExp, string])[] = [
  [/^\/crm\/objects\/\d{4}-\d\d(-beta)?\/contacts/, '/crm/v3/objects/contacts'],
  [/^\/crm\/owners\/\d{4}-\d\d(-beta)?/, '/crm/v3/owners'],
  [/^\/marketing\/emails\/\d{4}-\d\d(-beta)?/, '/marketing/v3/emails'],
];

/** What HubSpot knows and refuses, without sockets: each request is answered by a value. */
export class Hubspot implements HttpService {
  readonly limits: Limits;
  readonly faults = new Faults<HubspotTrouble>();
  readonly requests = new Requests();
  readonly seeded: SeededAccount | undefined;
  readonly events: EmailEvents;
  readonly contacts: Contacts;
  latencyMs: number;
  jitterMs: number;
  /** The only token that is accepted; null = any. */
  token: string | null = null;
  readonly #clock: () => number;
  readonly #source: EventSource;
  readonly #campaigns: readonly Raw[];
  readonly #emails: readonly Raw[];
  readonly #owners: readonly Raw[];
  #givenCounters: ReadonlyMap<string, Counters> | undefined;
  /** Planted differences between counters and events: campaign id -> counter -> addition. */
  #discrepancies = new Map<string, Counters>();

  constructor(options: HubspotOptions) {
    this.#clock = options.clock;
    this.latencyMs = options.latencyMs ?? 0;
    this.jitterMs = options.jitterMs ?? 0;
    this.limits = new Limits(options.limits ?? {});
    this.faults.add(options.faults ?? []);
    const given = options.eventsFile !== undefined || options.objectsDir !== undefined;
    const scale = options.scale ?? 'small';
    this.seeded = given
      ? undefined
      : seededAccount({
          seed: options.seed ?? 1,
          until: options.until,
          events: typeof scale === 'number' ? scale : SCALES[scale],
          ...(options.late === undefined ? {} : { late: options.late }),
        });
    const seeded = this.seeded;
    this.#source =
      seeded?.events ??
      (options.eventsFile === undefined ? NO_EVENTS : givenEvents(options.eventsFile));
    this.events = new EmailEvents(this.#source, options.offsetTtlMs ?? 6 * 3_600_000);
    this.contacts = new Contacts(
      seeded?.people ?? givenContacts(options.objectsDir),
      options.searchLagMs ?? 5_000,
    );
    this.#campaigns = seeded
      ? seededCampaigns(seeded)
      : givenObjects(options.objectsDir, 'campaigns');
    this.#emails = seeded
      ? seededEmails(seeded)
      : givenObjects(options.objectsDir, 'marketing_emails');
    this.#owners = seeded ? seededOwners(seeded) : givenObjects(options.objectsDir, 'owners');
  }

  now(): number {
    return this.#clock();
  }

  /** How long the next answer takes; varies by the number of requests, not by chance. */
  nextLatencyMs(): number {
    return this.latencyMs + (this.jitterMs * (hash(this.requests.answered) % 1_000)) / 1_000;
  }

  /** The truth about the seeded account; undefined when the data was given. */
  facts(asOf: number = this.now()): Facts | undefined {
    return this.seeded === undefined ? undefined : factsOf(this.seeded, asOf);
  }

  stats(): Stats {
    return this.requests.stats();
  }

  setDiscrepancy(campaignId: string, counter: string, add: number): void {
    this.#discrepancies.set(campaignId, { ...this.#discrepancies.get(campaignId), [counter]: add });
  }

  addEvents(events: readonly Raw[], visibleAt: number = this.now()): void {
    this.events.add(
      events.map((one) => JSON.stringify(one)),
      visibleAt,
    );
    this.#givenCounters = undefined;
  }

  changeContacts(
    changes: readonly (ContactChange | { readonly kind: 'upsert'; readonly contact: Raw })[],
  ): void {
    for (const one of changes) {
      const change =
        one.kind === 'upsert' ? { kind: one.kind, contact: contactOf(one.contact as Raw) } : one;
      this.contacts.change(change as ContactChange, this.now());
    }
  }

  answer(request: Request): Answer {
    const answer = this.#answer(request);
    this.requests.count(request, answer);
    return answer;
  }

  #answer(request: Request): Answer {
    const now = this.now();
    const url = new URL(request.target, 'http://hubspot');
    const trouble = this.faults.strike(`${request.method} ${decodeURIComponent(request.target)}`);
    if (trouble?.kind === 'bad_token') return badToken();
    const token = /^Bearer (\S+)$/.exec(request.headers['authorization'] ?? '')?.[1];
    if (token === undefined || (this.token ?? token) !== token) return badToken();
    if (trouble?.kind === 'missing_scope') return missingScope(trouble.scopes);
    const path = ALIASES.reduce(
      (sofar, [from, to]) => sofar.replace(from, to),
      url.pathname.replace(/\/$/, ''),
    );
    const { refused, headers } = this.limits.admit(token, now, path.endsWith('/contacts/search'));
    if (trouble !== undefined) {
      const early = troubled(trouble, headers);
      if (early !== undefined) return early;
    }
    if (refused !== undefined) return tooMany(refused, headers);
    let body: Raw = {};
    if (request.body) {
      try {
        body = JSON.parse(request.body) as Raw;
      } catch {
        return invalid('Invalid input JSON');
      }
    }
    const answer = this.#route(request.method, path, url.searchParams, body, now, trouble);
    const whole = { ...answer, headers: { ...answer.headers, ...headers } };
    if (trouble?.kind === 'half_body') return { ...whole, ending: 'half' };
    if (trouble?.kind === 'broken_json')
      return { ...whole, body: `${String(whole.body).slice(0, -40)}\u0000<!-- upstream` };
    return whole;
  }

  #route(
    method: string,
    path: string,
    params: URLSearchParams,
    body: Raw,
    now: number,
    trouble: Trouble | undefined,
  ): Answer {
    const route = `${method} ${path}`;
    const paging =
      trouble?.kind === 'same_offset' || trouble?.kind === 'empty_page' ? trouble.kind : undefined;
    if (trouble?.kind === 'expired_offset' && params.has('offset'))
      return invalid('The offset is invalid or has expired for this query.');
    switch (route) {
      case 'GET /email/public/v1/events':
        return this.events.list(params, now, {
          paging,
          ...(this.faults.breakRecords ? { spoils: (ids) => this.faults.spoils(ids) } : {}),
        });
      case 'GET /email/public/v1/campaigns/by-id':
        return pageOf(
          [...this.#campaigns]
            .sort((a, b) => hash(Number(a['id'])) - hash(Number(b['id'])))
            .map(idOnly),
          params,
          'campaigns',
        );
      case 'GET /email/public/v1/campaigns':
        return pageOf(
          [...this.#campaigns]
            .sort((a, b) => Number(b['lastUpdatedTime'] ?? 0) - Number(a['lastUpdatedTime'] ?? 0))
            .map(idOnly),
          params,
          'campaigns',
        );
      case 'GET /marketing/v3/emails':
        return listEmails(this.#emails, params);
      case 'GET /crm/v3/objects/contacts':
        return this.contacts.list(params, now);
      case 'POST /crm/v3/objects/contacts/search':
        return this.contacts.search(body, now);
      case 'POST /crm/v3/objects/contacts/batch/read':
        return this.contacts.batchRead(body, params, now);
      case 'GET /crm/v3/owners':
        return listOwners(this.#owners, params);
      case 'GET /account-info/v3/api-usage/daily/private-apps':
        return this.#usage(now);
      default:
        break;
    }
    const last = path.slice(path.lastIndexOf('/') + 1);
    const event = /^GET \/email\/public\/v1\/events\/(\d+)\/([^/]+)$/.exec(route);
    if (event !== null) return this.events.one(Number(event[1]), event[2] as string, now);
    if (/^GET \/email\/public\/v1\/campaigns\/\d+$/.test(route)) return this.#campaign(last, now);
    if (/^GET \/marketing\/v3\/emails\/\d+$/.test(route)) return byId(this.#emails, last, 'email');
    if (/^GET \/crm\/v3\/owners\/\d+$/.test(route)) return byId(this.#owners, last, 'owner');
    if (/^GET \/crm\/v3\/objects\/contacts\/\d+$/.test(route))
      return this.contacts.one(last, params, now);
    return notFound(`no such endpoint: ${route}`);
  }

  #campaign(id: string, now: number): Answer {
    const campaign = this.#campaigns.find((one) => String(one['id']) === id);
    if (campaign === undefined) return notFound(`campaign ${id} does not exist`);
    const counters: Counters = {
      ...((campaign['counters'] as Counters | undefined) ?? this.#countersOf(id, now)),
    };
    for (const [name, add] of Object.entries(this.#discrepancies.get(id) ?? {}))
      counters[name] = (counters[name] ?? 0) + add;
    return json({ ...campaign, counters });
  }

  #countersOf(id: string, now: number): Counters {
    const counters: Counters = { ...(this.seeded?.counters(now) ?? this.#countGiven(now)).get(id) };
    for (const { meta, text } of this.events.lateEvents(now)) {
      if (meta.campaignId === id) count(counters, countable(JSON.parse(text) as Raw));
    }
    return counters;
  }

  #countGiven(now: number): ReadonlyMap<string, Counters> {
    if (this.#givenCounters !== undefined) return this.#givenCounters;
    const all = new Map<string, Counters>();
    for (let i = 0; i < this.#source.size && this.#source.created(i) <= now; i++) {
      const { campaignId } = this.#source.meta(i);
      if (campaignId === undefined) continue;
      const own = all.get(campaignId) ?? {};
      count(own, countable(JSON.parse(this.#source.text(i, now)) as Raw));
      all.set(campaignId, own);
    }
    this.#givenCounters = all;
    return all;
  }

  #usage(now: number): Answer {
    const { settings } = this.limits;
    return json({
      results: [
        {
          name: 'private-apps-api-calls-daily',
          usageLimit: settings.daily,
          currentUsage: this.limits.usedToday(now),
          collectedAt: new Date(now).toISOString(),
          fetchStatus: 'SUCCESS',
          resetsAt: new Date(this.limits.resetsAt(now)).toISOString(),
        },
      ],
    });
  }
}

const NO_EVENTS: EventSource = {
  size: 0,
  created: () => Number.NaN,
  visibleAt: () => Number.NaN,
  meta: () => ({
    id: '',
    type: undefined,
    campaignId: undefined,
    appId: undefined,
    recipient: undefined,
    filtered: false,
  }),
  text: () => '',
};

const countable = (event: Raw) => ({
  type: event['type'] as string | undefined,
  obsolete:
    event['type'] === 'SENT' && event['obsoletedBy'] !== undefined && event['obsoletedBy'] !== null,
  unsubscribes:
    event['type'] === 'STATUSCHANGE' && event['portalSubscriptionStatus'] === 'UNSUBSCRIBED',
});

function idOnly(campaign: Raw): Raw {
  return {
    id: campaign['id'],
    appId: campaign['appId'],
    appName: campaign['appName'],
    lastUpdatedTime: campaign['lastUpdatedTime'],
  };
}

/** Troubles that need no answer of the API itself. */
function troubled(
  trouble: Trouble,
  limitHeaders: Readonly<Record<string, string>>,
): Answer | undefined {
  const retryAfter =
    'retryAfter' in trouble && trouble.retryAfter !== undefined
      ? { 'Retry-After': trouble.retryAfter }
      : {};
  switch (trouble.kind) {
    case 'status':
      return trouble.body === undefined
        ? failure(trouble.status, `status ${trouble.status}`, {}, retryAfter)
        : {
            status: trouble.status,
            headers: { 'Content-Type': 'text/html', ...retryAfter },
            body: trouble.body,
            ending: 'whole',
          };
    case 'rate_limit':
      return tooMany(trouble.policyName, { ...limitHeaders, ...retryAfter });
    case 'migrating':
      return failure(
        477,
        'This account is being migrated between data hosting locations.',
        { category: 'MIGRATION_IN_PROGRESS' },
        retryAfter,
      );
    case 'no_answer':
      return unanswered('none');
    case 'hang':
      return unanswered('hang');
    default:
      return undefined;
  }
}
