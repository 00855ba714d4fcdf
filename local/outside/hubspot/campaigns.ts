import { hash } from '../random.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** A thing worth finding again, planted in exactly one campaign. */
type Plant = 'best' | 'worst' | 'bounce_wave' | 'late_clicks' | 'country' | 'device' | 'flood';

export interface Campaign {
  readonly index: number;
  /** v1 email campaign id, `emailCampaignId` of its events. */
  readonly id: number;
  readonly name: string;
  readonly subject: string;
  readonly appId: number;
  readonly appName: string;
  readonly type: string;
  readonly groupId: number;
  /** Number of its first send among all sends of the account, and how many it has. */
  readonly firstSend: number;
  readonly sends: number;
  /** A blast begins here; an automated one sends every day from here on. */
  readonly startAt: number;
  readonly days: number;
  /** Chance of a person to open, before hour and person are looked at. */
  readonly appeal: number;
  readonly plant: Plant | undefined;
  readonly marketingEmailId: string | undefined;
}

interface Owner {
  readonly id: string;
  readonly userId: number;
  readonly firstName: string;
  readonly lastName: string;
  readonly archived: boolean;
  readonly teams: readonly {
    readonly id: string;
    readonly name: string;
    readonly primary: boolean;
  }[];
}

export interface MarketingEmail {
  readonly id: string;
  readonly name: string;
  readonly subject: string;
  readonly campaignIds: readonly number[];
  readonly createdById: string | undefined;
  readonly publishedById: string | undefined;
  readonly createdAt: number;
  readonly publishedAt: number;
}

const TEAMS = ['Lifecycle', 'Product News', 'Events', 'Partners', 'Retention'];
const teamOf = (n: number, primary: boolean) => ({
  id: String(4_400 + n),
  name: TEAMS[n] as string,
  primary,
});

/** Nine people in five teams; one has left, one has no team, two work in a second team. */
export const OWNERS: readonly Owner[] = [
  ['Marta', 'Silva', [0]],
  ['Jonas', 'Weber', [1]],
  ['Priya', 'Nair', [2, 0]],
  ['Lucas', 'Martin', [3]],
  ['Sofie', 'de Vries', [4]],
  ['Tomás', 'Ruiz', [1, 3]],
  ['Hannah', 'Cole', [0]],
  ['Ed', 'Former', [2]],
  ['Nia', 'Solo', []],
].map(([firstName, lastName, teams], i) => ({
  id: String(51_000 + i),
  userId: 9_000_100 + i,
  firstName: firstName as string,
  lastName: lastName as string,
  archived: i === 7,
  teams: (teams as number[]).map((team, n) => teamOf(team, n === 0)),
}));

interface Draft {
  readonly name: string;
  readonly share: number;
  readonly daysBefore: number;
  readonly hour: number;
  readonly appeal: number;
  readonly plant?: Plant;
  readonly automated?: true;
  /** Index of the publishing owner; `creator` when only the creator is known. */
  readonly owner?: number;
  readonly creator?: number;
  /** No marketing email at all, or one that names nobody. */
  readonly nobody?: 'no_email' | 'no_person';
}

/** The programme of six weeks. Ten o'clock does best; days before `until`, hours UTC. */
const PROGRAMME: readonly Draft[] = [
  {
    name: 'Autumn collection: first look',
    share: 1.2,
    daysBefore: 20,
    hour: 10,
    appeal: 0.5,
    plant: 'best',
    owner: 1,
  },
  {
    name: 'Terms of service update',
    share: 1.4,
    daysBefore: 16,
    hour: 6,
    appeal: 0.1,
    plant: 'worst',
    nobody: 'no_email',
  },
  {
    name: 'Win-back: we miss you',
    share: 1.0,
    daysBefore: 12,
    hour: 14,
    appeal: 0.18,
    plant: 'bounce_wave',
    owner: 4,
  },
  {
    name: 'Guide: choosing the right size',
    share: 0.9,
    daysBefore: 40,
    hour: 15,
    appeal: 0.3,
    plant: 'late_clicks',
    owner: 6,
  },
  {
    name: 'Lisbon pop-up store',
    share: 0.8,
    daysBefore: 9,
    hour: 13,
    appeal: 0.34,
    plant: 'country',
    owner: 2,
  },
  {
    name: 'App launch: shop from your pocket',
    share: 1.0,
    daysBefore: 18,
    hour: 11,
    appeal: 0.33,
    plant: 'device',
    owner: 5,
  },
  {
    name: 'Flash sale: four hours',
    share: 1.7,
    daysBefore: 6,
    hour: 17,
    appeal: 0.26,
    plant: 'flood',
    owner: 1,
  },
  { name: 'Weekly picks 41', share: 1.0, daysBefore: 41, hour: 8, appeal: 0.25, owner: 0 },
  { name: 'Weekly picks 42', share: 1.0, daysBefore: 34, hour: 9, appeal: 0.26, owner: 0 },
  { name: 'Weekly picks 43', share: 1.0, daysBefore: 27, hour: 10, appeal: 0.25, owner: 0 },
  { name: 'Weekly picks 44', share: 1.0, daysBefore: 13, hour: 9, appeal: 0.27, owner: 6 },
  { name: 'Weekly picks 45', share: 1.0, daysBefore: 5, hour: 8, appeal: 0.26, owner: 6 },
  {
    name: 'Webinar invitation: fabrics',
    share: 0.7,
    daysBefore: 30,
    hour: 15,
    appeal: 0.24,
    owner: 2,
  },
  {
    name: 'Webinar reminder: fabrics',
    share: 0.4,
    daysBefore: 24,
    hour: 7,
    appeal: 0.3,
    creator: 2,
  },
  {
    name: 'Webinar recording: fabrics',
    share: 0.5,
    daysBefore: 22,
    hour: 16,
    appeal: 0.28,
    owner: 7,
  },
  { name: 'Partner offer: coffee', share: 0.8, daysBefore: 29, hour: 11, appeal: 0.2, owner: 3 },
  { name: 'Partner offer: bicycles', share: 0.8, daysBefore: 15, hour: 14, appeal: 0.21, owner: 3 },
  { name: 'Partner offer: books', share: 0.7, daysBefore: 3, hour: 18, appeal: 0.22, creator: 3 },
  {
    name: 'Subject test A: save ten',
    share: 0.5,
    daysBefore: 10,
    hour: 10,
    appeal: 0.24,
    owner: 5,
  },
  {
    name: 'Subject test B: ten for you',
    share: 0.5,
    daysBefore: 10,
    hour: 10,
    appeal: 0.3,
    owner: 5,
  },
  {
    name: 'Loyalty points statement',
    share: 1.1,
    daysBefore: 19,
    hour: 19,
    appeal: 0.31,
    owner: 4,
  },
  { name: 'Customer survey', share: 0.6, daysBefore: 8, hour: 16, appeal: 0.17, owner: 8 },
  {
    name: 'Welcome series: hello',
    share: 0.9,
    daysBefore: 41,
    hour: 8,
    appeal: 0.36,
    automated: true,
    owner: 0,
  },
  {
    name: 'Abandoned basket',
    share: 0.9,
    daysBefore: 41,
    hour: 9,
    appeal: 0.32,
    automated: true,
    nobody: 'no_person',
  },
  {
    name: 'Birthday voucher',
    share: 0.3,
    daysBefore: 41,
    hour: 7,
    appeal: 0.33,
    automated: true,
    owner: 4,
  },
];

