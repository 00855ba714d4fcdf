import type { Campaign } from './campaigns.ts';
import { OWNERS } from './campaigns.ts';
import { HARD_CATEGORIES, type Happening, type Journey } from './journey.ts';
import type { SeededAccount } from './seeded.ts';

/** One campaign and day of sending, counted by the definitions of `campaign_performance`. */
interface CampaignDay {
  readonly campaign_id: string;
  readonly sent_date: string;
  sent: number;
  delivered: number;
  hard_bounced: number;
  soft_bounced: number;
  dropped: number;
  unique_opens: number;
  unique_human_opens: number;
  total_opens: number;
  unique_clicks: number;
  unique_human_clicks: number;
  total_clicks: number;
  unsubscribed: number;
  spam_reported: number;
}

interface CampaignFact extends Omit<CampaignDay, 'sent_date'> {
  readonly name: string;
  /** Primary team of the publisher, else of the creator; null = nobody known. */
  readonly team: string | null;
  /** Unique human openers over delivered. */
  readonly human_open_rate: number;
}

export interface Facts {
  readonly as_of: string;
  readonly events: number;
  readonly events_by_type: Readonly<Record<string, number>>;
  readonly campaign_days: readonly CampaignDay[];
  readonly campaigns: readonly CampaignFact[];
  /** By human_open_rate. */
  readonly best_campaign: CampaignFact;
  readonly worst_campaign: CampaignFact;
  /** Hour of the send (UTC) with the largest share of human openers among the delivered. */
  readonly best_send_hour: {
    readonly hour: number;
    readonly human_open_rate: number;
    readonly next_best_rate: number;
  };
  /** More than half of this campaign's human OPENs come from one country. */
  readonly country: {
    readonly campaign_id: string;
    readonly country_code: string;
    readonly opens: number;
    readonly opens_of_campaign: number;
  };
  /** Only this campaign's readers use this browser. */
  readonly device: {
    readonly campaign_id: string;
    readonly browser: string;
    readonly device_type: string;
    readonly opens: number;
  };
  /** OPENs and CLICKs that no person made. */
  readonly bots: {
    readonly filtered_opens: number;
    readonly burst_events: number;
    readonly share_of_opens_and_clicks: number;
  };
  readonly bounce_wave: {
    readonly campaign_id: string;
    readonly recipient_domain: string;
    readonly sent: number;
    readonly hard_bounced: number;
  };
  /** Human CLICKs at least 21 days after the send. */
  readonly late_clicks: { readonly campaign_id: string; readonly clicks: number };
  /** The millisecond with more events than a page. */
  readonly flood: {
    readonly campaign_id: string;
    readonly created: number;
    readonly events: number;
  };
  readonly obsoleted_sends: number;
  readonly bounce_categories: Readonly<Record<string, number>>;
  readonly contacts: {
    readonly active: number;
    readonly archived: number;
    readonly merged: number;
    readonly privacy_deleted: number;
  };
}

const DAY = 86_400_000;
const FOOTER = ['/hs/manage-preferences/', '/hs/preferences-center/'];

