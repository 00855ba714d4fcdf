import { hash, uuid } from '../random.ts';
import { type Campaign, HISTORY_MS, type MarketingEmail, planCampaigns } from './campaigns.ts';
import { type Counters, count, type EventMeta, type EventSource } from './event_source.ts';
import { type Cast, type Happening, type Journey, journey } from './journey.ts';
import { type People, seededPeople } from './people.ts';

const PORTAL_ID = 4_727_653;
const EVENTS_PER_SEND = 3.75;
const SLOTS = 32;
const FLOOD = 1_200;
/** Sends whose course is kept in memory. */
const RECENT = 4_096;

export interface SeededAccount {
  readonly until: number;
  readonly campaigns: readonly Campaign[];
  readonly emails: readonly MarketingEmail[];
  readonly people: People;
  readonly events: EventSource;
  readonly sends: number;
  journeyOf(send: number): Journey;
  /** Counters per campaign id of what exists at `now`. */
  counters(now: number): ReadonlyMap<string, Counters>;
}

/**
 * A made-up HubSpot account whose content depends on `seed`, `until` (ms) and `events` (about how
 * many) only. In memory it is eight bytes an event, (time, send, place in the send) in order; the
 * event itself is produced again whenever a page shows it. Events after `until` exist too (late
 * openings, contacts that change): they appear as the clock passes them.
 */
export function seededAccount(options: {
  readonly seed: number;
  readonly until: number;
  readonly events: number;
  /** A share of the events that the index shows only up to `maxMs` after their time. */
  readonly late?: { readonly share: number; readonly maxMs: number };
}): SeededAccount {
  const { seed, until } = options;
  const { campaigns, emails } = planCampaigns({
    seed,
    until,
    sends: Math.round(options.events / EVENTS_PER_SEND),
  });
  const last = campaigns[campaigns.length - 1] as Campaign;
  const sends = last.firstSend + last.sends;
  let mailed = Math.ceil(Math.max(...campaigns.map((one) => one.sends)) * 1.25);
  if (mailed % 7_919 === 0) mailed++;
  const people = seededPeople({
    seed,
    until,
    historyMs: HISTORY_MS,
    size: Math.ceil(mailed * 1.05),
    mailed,
  });
  const largest = campaigns.find((one) => one.plant === 'flood') as Campaign;
  const cast: Cast = {
    seed,
    people,
    mailed,
    flood: largest.sends > FLOOD * 1.25 ? FLOOD : Math.floor(largest.sends / 3),
  };

  const campaignOf = (send: number): Campaign => {
    let low = 0;
    let high = campaigns.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((campaigns[middle] as Campaign).firstSend <= send) low = middle;
      else high = middle - 1;
    }
    return campaigns[low] as Campaign;
  };
  // A send's first events stand near each other in time: most are asked for again at once.
  const recent: ({ readonly send: number; readonly one: Journey } | undefined)[] = [];
  const journeyOf = (send: number): Journey => {
    const held = recent[send % RECENT];
    if (held?.send === send) return held.one;
    const campaign = campaignOf(send);
    const one = journey(cast, campaign, send - campaign.firstSend);
    recent[send % RECENT] = { send, one };
    return one;
  };

  const origin = until - HISTORY_MS - 86_400_000;
  const keys = orderedKeys(sends, journeyOf, origin);
  const words = new Uint32Array(keys.buffer, 0, keys.length * 2);
  const createdOf = (position: number): number =>
    origin +
    (words[position * 2 + 1] as number) * REST +
    Math.floor((words[position * 2] as number) / REF);
  const located = (
    position: number,
  ): { readonly one: Journey; readonly slot: number; readonly send: number } => {
    const ref = (words[position * 2] as number) % REF;
    const send = Math.floor(ref / SLOTS);
    return { one: journeyOf(send), slot: ref % SLOTS, send };
  };
  const { late } = options;
  const events: EventSource = {
    size: keys.length,
    created: createdOf,
    visibleAt(position) {
      const created = createdOf(position);
      if (late === undefined) return created;
      const h = hash(seed, (words[position * 2] as number) | 0, 111);
      return h % 10_000 < late.share * 10_000 ? created + (hash(h, 1) % late.maxMs) : created;
    },
    meta(position) {
      const { one, slot, send } = located(position);
      return metaOf(seed, send, one, one.happenings[slot] as Happening);
    },
    text(position, now) {
      const { one, slot, send } = located(position);
      return JSON.stringify(asEvent(seed, send, one, one.happenings[slot] as Happening, now));
    },
  };

  let counted:
    | { readonly now: number; readonly counters: ReadonlyMap<string, Counters> }
    | undefined;
  return {
    until,
    campaigns,
    emails,
    people,
    events,
    sends,
    journeyOf,
    counters(now) {
      if (counted !== undefined && now >= counted.now && now - counted.now < 60_000)
        return counted.counters;
      const counters = new Map<string, Counters>();
      for (const campaign of campaigns) {
        const own: Counters = {};
        for (let k = 0; k < campaign.sends; k++) {
          const { happenings } = journey(cast, campaign, k);
          for (const one of happenings) {
            if (one.created > now) continue;
            const voidedBy =
              one.obsoletedBy === undefined ? undefined : happenings[one.obsoletedBy];
            count(own, {
              type: one.type === 'UNBOUNCE' ? undefined : one.type,
              obsolete: voidedBy !== undefined && voidedBy.created <= now,
              unsubscribes: one.type === 'STATUSCHANGE',
            });
          }
        }
        counters.set(String(campaign.id), own);
      }
      counted = { now, counters };
      return counters;
    },
  };
}