export const HISTORY_MS = 42 * DAY;
/** HubSpot's own name for sent by a workflow, and for sent to a list. */
const APPS = { automated: { id: 2_286, name: 'Workflow' }, blast: { id: 113, name: 'Batch' } };

/** Lays `sends` sends out over the programme, relative to the midnight (UTC) before `until`. */
export function planCampaigns(options: {
  readonly seed: number;
  readonly until: number;
  readonly sends: number;
}): { readonly campaigns: readonly Campaign[]; readonly emails: readonly MarketingEmail[] } {
  const midnight = Math.floor(options.until / DAY) * DAY;
  const shares = PROGRAMME.reduce((sum, one) => sum + one.share, 0);
  let firstSend = 0;
  const campaigns: Campaign[] = [];
  const emails: MarketingEmail[] = [];
  for (const [index, draft] of PROGRAMME.entries()) {
    const sends = Math.max(3, Math.round((options.sends * draft.share) / shares));
    const app = draft.automated === true ? APPS.automated : APPS.blast;
    const id = 75_310_000 + index * 13 + (hash(options.seed, index, 71) % 13);
    const startAt = midnight - draft.daysBefore * DAY + draft.hour * HOUR + 5 * 60_000;
    const isVariantB = draft.name.startsWith('Subject test B');
    const emailId =
      draft.nobody === 'no_email'
        ? undefined
        : String(11_809_143_000 + index - (isVariantB ? 1 : 0));
    campaigns.push({
      index,
      id,
      name: draft.name,
      subject: `${draft.name} · 🧵`,
      appId: app.id,
      appName: app.name,
      type:
        draft.automated === true
          ? 'AUTOMATED_EMAIL'
          : isVariantB || draft.name.startsWith('Subject test')
            ? 'AB_EMAIL'
            : 'BATCH_EMAIL',
      groupId: 99_100 + index - (isVariantB ? 1 : 0),
      firstSend,
      sends,
      startAt,
      days: draft.automated === true ? 40 : 1,
      appeal: draft.appeal,
      plant: draft.plant,
      marketingEmailId: emailId,
    });
    firstSend += sends;
    if (emailId === undefined) continue;
    const before = emails.find((one) => one.id === emailId);
    if (before !== undefined) {
      // Both variants of a test are campaigns of one marketing email.
      emails[emails.indexOf(before)] = { ...before, campaignIds: [...before.campaignIds, id] };
      continue;
    }
    const userId = (owner: number | undefined): string | undefined =>
      owner === undefined ? undefined : String((OWNERS[owner] as Owner).userId);
    emails.push({
      id: emailId,
      name: draft.name,
      subject: `${draft.name} · 🧵`,
      campaignIds: [id],
      createdById: userId(draft.creator ?? draft.owner),
      publishedById: userId(draft.owner),
      createdAt: startAt - 3 * DAY,
      publishedAt: startAt - HOUR,
    });
  }
  return { campaigns, emails };
}

/** When the campaign's `k`-th send leaves; always within the hour it began in. */
export function sentAt(campaign: Campaign, seed: number, k: number): number {
  const jitter = hash(seed, campaign.index, k, 81) % 1_000;
  if (campaign.days === 1) {
    return campaign.startAt + Math.floor((k * 40 * 60_000) / campaign.sends) + jitter;
  }
  const day = k % campaign.days;
  const hour = hash(seed, campaign.index, k, 82) % 10;
  const minute = hash(seed, campaign.index, k, 83) % 50;
  return campaign.startAt + day * DAY + hour * HOUR + minute * 60_000 + jitter;
}
