/**
 * Reconcile, daily: our counts of every campaign of the last 30 days against HubSpot's counters.
 * `email.reconciliation` holds both sides; a campaign on which they differ is pulled again.
 *
 * A difference that a pull did not cure is remembered and not pulled for again until it changes:
 * HubSpot keeps its quota for what helps.
 */

import type { Config } from './config.ts';
import { readJson } from './manifest.ts';
import type { Handler } from './message.ts';
import { addWindows, rangeOf } from './pull.ts';
import { tickSource } from './ticks.ts';
import type { Window } from './window.ts';
import type { World } from './world.ts';

const DAY_MS = 24 * 3600_000;

/** Campaigns whose last send lies further back are left alone: HubSpot's counters no longer move. */
const DAYS = 30;

/** Campaigns pulled again by one reconciliation, those furthest off first. */
const MOST_CAMPAIGNS = 50;

/** A campaign that is still being sent to differs a little every day; it is not read every day. */
const REST_DAYS = 3;

const EVENTS = { domain: 'email', source: 'email_events' } as const;
const MEMORY = 'reconciled/email/email_events.json';

/** Per campaign: the difference that was last pulled for, and the day. */
type Memory = Readonly<Record<string, { readonly difference: string; readonly day: string }>>;

export const handle: Handler = async (_message, world, config) => {
  const now = world.clock.now();
  const today = iso(now).slice(0, 10);
  const differing = await campaignsThatDiffer(world, now);
  const { memory, generation } = await recall(world, config);
  const rested = iso(now - REST_DAYS * DAY_MS).slice(0, 10);
  const chosen = differing
    .filter(({ campaign, difference }) => {
      const before = memory[campaign];
      return before === undefined || (before.difference !== difference && before.day <= rested);
    })
    .slice(0, MOST_CAMPAIGNS);
  world.log(differing.length > 0 ? 'WARNING' : 'INFO', 'reconciled', {
    campaigns_that_differ: differing.length,
    campaigns_pulled_again: chosen.length,
  });
  if (chosen.length === 0) return;
  // The end is the day's begin, so that a message delivered twice asks for the same windows.
  const windows: Window[] = chosen.flatMap(({ campaign, since }) =>
    rangeOf(
      `${EVENTS.domain}.${EVENTS.source}`,
      since,
      `${today}T00:00:00.000Z`,
      `reconcile-${today.replaceAll('-', '')}`,
    ).map((window) => ({ ...window, only: { campaign } })),
  );
  await addWindows(world, config, EVENTS, windows);
  await tickSource(world, `${EVENTS.domain}.${EVENTS.source}`);
  const asked = chosen.map(({ campaign, difference }) => [campaign, { difference, day: today }]);
  const next: Memory = { ...memory, ...Object.fromEntries(asked) };
  // Refused: another delivery of the same message has remembered the same.
  await world.objects.write(config.buckets.control, MEMORY, Buffer.from(JSON.stringify(next)), {
    ifGeneration: generation,
    contentType: 'application/json',
  });
};

interface Differing {
  readonly campaign: string;
  /** By event type, as text: tells one difference from another. */
  readonly difference: string;
  readonly since: string;
}

async function campaignsThatDiffer(world: World, now: number): Promise<readonly Differing[]> {
  const since = iso(now - DAYS * DAY_MS);
  const rows = await world.warehouse.rows(
    `SELECT r.campaign_id AS campaign_id, r.event_type AS event_type, r.difference AS difference, CAST(c.first_sent_at AS STRING) AS first_sent_at
     FROM \`email.reconciliation\` AS r JOIN \`email.dim_campaign\` AS c ON c.campaign_id = r.campaign_id
     WHERE r.difference != 0 AND (c.last_sent_at IS NULL OR c.last_sent_at >= TIMESTAMP(@since))
     ORDER BY r.campaign_id, r.event_type`,
    { since },
  );
  const campaigns = new Map<string, { parts: string[]; off: number; since: string }>();
  for (const row of rows) {
    const campaign = String(row['campaign_id']);
    // A campaign of which we have no send yet is looked for in the whole span.
    const first = row['first_sent_at'] == null ? since : String(row['first_sent_at']);
    const found = campaigns.get(campaign) ?? { parts: [], off: 0, since: first };
    found.parts.push(`${row['event_type']}:${row['difference']}`);
    found.off += Math.abs(Number(row['difference']));
    campaigns.set(campaign, found);
  }
  return [...campaigns]
    .sort(([, a], [, b]) => b.off - a.off)
    .map(([campaign, { parts, since: first }]) => ({
      campaign,
      difference: parts.join(' '),
      since: `${first.slice(0, 10)}T00:00:00.000Z`,
    }));
}

async function recall(
  world: World,
  config: Config,
): Promise<{ readonly memory: Memory; readonly generation: string }> {
  const found = await readJson<Memory>(world.objects, config.buckets.control, MEMORY);
  return { memory: found?.value ?? {}, generation: found?.generation ?? '0' };
}

const iso = (ms: number): string => new Date(ms).toISOString();