/** The truth about the seeded account at `now` (ms), counted send by send, never through the API. */
export function factsOf(account: SeededAccount, now: number): Facts {
  const byType: Record<string, number> = {};
  const categories: Record<string, number> = {};
  const days = new Map<string, CampaignDay>();
  const hours = Array.from({ length: 24 }, () => ({ delivered: 0, opened: 0 }));
  const planted = (plant: Campaign['plant']): Campaign =>
    account.campaigns.find((one) => one.plant === plant) as Campaign;
  const wave = {
    campaign_id: String(planted('bounce_wave').id),
    recipient_domain: 'oldmail.example',
    sent: 0,
    hard_bounced: 0,
  };
  const country = {
    campaign_id: String(planted('country').id),
    country_code: 'PT',
    opens: 0,
    opens_of_campaign: 0,
  };
  const device = {
    campaign_id: String(planted('device').id),
    browser: 'Samsung Internet',
    device_type: 'MOBILE',
    opens: 0,
  };
  const late = { campaign_id: String(planted('late_clicks').id), clicks: 0 };
  const flood = {
    campaign_id: String(planted('flood').id),
    created: planted('flood').startAt + 45 * 60_000,
    events: 0,
  };
  const bots = { filtered_opens: 0, burst_events: 0 };
  let events = 0;
  let reactions = 0;
  let obsoleted = 0;

  for (let send = 0; send < account.sends; send++) {
    const of = account.journeyOf(send);
    const seen = of.happenings.filter((one) => one.created <= now);
    if (seen.length === 0) continue;
    const day = dayOf(days, of);
    const has = (test: (one: Happening) => boolean): boolean => seen.some(test);
    const total = (test: (one: Happening) => boolean): number => seen.filter(test).length;
    for (const one of seen) {
      events++;
      const type = one.type === 'UNBOUNCE' ? '' : one.type;
      byType[type] = (byType[type] ?? 0) + 1;
      if (one.type === 'BOUNCE')
        categories[one.reason as string] = (categories[one.reason as string] ?? 0) + 1;
      if (
        of.campaign.plant === 'flood' &&
        one.type === 'PROCESSED' &&
        one.created === flood.created
      )
        flood.events++;
    }
    const isHuman = (one: Happening): boolean => one.filtered !== true && one.burst !== true;
    const isOpen = (one: Happening): boolean => one.type === 'OPEN';
    const isClick = (one: Happening): boolean =>
      one.type === 'CLICK' && !FOOTER.some((path) => (one.link as string).includes(path));
    reactions += total((one) => one.type === 'OPEN' || one.type === 'CLICK');
    bots.filtered_opens += total((one) => isOpen(one) && one.filtered === true);
    bots.burst_events += total((one) => one.burst === true);
    day.dropped += total((one) => one.type === 'DROPPED') > 0 ? 1 : 0;
    const sent = seen.find((one) => one.type === 'SENT');
    if (sent === undefined) continue;
    if (
      sent.obsoletedBy !== undefined &&
      has((one) => one === of.happenings[sent.obsoletedBy as number])
    ) {
      obsoleted++;
      continue;
    }
    const delivered = has((one) => one.type === 'DELIVERED');
    const hard = has(
      (one) => one.type === 'BOUNCE' && HARD_CATEGORIES.includes(one.reason as string),
    );
    const humanOpen = has((one) => (isOpen(one) || isClick(one)) && isHuman(one));
    day.sent++;
    day.delivered += delivered ? 1 : 0;
    day.hard_bounced += hard ? 1 : 0;
    day.soft_bounced += !hard && has((one) => one.type === 'BOUNCE') ? 1 : 0;
    day.unique_opens += has((one) => isOpen(one) || isClick(one)) ? 1 : 0;
    day.unique_human_opens += humanOpen ? 1 : 0;
    day.total_opens += total(isOpen);
    day.unique_clicks += has(isClick) ? 1 : 0;
    day.unique_human_clicks += has((one) => isClick(one) && isHuman(one)) ? 1 : 0;
    day.total_clicks += total(isClick);
    day.unsubscribed += has((one) => one.type === 'STATUSCHANGE') ? 1 : 0;
    day.spam_reported += has((one) => one.type === 'SPAMREPORT') ? 1 : 0;
    if (delivered) {
      const hour = hours[new Date(of.sentAt).getUTCHours()] as {
        delivered: number;
        opened: number;
      };
      hour.delivered++;
      hour.opened += humanOpen ? 1 : 0;
    }
    const { plant } = of.campaign;
    if (plant === 'bounce_wave' && of.recipient.endsWith(`@${wave.recipient_domain}`)) {
      wave.sent++;
      wave.hard_bounced += hard ? 1 : 0;
    }
    if (plant === 'country') {
      country.opens_of_campaign += total((one) => isOpen(one) && isHuman(one));
      country.opens += total((one) => isOpen(one) && one.country === 'PT');
    }
    device.opens += total((one) => isOpen(one) && one.client?.browser?.['name'] === device.browser);
    if (plant === 'late_clicks') {
      late.clicks += total(
        (one) => isClick(one) && isHuman(one) && one.created - of.sentAt >= 21 * DAY,
      );
    }
  }

  const campaignDays = [...days.values()].sort((a, b) =>
    `${a.campaign_id}${a.sent_date}` < `${b.campaign_id}${b.sent_date}` ? -1 : 1,
  );
  const campaigns = account.campaigns.map((one) => factOf(account, one, campaignDays));
  const ranked = [...campaigns].sort((a, b) => b.human_open_rate - a.human_open_rate);
  const rates = hours
    .map((one, hour) => ({ hour, rate: one.delivered === 0 ? 0 : one.opened / one.delivered }))
    .sort((a, b) => b.rate - a.rate);
  const [best, next] = rates as [(typeof rates)[number], (typeof rates)[number]];
  return {
    as_of: new Date(now).toISOString(),
    events,
    events_by_type: byType,
    campaign_days: campaignDays,
    campaigns,
    best_campaign: ranked[0] as CampaignFact,
    worst_campaign: ranked[ranked.length - 1] as CampaignFact,
    best_send_hour: { hour: best.hour, human_open_rate: best.rate, next_best_rate: next.rate },
    country,
    device,
    bots: {
      ...bots,
      share_of_opens_and_clicks:
        reactions === 0 ? 0 : (bots.filtered_opens + bots.burst_events) / reactions,
    },
    bounce_wave: wave,
    late_clicks: late,
    flood,
    obsoleted_sends: obsoleted,
    bounce_categories: categories,
    contacts: contactFacts(account, now),
  };
}