/** 27 bits of (send, slot) below 37 bits of ms: one 64-bit key sorts by time, then by send. */
const REF = 2 ** 27;
const REST = 2 ** 5;

function orderedKeys(
  sends: number,
  journeyOf: (send: number) => Journey,
  origin: number,
): BigUint64Array {
  let words = new Uint32Array(1 << 16);
  let size = 0;
  for (let send = 0; send < sends; send++) {
    const { happenings } = journeyOf(send);
    for (let slot = 0; slot < happenings.length; slot++) {
      if (size + 2 > words.length) {
        const larger = new Uint32Array(words.length * 2);
        larger.set(words);
        words = larger;
      }
      const ms = (happenings[slot] as Happening).created - origin;
      words[size] = (ms % REST) * REF + send * SLOTS + slot;
      words[size + 1] = Math.floor(ms / REST);
      size += 2;
    }
  }
  return new BigUint64Array(words.buffer, 0, size / 2).sort();
}

const idOf = (seed: number, send: number, one: Happening): string => uuid(seed, send, one.id);
const linkTo = (seed: number, send: number, one: Happening) => ({
  id: idOf(seed, send, one),
  created: one.created,
});

function metaOf(seed: number, send: number, of: Journey, one: Happening): EventMeta {
  const nameless = one.type === 'UNBOUNCE';
  return {
    id: idOf(seed, send, one),
    type: nameless ? undefined : one.type,
    campaignId: nameless ? undefined : String(of.campaign.id),
    appId: nameless ? undefined : String(of.campaign.appId),
    recipient: nameless ? undefined : of.recipient,
    filtered: one.filtered === true,
  };
}

