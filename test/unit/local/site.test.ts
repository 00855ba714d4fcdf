import { expect, test } from 'vitest';
import type { SiteEvent } from '../../../local/outside/site/session.ts';
import { siteWorld } from '../../../local/outside/site/world.ts';

const until = Date.parse('2026-11-20T18:00:00Z');
const identity = (event: SiteEvent): string =>
  [
    ...[event.event_id, event.user_id, event.event_type, event.entity_type, event.entity_id],
    ...[event.session_id, event.occurred_at],
  ].join(' ');

test('the same arguments are the same world, another seed is another', () => {
  const of = (seed: number) => [...siteWorld({ seed, scale: 'small', until }).published()];
  expect(of(1)).toEqual(of(1));
  expect(of(1)[0]).not.toEqual(of(2)[0]);
});

test.each(['small', 'default'] as const)('%s has about as many events as it should', (scale) => {
  const events = [...siteWorld({ seed: 4, scale, until }).events()];
  const wanted = { small: 4_000, default: 60_000 }[scale];
  expect(events.length / wanted).toBeGreaterThan(0.93);
  expect(events.length / wanted).toBeLessThan(1.07);
  const times = events.map((event) => event.occurred_at);
  expect(times).toEqual([...times].sort());
  expect(times.at(-1)?.localeCompare(new Date(until).toISOString())).toBe(-1);
  expect(new Set(events.map(identity)).size).toBe(events.length);
});

test('clients publish every event, some twice, some late', () => {
  const world = siteWorld({ seed: 4, scale: 'small', until });
  const events = [...world.events()];
  const published = [...world.published()];
  expect(new Set(published.map(identity))).toEqual(new Set(events.map(identity)));
  expect(published.length).toBeGreaterThan(events.length);
  const times = published.map((event) => event.occurred_at);
  expect(times).not.toEqual([...times].sort());
});

test('what is planted stands out', () => {
  const { planted, events } = siteWorld({ seed: 4, scale: 'default', until });
  const views = new Map<string, number>();
  const signups = { broken: [0, 0], other: [0, 0] };
  const campaign = new Map<string, number>();
  const firstOfNewType: string[] = [];
  for (const event of events()) {
    const day = event.occurred_at.slice(0, 10);
    const within = ({ from, to }: { from: string; to: string }) => from <= day && day <= to;
    if (event.event_type === 'view' && day === planted.viral.from) {
      views.set(event.entity_id as string, (views.get(event.entity_id as string) ?? 0) + 1);
    }
    const phone = event.props['device'] === planted.signupBug.device;
    const counted = phone && within(planted.signupBug) ? signups.broken : signups.other;
    if (event.event_type === 'signup_start') counted[0] = (counted[0] ?? 0) + 1;
    if (event.event_type === 'signup') counted[1] = (counted[1] ?? 0) + 1;
    if (String(event.props['page_url']).includes(`utm_campaign=${planted.campaign.name}`)) {
      campaign.set(day, (campaign.get(day) ?? 0) + 1);
    }
    if (event.event_type === planted.newType.eventType) firstOfNewType.push(day);
  }
  const [most, second] = [...views.entries()].sort((a, b) => b[1] - a[1]);
  expect(most?.[0]).toBe(planted.viral.entityId);
  expect(most?.[1]).toBeGreaterThan(3 * (second?.[1] as number));
  const share = ([begun = 0, done = 0]: readonly number[]): number => done / begun;
  expect(share(signups.broken)).toBeLessThan(0.1);
  expect(share(signups.other)).toBeGreaterThan(0.5);
  expect([...campaign.keys()]).toEqual([planted.campaign.from, planted.campaign.to]);
  expect(firstOfNewType.sort()[0]).toBe(planted.newType.from);
});