function dayOf(days: Map<string, CampaignDay>, of: Journey): CampaignDay {
  const campaign_id = String(of.campaign.id);
  const sent_date = new Date(of.sentAt).toISOString().slice(0, 10);
  const key = `${campaign_id} ${sent_date}`;
  let day = days.get(key);
  if (day === undefined) {
    day = {
      campaign_id,
      sent_date,
      sent: 0,
      delivered: 0,
      hard_bounced: 0,
      soft_bounced: 0,
      dropped: 0,
      unique_opens: 0,
      unique_human_opens: 0,
      total_opens: 0,
      unique_clicks: 0,
      unique_human_clicks: 0,
      total_clicks: 0,
      unsubscribed: 0,
      spam_reported: 0,
    };
    days.set(key, day);
  }
  return day;
}

function factOf(
  account: SeededAccount,
  campaign: Campaign,
  days: readonly CampaignDay[],
): CampaignFact {
  const own = days.filter((one) => one.campaign_id === String(campaign.id));
  const sum = (name: Exclude<keyof CampaignDay, 'campaign_id' | 'sent_date'>): number =>
    own.reduce((total, one) => total + one[name], 0);
  const delivered = sum('delivered');
  return {
    campaign_id: String(campaign.id),
    name: campaign.name,
    team: teamOf(account, campaign),
    sent: sum('sent'),
    delivered,
    hard_bounced: sum('hard_bounced'),
    soft_bounced: sum('soft_bounced'),
    dropped: sum('dropped'),
    unique_opens: sum('unique_opens'),
    unique_human_opens: sum('unique_human_opens'),
    total_opens: sum('total_opens'),
    unique_clicks: sum('unique_clicks'),
    unique_human_clicks: sum('unique_human_clicks'),
    total_clicks: sum('total_clicks'),
    unsubscribed: sum('unsubscribed'),
    spam_reported: sum('spam_reported'),
    human_open_rate: delivered === 0 ? 0 : sum('unique_human_opens') / delivered,
  };
}

function teamOf(account: SeededAccount, campaign: Campaign): string | null {
  const email = account.emails.find((one) => one.id === campaign.marketingEmailId);
  const userId = email?.publishedById ?? email?.createdById;
  const owner = OWNERS.find((one) => String(one.userId) === userId);
  return owner?.teams.find((one) => one.primary)?.name ?? null;
}

function contactFacts(account: SeededAccount, now: number): Facts['contacts'] {
  const { people } = account;
  const counts = { active: 0, archived: 0, merged: 0, privacy_deleted: 0 };
  for (let i = 0; i < people.size; i++) {
    const contact = people.at(i, now);
    const fate = people.fate(i);
    if (contact !== undefined) counts[contact.archived ? 'archived' : 'active']++;
    else if (fate.kind === 'merged' && fate.at <= now) counts.merged++;
    else if (fate.kind === 'privacy_deleted' && fate.at <= now) counts.privacy_deleted++;
  }
  return counts;
}
