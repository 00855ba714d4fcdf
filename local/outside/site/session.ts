/** One visit of a simulated reader, as the events that the website publishes about it. */

import { DAY, dayOf } from '../history.ts';
import { between, type Draw, draws, hash, pick } from '../random.ts';
import { type Content, hexId, type Plan } from './plan.ts';

/** An event as it is published; see schemas/website/sources/site_events.ts. */
export interface SiteEvent {
  readonly event_id?: string;
  readonly user_id: string | null;
  readonly event_type: string;
  readonly description: string;
  readonly entity_type?: string;
  readonly entity_id?: string;
  readonly session_id?: string;
  readonly props: Readonly<Record<string, unknown>>;
  readonly request: Readonly<Record<string, unknown>>;
  readonly occurred_at: string;
}

/** An event, and when it happened in ms (the text has microseconds). */
export interface Happening {
  readonly at: number;
  readonly event: SiteEvent;
}

const SITE = 'https://reading.example';

interface Way {
  readonly referrer?: string;
  readonly utm?: Readonly<Record<string, string>>;
}

/** How readers come, by the channel that the tables are to find. */
const WAYS: readonly { readonly weight: number; readonly value: Way }[] = [
  { weight: 34, value: {} },
  { weight: 22, value: { referrer: 'https://www.google.com/' } },
  { weight: 6, value: { referrer: 'https://duckduckgo.com/' } },
  { weight: 9, value: { referrer: 'https://t.co/x1' } },
  { weight: 6, value: { referrer: 'https://www.facebook.com/' } },
  { weight: 7, value: { referrer: 'https://blog.neighbour.example/links' } },
  { weight: 8, value: { utm: { source: 'hubspot', medium: 'email', campaign: 'weekly' } } },
  { weight: 8, value: { utm: { source: 'google', medium: 'cpc', campaign: 'brand' } } },
];
const SOCIAL: Way = { referrer: 'https://www.reddit.com/r/all/' };

interface Machine {
  readonly device: string;
  readonly browser: string;
  readonly platform: string;
}

const MACHINES: readonly { readonly weight: number; readonly value: Machine }[] = [
  { weight: 28, value: { device: 'Mobile', browser: 'Chrome', platform: 'Android' } },
  { weight: 20, value: { device: 'Mobile', browser: 'Safari', platform: 'iOS' } },
  { weight: 24, value: { device: 'Desktop', browser: 'Chrome', platform: 'Windows' } },
  { weight: 10, value: { device: 'Desktop', browser: 'Firefox', platform: 'Linux' } },
  { weight: 8, value: { device: 'Desktop', browser: 'Safari', platform: 'MacOS' } },
  { weight: 10, value: { device: 'Tablet', browser: 'Safari', platform: 'iOS' } },
];

const within = (day: string, { from, to }: { readonly from: string; readonly to: string }) =>
  from <= day && day <= to;

