import { between, type Draw, draws, hash, pick } from '../random.ts';
import { type Campaign, sentAt } from './campaigns.ts';
import {
  CLIENTS,
  type Client,
  LINKS,
  MACHINE,
  PLANTED_CLIENT,
  PREFERENCES_LINK,
  SCANNER,
  UNSUBSCRIBE_LINK,
} from './clients.ts';
import { COUNTRIES, type Country, type People } from './people.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** One event of a send, before it is written out as JSON. */
export interface Happening {
  readonly type: string;
  readonly created: number;
  /** Events with the same number share an id (HubSpot reuses ids with another `created`). */
  readonly id: number;
  readonly filtered?: boolean;
  /** Part of a security scanner's burst. */
  readonly burst?: boolean;
  readonly client?: Client;
  readonly place?: string;
  readonly country?: string;
  readonly link?: string;
  /** Bounce category, drop or suppression reason, or the number of a deferral's attempt. */
  readonly reason?: string;
  /** The happening (its place in the list) that this one names in `causedBy`. */
  readonly cause?: number;
  /** The later happening that makes this SENT void. */
  readonly obsoletedBy?: number;
  readonly names?: 'sentBy' | 'causedBy' | 'both' | 'none';
  readonly duration?: number;
}

export interface Journey {
  readonly campaign: Campaign;
  readonly contact: number;
  readonly recipient: string;
  readonly sentAt: number;
  readonly happenings: readonly Happening[];
}

/** HubSpot's types that this account has, the unknown one included. */
const UNKNOWN_TYPE = 'INBOX_SUMMARY_VIEWED';
const DROP_REASONS = [
  'PREVIOUSLY_UNSUBSCRIBED_PORTAL',
  'PREVIOUSLY_BOUNCED',
  'PREVIOUS_SPAM',
  'NON_MARKETABLE_CONTACT',
  'GRAYMAIL_SUPPRESSED',
];
export const HARD_CATEGORIES: readonly string[] = ['UNKNOWN_USER'];
const SOFT_CATEGORIES = [
  { weight: 55, value: 'THROTTLED' },
  { weight: 30, value: 'MAILBOX_FULL' },
  { weight: 12, value: 'GREYLISTING' },
  { weight: 3, value: 'ROUTING_ANOMALY' },
];
/** The hour of the day (UTC) that does best. */
const BEST_HOUR = 10;

export interface Cast {
  readonly seed: number;
  readonly people: People;
  readonly mailed: number;
  /** How many PROCESSED events of the flood campaign share one millisecond. */
  readonly flood: number;
}

/** Which contact the campaign's `k`-th send goes to: nobody twice within a campaign. */
export function contactOf(cast: Cast, campaign: Campaign, k: number): number {
  const step = 7_919;
  const start = hash(cast.seed, campaign.index, 91) % cast.mailed;
  return (start + k * step) % cast.mailed;
}

/** Everything that ever happens to one send, in no particular order; a function of its arguments. */
export function journey(cast: Cast, campaign: Campaign, k: number): Journey {
  const { seed, people } = cast;
  const contact = contactOf(cast, campaign, k);
  const draw = draws(hash(seed, campaign.index, k, 95));
  const sent = sentAt(campaign, seed, k);
  const recipient = people.addressAt(contact, sent);
  const happenings: Happening[] = [];
  const fate = people.fate(contact);
  if (fate.kind === 'stays' || fate.at > sent)
    act(cast, campaign, k, contact, draw, sent, happenings);
  return { campaign, contact, recipient, sentAt: sent, happenings };
}

