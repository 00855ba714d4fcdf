/**
 * Reconcile, daily: our counts of every campaign of the last 30 days against HubSpot's counters.
 * `email.reconciliation` holds both sides; a campaign on which they differ is pulled again, whole.
 */
import type { Window } from './checkpoint.ts';
import type { Handler } from './message.ts';
import { addWindows } from './pull.ts';

const DAY_MS = 24 * 3600_000;

/** Campaigns whose last send lies further back are left alone: HubSpot's counters no longer move. */
const DAYS = 30;

const EVENTS = { domain: 'email', source: 'email_events' } as const;

export const handle: Handler = async (_message, world, config) => {
  const now = world.clock.now();
  const since = iso(now - DAYS * DAY_MS);
  const rows = await world.warehouse.rows(
    `SELECT r.campaign_id AS campaign_id, CAST(MIN(c.first_sent_at) AS STRING) AS first_sent_at, SUM(ABS(r.difference)) AS off
     FROM \`email.reconciliation\` AS r JOIN \`email.dim_campaign\` AS c ON c.campaign_id = r.campaign_id
     WHERE r.difference != 0 AND (c.last_sent_at IS NULL OR c.last_sent_at >= TIMESTAMP(@since))
     GROUP BY r.campaign_id ORDER BY r.campaign_id`,
    { since },
  );
  const pass = `reconcile-${iso(now).slice(0, 10).replaceAll('-', '')}`;
  const windows: Window[] = rows.map((row) => ({
    pass,
    // A campaign of which we have no send yet is looked for in the whole span.
    from:
      row['first_sent_at'] == null
        ? since
        : `${String(row['first_sent_at']).slice(0, 10)}T00:00:00.000Z`,
    to: iso(now - 5 * 60_000),
    only: { campaign: String(row['campaign_id']) },
  }));
  world.log(windows.length > 0 ? 'WARNING' : 'INFO', 'reconciled', {
    campaigns_that_differ: windows.length,
    events_off: rows.reduce((sum, row) => sum + Number(row['off'] ?? 0), 0),
  });
  if (windows.length === 0) return;
  await addWindows(world, config, EVENTS, windows);
  await world.queue.publish(config.pullTopic, {
    data: Buffer.from(JSON.stringify({ source: `${EVENTS.domain}.${EVENTS.source}` })),
  });
};

const iso = (ms: number): string => new Date(ms).toISOString();