/** The events of the n-th session that begins on a day, in order; those after `until` left out. */
export function session(plan: Plan, dayNumber: number, n: number): readonly Happening[] {
  const { seed, planted, content } = plan;
  const begin = plan.start + dayNumber * DAY;
  const day = dayOf(begin);
  const draw = draws(hash(seed, dayNumber, n, 21));
  const length = Math.min(DAY, plan.until - begin);
  // Few read at night: the two draws meet in the middle of the day. Some go on past midnight.
  const late = draw() < 0.03 && length === DAY;
  const began = begin + (late ? length - draw() * 600_000 : ((draw() + draw()) / 2) * length);
  const toViral = within(day, planted.viral) && draw() < 0.5;
  const byLetter = !toViral && within(day, planted.campaign) && draw() < 0.35;
  const way: Way = toViral
    ? SOCIAL
    : byLetter
      ? { utm: { source: 'hubspot', medium: 'email', campaign: planted.campaign.name } }
      : pick(draw, WAYS);
  // Some come far more often than others.
  const visitor = Math.floor(draw() ** 2 * plan.visitors);
  const known = draw() < 0.8;
  const machine = pick(draws(hash(seed, visitor, 22)), MACHINES);
  // An old app keeps no sessions.
  const sessionId =
    hash(seed, visitor, 23) % 10 === 0 ? undefined : hexId(32, seed, dayNumber, n, 24);
  const numbered = hash(seed, visitor, 25) % 2 === 0;
  const reader = known || sessionId === undefined ? hexId(24, seed, visitor, 26) : null;
  const found: Happening[] = [];
  let at = began;
  let user: string | null = reader;

  const happen = (
    type: string,
    about?: Content,
    props: Readonly<Record<string, unknown>> = {},
  ): void => {
    if (at >= plan.until) return;
    const path = about === undefined ? `/${type}` : `/${about.type}s/${about.id}`;
    const first = found.length === 0;
    const query =
      first && way.utm !== undefined
        ? `?${Object.entries(way.utm)
            .map(([name, value]) => `utm_${name}=${value}`)
            .join('&')}`
        : '';
    const ip_address = `203.0.113.${hash(seed, visitor, 27) % 250}`;
    const referrer = first ? way.referrer : `${SITE}/`;
    found.push({
      at,
      event: {
        ...(numbered ? { event_id: hexId(24, seed, dayNumber, n, found.length, 28) } : {}),
        user_id: user,
        event_type: type,
        description: `${user === null ? 'a reader' : `reader ${user.slice(0, 6)}`}: ${type}`,
        ...(about === undefined ? {} : { entity_type: about.type, entity_id: about.id }),
        ...(sessionId === undefined ? {} : { session_id: sessionId }),
        props: {
          geo_location: '',
          ip_address,
          ...machine,
          page_url: `${SITE}${path}${query}`,
          ...(referrer === undefined ? {} : { referrer }),
          ...props,
        },
        request: { method: type === 'view' ? 'GET' : 'POST', path: `/api/v1${path}`, ip_address },
        occurred_at: instant(at, hash(seed, dayNumber, n, found.length, 29) % 1000),
      },
    });
  };

  const pages = 1 + Math.floor(-Math.log(1 - draw() * 0.98) * 1.7);
  for (let page = 0; page < pages; page++) {
    const about = toViral && page === 0 ? viralOf(plan) : favourite(draw, content);
    happen('view', about);
    at += between(draw, 8, 240) * 1000;
    if (draw() < 0.14) happen('like', about);
    if (draw() < 0.05) happen('comment', about);
    if (draw() < 0.03) happen('share', about);
    if (about.type === 'poll' && day >= planted.newType.from) {
      at += 1000;
      happen(planted.newType.eventType, about, { option: between(draw, 1, 4) });
    }
    at += between(draw, 5, 60) * 1000;
  }
  if (draw() < (byLetter ? 0.3 : 0.12)) {
    happen('signup_start');
    at += between(draw, 20, 180) * 1000;
    const broken = machine.device === 'Mobile' && within(day, planted.signupBug);
    if (draw() < (broken ? 0.03 : 0.6)) {
      // From here on the website knows who it is.
      user = hexId(24, seed, visitor, 26);
      happen('signup');
      at += between(draw, 20, 300) * 1000;
      if (draw() < 0.25) {
        happen('subscribe', undefined, { amount: pick(draw, PLANS), currency: 'EUR' });
      }
    }
  } else if (reader !== null && draw() < 0.03) {
    const cents = between(draw, 100, 9_999);
    const amount = `${Math.floor(cents / 100)}.${String(cents % 100).padStart(2, '0')}`;
    happen('donate', undefined, { amount, currency: 'EUR' });
  }
  return found;
}

const PLANS = [
  { weight: 70, value: 4.99 },
  { weight: 30, value: 49.9 },
] as const;

const viralOf = ({ content, planted }: Plan): Content =>
  content.find(({ id }) => id === planted.viral.entityId) as Content;

/** Few pieces get most of the readers. */
const favourite = (draw: Draw, content: readonly Content[]): Content =>
  content[Math.floor(draw() ** 1.8 * (content.length - 1))] as Content;

const instant = (ms: number, micros: number): string =>
  `${new Date(ms).toISOString().slice(0, 23)}${String(micros).padStart(3, '0')}Z`;