function act(
  cast: Cast,
  campaign: Campaign,
  k: number,
  contact: number,
  draw: Draw,
  sent: number,
  out: Happening[],
): void {
  const domain = cast.people.domain(contact);
  const add = (type: string, created: number, more: Partial<Happening> = {}): number =>
    out.push({ type, created, id: out.length, ...more }) - 1;

  const dice = draw();
  if (dice < 0.008) {
    add('DROPPED', sent, { reason: pickOne(draw, DROP_REASONS), names: 'none' });
    return;
  }
  if (dice < 0.012) {
    add('SUPPRESSED', sent, { reason: 'GRAYMAIL_SUPPRESSED', names: 'none' });
    return;
  }
  if (dice < 0.018) {
    // Sent, then dropped by the mail system: the SENT is void, sometimes hours later, the same day.
    const after = draw() < 0.25 ? between(draw, HOUR, 4 * HOUR) : between(draw, 100, 900);
    add('SENT', sent, { obsoletedBy: 1, names: 'none' });
    add('DROPPED', sent + after, { reason: pickOne(draw, DROP_REASONS), names: 'none' });
    return;
  }
  add('SENT', sent, { names: 'none' });
  const flooded = campaign.plant === 'flood' && k < cast.flood;
  // One millisecond with more events than a page holds.
  const processed = flooded ? campaign.startAt + 45 * MINUTE : sent + between(draw, 300, 2_000);
  add('PROCESSED', processed);

  const wave = campaign.plant === 'bounce_wave' && domain.role === 'bounce_wave';
  if (draw() < (wave ? 0.7 : 0.006)) {
    const bounce = add('BOUNCE', processed + between(draw, 500, 20_000), {
      reason: HARD_CATEGORIES[0] as string,
    });
    if (draw() < 0.15) {
      add('UNBOUNCE', processed + between(draw, DAY, 3 * DAY), {
        cause: bounce,
        names: 'causedBy',
      });
    }
    return;
  }
  let delivered = processed + between(draw, 700, 15_000);
  if (draw() < 0.03) {
    const attempts = between(draw, 1, 3);
    for (let n = 1; n <= attempts; n++) {
      add('DEFERRED', delivered, { reason: String(n) });
      delivered += between(draw, 2 * MINUTE, 20 * MINUTE);
    }
    if (draw() < 0.3) {
      add('BOUNCE', delivered, { reason: pick(draw, SOFT_CATEGORIES) });
      return;
    }
  }
  add('DELIVERED', delivered);

  if (domain.role === 'machine_opens' && draw() < 0.95) {
    add('OPEN', delivered + between(draw, 800, 6_000), {
      filtered: true,
      client: MACHINE,
      duration: 0,
    });
  }
  if (domain.role === 'link_scanner' && draw() < 0.8) {
    const at = delivered + between(draw, 35 * SECOND, 55 * SECOND);
    add('OPEN', at, { filtered: false, burst: true, client: SCANNER, duration: 0 });
    const clicks = between(draw, 5, 8);
    for (let n = 0; n < clicks; n++) {
      add('CLICK', at + 100 + n * 100, {
        filtered: false,
        burst: true,
        client: SCANNER,
        link: LINKS[n % LINKS.length] as string,
      });
    }
  }
  read(cast, campaign, contact, draw, delivered, out, add);
}

