import type { Answer } from '../http/answer.ts';
import { invalid, json, notFound } from './answer.ts';
import { type MarketingEmail, OWNERS } from './campaigns.ts';
import type { SeededAccount } from './seeded.ts';

type Raw = Readonly<Record<string, unknown>>;
const iso = (ms: number): string => new Date(ms).toISOString();

/** v1 campaigns of the seeded account, without counters. */
export function seededCampaigns(account: SeededAccount): readonly Raw[] {
  return account.campaigns.map((one) => ({
    id: one.id,
    appId: one.appId,
    appName: one.appName,
    name: one.name,
    subject: one.subject,
    type: one.type,
    ...(one.marketingEmailId === undefined ? {} : { contentId: Number(one.marketingEmailId) }),
    numIncluded: one.sends,
    numQueued: one.sends,
    lastUpdatedTime: one.startAt + (one.days - 1) * 86_400_000,
    lastProcessingStartedAt: one.startAt,
  }));
}

export function seededEmails(account: SeededAccount): readonly Raw[] {
  return account.emails.map((one) => emailOf(one, account));
}

function emailOf(one: MarketingEmail, account: SeededAccount): Raw {
  const campaign = account.campaigns.find((c) => c.id === one.campaignIds[0]);
  return {
    id: one.id,
    name: one.name,
    subject: one.subject,
    state: campaign?.type === 'AUTOMATED_EMAIL' ? 'AUTOMATED' : 'PUBLISHED',
    type: campaign?.type,
    allEmailCampaignIds: one.campaignIds.map(String),
    primaryEmailCampaignId: String(one.campaignIds[0]),
    emailCampaignGroupId: String(campaign?.groupId),
    ...(one.campaignIds.length > 1
      ? { testing: { abStatus: 'master', abSuccessMetric: 'OPENS_BY_DELIVERED' } }
      : {}),
    from: { fromName: 'Brand', replyTo: 'news@brand.example' },
    isPublished: true,
    archived: false,
    ...(one.createdById === undefined ? {} : { createdById: one.createdById }),
    ...(one.publishedById === undefined ? {} : { publishedById: one.publishedById }),
    createdAt: iso(one.createdAt),
    publishedAt: iso(one.publishedAt),
    publishDate: iso(one.publishedAt),
    updatedAt: iso(one.publishedAt),
  };
}

export function seededOwners(account: SeededAccount): readonly Raw[] {
  const createdAt = iso(account.until - 400 * 86_400_000);
  return OWNERS.map((one) => ({
    id: one.id,
    email: `${one.firstName}.${one.lastName}`
      .toLowerCase()
      .normalize('NFD')
      .replace(/[^a-z.]/g, '')
      .concat('@brand.example'),
    type: 'PERSON',
    firstName: one.firstName,
    lastName: one.lastName,
    // An archived owner's user is inactive: `userId` is null then, the other field remains.
    userId: one.archived ? null : one.userId,
    userIdIncludingInactive: one.userId,
    createdAt,
    updatedAt: createdAt,
    archived: one.archived,
    ...(one.teams.length === 0 ? {} : { teams: one.teams }),
  }));
}

/** `/marketing/v3/emails`. */
export function listEmails(all: readonly Raw[], params: URLSearchParams): Answer {
  const time = (name: string): number | undefined => {
    const value = params.get(name);
    return value === null ? undefined : /^\d+$/.test(value) ? Number(value) : Date.parse(value);
  };
  const bounds = [
    ['updatedAt', 'updatedAfter', 1],
    ['updatedAt', 'updatedBefore', -1],
    ['publishedAt', 'publishedAfter', 1],
    ['publishedAt', 'publishedBefore', -1],
    ['createdAt', 'createdAfter', 1],
    ['createdAt', 'createdBefore', -1],
  ] as const;
  if (bounds.some(([, name]) => Number.isNaN(time(name))))
    return invalid('times are ISO 8601 or ms');
  const archived = params.get('archived') === 'true';
  const found = all.filter(
    (one) =>
      (one['archived'] === true) === archived &&
      bounds.every(([field, name, sign]) => {
        const bound = time(name);
        return bound === undefined || (Date.parse(String(one[field])) - bound) * sign > 0;
      }),
  );
  const sort = params.get('sort');
  if (sort !== null) {
    const field = sort.replace(/^-/, '');
    found.sort(
      (a, b) => (String(a[field]) < String(b[field]) ? -1 : 1) * (sort.startsWith('-') ? -1 : 1),
    );
  }
  return paged(found, params, 10, 300);
}

/** `/crm/v3/owners`. */
export function listOwners(all: readonly Raw[], params: URLSearchParams): Answer {
  const archived = params.get('archived') === 'true';
  const email = params.get('email');
  const found = all.filter(
    (one) => (one['archived'] === true) === archived && (email === null || one['email'] === email),
  );
  return paged(found, params, 100, 500);
}

export function byId(all: readonly Raw[], id: string, what: string): Answer {
  const one = all.find((each) => String(each['id']) === id);
  return one === undefined ? notFound(`${what} ${id} does not exist`) : json(one);
}

function paged(all: readonly Raw[], params: URLSearchParams, usual: number, most: number): Answer {
  const limit = Number(params.get('limit') ?? usual);
  if (!(limit >= 1 && limit <= most)) return invalid(`limit must be between 1 and ${most}`);
  const after = params.get('after');
  const from = after === null ? 0 : Number(Buffer.from(after, 'base64url').toString());
  if (!Number.isInteger(from)) return invalid('after is invalid');
  const end = from + limit;
  const cursor = Buffer.from(String(end)).toString('base64url');
  return json({
    total: all.length,
    results: all.slice(from, end),
    ...(end < all.length ? { paging: { next: { after: cursor, link: `?after=${cursor}` } } } : {}),
  });
}