/** The v1 event, fields in the order and forms of HubSpot's documentation. */
function asEvent(
  seed: number,
  send: number,
  of: Journey,
  one: Happening,
  now: number,
): Readonly<Record<string, unknown>> {
  const { campaign } = of;
  const first = of.happenings[0] as Happening;
  const cause = one.cause === undefined ? undefined : (of.happenings[one.cause] as Happening);
  if (one.type === 'UNBOUNCE') {
    return {
      id: idOf(seed, send, one),
      created: one.created,
      ...(cause ? { causedBy: linkTo(seed, send, cause) } : {}),
    };
  }
  const names = one.names ?? 'sentBy';
  const voidedBy =
    one.obsoletedBy === undefined ? undefined : (of.happenings[one.obsoletedBy] as Happening);
  return {
    appName: campaign.appName,
    ...detail(seed, send, of, one),
    ...(voidedBy !== undefined && voidedBy.created <= now
      ? { obsoletedBy: linkTo(seed, send, voidedBy) }
      : {}),
    ...(names === 'sentBy' || names === 'both' ? { sentBy: linkTo(seed, send, first) } : {}),
    ...(names === 'causedBy' || names === 'both'
      ? { causedBy: linkTo(seed, send, cause ?? first) }
      : {}),
    id: idOf(seed, send, one),
    created: one.created,
    type: one.type,
    recipient: of.recipient,
    portalId: PORTAL_ID,
    appId: campaign.appId,
    emailCampaignId: campaign.id,
    emailCampaignGroupId: campaign.groupId,
  };
}

function detail(
  seed: number,
  send: number,
  of: Journey,
  one: Happening,
): Readonly<Record<string, unknown>> {
  const { campaign } = of;
  const envelope = () => ({
    from: 'Brand <news@brand.example>',
    subject: campaign.subject,
    cc: [],
    bcc: [],
    replyTo: ['news@brand.example'],
  });
  const reader = () => ({
    ...(one.client?.deviceType === undefined ? {} : { deviceType: one.client.deviceType }),
    userAgent: one.client?.userAgent ?? '',
    ...(one.client?.browser === undefined ? {} : { browser: one.client.browser }),
    ...(one.place === undefined
      ? {}
      : {
          location: { country: one.place, city: '', state: '' },
          ipAddress: `203.0.113.${hash(seed, send) % 250}`,
        }),
    ...(one.filtered === undefined ? {} : { filteredEvent: one.filtered }),
  });
  switch (one.type) {
    case 'SENT':
      return { ...envelope(), hmid: `h-${send.toString(36)}`, sendId: `s-${send.toString(36)}` };
    case 'DROPPED':
      return { ...envelope(), dropReason: one.reason, dropMessage: 'not sent: see the reason' };
    case 'SUPPRESSED':
      return { suppressedReason: one.reason, suppressedMessage: 'low engagement' };
    case 'PROCESSED':
      return { hmid: `h-${send.toString(36)}` };
    case 'DELIVERED':
      return {
        smtpId: `<${send.toString(36)}@smtp.brand.example>`,
        response: '250 2.0.0 OK 98si3497807qvc.186 - gsmtp',
      };
    case 'DEFERRED':
      return { response: '451 4.7.1 Greylisted, try again later', attempt: Number(one.reason) };
    case 'BOUNCE':
      return one.reason === 'UNKNOWN_USER'
        ? {
            category: one.reason,
            status: '550',
            response: '550 5.1.1 The email account does not exist',
          }
        : { category: one.reason, status: '452', response: '452 4.2.2 try again later' };
    case 'OPEN':
      return { ...reader(), duration: one.duration ?? 0 };
    case 'CLICK':
      return { ...reader(), url: one.link, referer: '', linkId: hash(one.link?.length ?? 0) % 9 };
    case 'STATUSCHANGE':
      return {
        source: 'SOURCE_RECIPIENT',
        requestedBy: of.recipient,
        portalSubscriptionStatus: 'UNSUBSCRIBED',
        subscriptions: [
          {
            id: 7,
            status: 'UNSUBSCRIBED',
            legalBasisChange: {
              legalBasisType: 'CONSENT_WITH_NOTICE',
              legalBasisExplanation: '',
              optState: 'OPT_OUT',
            },
          },
        ],
      };
    case 'SPAMREPORT':
      return { userAgent: '', ipAddress: '' };
    case 'FORWARD':
    case 'PRINT':
      return reader();
    default:
      // A type nobody knows, with fields nobody knows.
      return {
        inboxSummary: { provider: 'assistant', sentences: 2, tone: null },
        confidence: 0.83,
      };
  }
}