/** What the person does: opens, clicks, forwards, leaves. */
function read(
  cast: Cast,
  campaign: Campaign,
  contact: number,
  draw: Draw,
  delivered: number,
  out: readonly Happening[],
  add: (type: string, created: number, more?: Partial<Happening>) => number,
): void {
  const hour = new Date(delivered).getUTCHours();
  const keenness = 0.6 + (hash(cast.seed, contact, 97) % 800) / 1_000;
  const chance = Math.min(0.9, campaign.appeal * keenness * (hour === BEST_HOUR ? 1.5 : 1));
  const home = cast.people.country(contact);
  const abroad = campaign.plant === 'country' && draw() < 0.6;
  const country = abroad ? (COUNTRIES.find((one) => one.code === 'PT') as Country) : home;
  const client = campaign.plant === 'device' && draw() < 0.75 ? PLANTED_CLIENT : pickClient(draw);
  const where = (): Partial<Happening> => ({
    filtered: false,
    client,
    country: country.code,
    place: country.spellings[between(draw, 0, country.spellings.length - 1)] as string,
  });
  // Never within two minutes of the delivery, so that no person looks like a scanner's burst.
  const delay = (): number => 2 * MINUTE + Math.floor(HOUR * Math.exp(1.3 * gauss(draw)));

  if (campaign.plant === 'late_clicks' && draw() < 0.05) {
    const at = delivered + between(draw, 22 * DAY, 29 * DAY);
    add('OPEN', at, { ...where(), duration: between(draw, 2_000, 40_000) });
    add('CLICK', at + between(draw, 5 * SECOND, 60 * SECOND), { ...where(), link: LINKS[3] });
    return;
  }
  if (draw() >= chance) {
    // Clicked with images off: a click and no open.
    if (draw() < 0.004) add('CLICK', delivered + delay(), { ...where(), link: LINKS[0] });
    return;
  }
  const openedAt = delivered + (draw() < 0.02 ? between(draw, 7 * DAY, 25 * DAY) : delay());
  const open = add('OPEN', openedAt, { ...where(), duration: between(draw, 500, 60_000) });
  const again = draw() < 0.3 ? between(draw, 1, 3) : 0;
  for (let n = 0; n < again; n++) {
    const reused = draw() < 0.03 ? { id: (out[open] as Happening).id } : {};
    add('OPEN', openedAt + between(draw, 3 * MINUTE, 2 * DAY), {
      ...where(),
      ...reused,
      duration: between(draw, 500, 30_000),
    });
  }
  if (draw() < 0.28) {
    const clicks = draw() < 0.25 ? 2 : 1;
    for (let n = 0; n < clicks; n++) {
      add('CLICK', openedAt + between(draw, 4 * SECOND, 10 * MINUTE) + n * MINUTE, {
        ...where(),
        link: LINKS[between(draw, 0, LINKS.length - 1)] as string,
      });
    }
  }
  const mood = draw();
  if (mood < 0.008) {
    const click = add('CLICK', openedAt + between(draw, 10 * SECOND, MINUTE), {
      ...where(),
      link: UNSUBSCRIBE_LINK,
    });
    const names = (['sentBy', 'causedBy', 'both'] as const)[between(draw, 0, 2)] as 'sentBy';
    add('STATUSCHANGE', (out[click] as Happening).created + between(draw, SECOND, 20 * SECOND), {
      names,
      cause: 0,
    });
  } else if (mood < 0.014) {
    add('CLICK', openedAt + between(draw, 10 * SECOND, MINUTE), {
      ...where(),
      link: PREFERENCES_LINK,
    });
  } else if (mood < 0.016) {
    add('SPAMREPORT', openedAt + between(draw, 5 * SECOND, HOUR));
  } else if (mood < 0.02) {
    add('FORWARD', openedAt + between(draw, 10 * SECOND, HOUR), where());
  } else if (mood < 0.022) {
    add('PRINT', openedAt + between(draw, 10 * SECOND, HOUR), where());
  } else if (mood < 0.026) {
    add(UNKNOWN_TYPE, openedAt + between(draw, SECOND, MINUTE));
  }
}

const pickOne = (draw: Draw, all: readonly string[]): string =>
  all[between(draw, 0, all.length - 1)] as string;

const CLIENT_WEIGHT = CLIENTS.reduce((sum, one) => sum + one.weight, 0);
function pickClient(draw: Draw): Client {
  let at = draw() * CLIENT_WEIGHT;
  for (const client of CLIENTS) {
    at -= client.weight;
    if (at < 0) return client;
  }
  return CLIENTS[0] as Client;
}

/** Standard normal, near enough: twelve uniform numbers. */
function gauss(draw: Draw): number {
  let sum = -6;
  for (let n = 0; n < 12; n++) sum += draw();
  return sum;
}
