/** Days of email events that are all alike: what a day costs then depends on what lies before it. */
const DAY_MS = 86_400_000;

/** Midnight of the day that is added, UTC: yesterday. */
export const newestDay = Math.floor(Date.now() / DAY_MS) * DAY_MS - DAY_MS;

const CAMPAIGNS = 5;
/** Share of a day's sends that are opened on the next day. */
const LATE_OPENS = 0.1;
const PAGE = 1_000;

const person = (i: number): string => `person${i}@example.com`;
const campaign = (i: number): number => 75_310_000 + (i % CAMPAIGNS);

/** What some days bring, by source; with the first ones also campaigns and contacts. */
export function landingsOf(
  backs: readonly number[],
  sends: number,
  begins: boolean,
  first?: number,
): readonly { readonly source: string; readonly payloads: readonly Buffer[] }[] {
  const payloads = backs.flatMap((back) => pagesOf(eventsOf(back, sends, back === first)));
  const events = { source: 'email_events', payloads };
  if (!begins) return [events];
  return [
    events,
    { source: 'email_campaigns', payloads: campaignPayloads },
    { source: 'contacts', payloads: [contactsPage(sends)] },
  ];
}

/** One day, `back` days before the newest one: its sends and what became of them on that day, and
 * late opens of the day before, unless it is the first. So every day touches two days' partitions. */
function eventsOf(back: number, sends: number, first: boolean): readonly object[] {
  const events: object[] = [];
  for (let i = 0; i < sends; i += 1) {
    const sent = sentOf(back, i);
    const base = {
      recipient: person(i),
      portalId: 62_515,
      appId: 113,
      appName: 'Batch',
      emailCampaignId: campaign(i),
    };
    events.push({
      ...base,
      ...sent,
      type: 'SENT',
      subject: 'News',
      from: 'News <news@example.org>',
    });
    const after = (seconds: number, type: string, more: object = {}): void => {
      const id = sent.id.replace('-0000-', `-${type.slice(0, 1).charCodeAt(0)}00-`);
      events.push({
        ...base,
        id,
        created: sent.created + seconds * 1_000,
        type,
        sentBy: sent,
        ...more,
      });
    };
    if (i % 50 === 0) {
      after(3, 'BOUNCE', {
        category: 'UNKNOWN_USER',
        status: '5.1.1',
        response: '550 no such user',
      });
      continue;
    }
    after(2, 'DELIVERED', { response: '250 2.0.0 OK', attempt: 1 });
    if (i % 3 === 0) after(3_600 + i, 'OPEN', { filteredEvent: i % 2 === 0, ...reader });
    if (i % 9 === 0) after(3_700 + i, 'CLICK', { url: 'https://example.org/offer', ...reader });
  }
  if (!first) {
    for (let i = 1; i < sends * LATE_OPENS; i += 1) {
      const sent = sentOf(back + 1, i);
      events.push({
        id: sent.id.replace('-0000-', '-1a7e-'),
        created: newestDay - back * DAY_MS + 5 * 3_600_000 + i,
        type: 'OPEN',
        recipient: person(i),
        emailCampaignId: campaign(i),
        sentBy: sent,
        filteredEvent: false,
        ...reader,
      });
    }
  }
  return events;
}

function sentOf(back: number, i: number): { readonly id: string; readonly created: number } {
  const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');
  return {
    id: `${hex(back, 8)}-0000-4000-8000-${hex(i, 12)}`,
    created: newestDay - back * DAY_MS + 10 * 3_600_000 + i * 10,
  };
}

const reader = {
  deviceType: 'MOBILE',
  browser: { name: 'Mobile Safari', family: 'Safari', version: ['17'] },
  userAgent: 'Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15',
  ipAddress: '203.0.113.7',
  location: { country: 'GERMANY', state: 'berlin', city: 'berlin' },
};

/** As HubSpot's pages hold them. */
function pagesOf(events: readonly object[]): readonly Buffer[] {
  const pages: Buffer[] = [];
  for (let at = 0; at < events.length; at += PAGE) {
    const some = events.slice(at, at + PAGE);
    pages.push(Buffer.from(JSON.stringify({ hasMore: false, events: some })));
  }
  return pages;
}

const campaignPayloads: readonly Buffer[] = Array.from({ length: CAMPAIGNS }, (_, i) =>
  Buffer.from(JSON.stringify({ id: campaign(i), appId: 113, name: `News ${i}`, subject: 'News' })),
);

const contactsPage = (people: number): Buffer =>
  Buffer.from(
    JSON.stringify({
      results: Array.from({ length: people }, (_, i) => ({
        id: String(i + 1),
        properties: { email: person(i), country: 'Germany', hs_object_id: String(i + 1) },
        createdAt: '2019-10-30T03:30:17.883Z',
        updatedAt: '2023-11-14T22:13:20.000Z',
        archived: false,
      })),
    }),
  );
