/**
 * The whole email path with real processes: the command that people start, the deployed bundles,
 * real Spark and Delta, the official clients. One local cloud for all cases, in their order.
 */
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readCheckpoint } from '../../functions/checkpoint.ts';
import { readLedger } from '../../functions/ledger.ts';
import { batchName } from '../../functions/manifest.ts';
import { addWindows } from '../../functions/pull.ts';
import { catalog } from '../../schemas/rendered/catalog.ts';
import { backfill, pull } from '../../scripts/pull.ts';
import { emailTables, type RunningCloud, rowsOf, settled, startLocal } from './running_cloud.ts';
import { eventsOf } from './warehouse_rows.ts';

/** Real rows that this project does not carry; the case that uses them is skipped without them. */
const realRows = join(import.meta.dirname, '../../../shared/material/hubspot/email_event.csv');
const given = join(import.meta.dirname, '../cases/end_to_end/two_campaigns');
const sources = Object.keys(catalog.sources).filter((name) => name.startsWith('email.'));
const events = { domain: 'email', source: 'email_events' } as const;

/** Tables whose rows follow from what HubSpot has, not from when it was asked. */
const compared = Object.keys(catalog.tables).filter(
  (name) => name.startsWith('email.') && name !== 'email.reconciliation',
);

let folder: string;
let cloud: RunningCloud;

const start = (): Promise<RunningCloud> =>
  startLocal({
    data: join(folder, 'cloud'),
    events: join(folder, 'events.ndjson'),
    objects: join(given, 'objects'),
  });

/** Ranges read again, each time under a name of its own. */
const readMarch = (): Promise<void> => readRange(march.from, march.to);

async function readRange(from: string, to: string): Promise<void> {
  const { target } = cloud;
  const windows = backfill('email.email_events', from, to, Date.now());
  await addWindows(target.world, target.config, events, windows);
  await pull(target, 'email.email_events');
}

const march = { from: '2026-03-01T00:00:00.000Z', to: '2026-03-31T00:00:00.000Z' };

const one = async (sql: string): Promise<Readonly<Record<string, unknown>>> => {
  const rows = await cloud.target.world.warehouse.rows(sql);
  expect(rows).toHaveLength(1);
  return rows[0] as Readonly<Record<string, unknown>>;
};

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tributary-e2e-'));
  const file = join(folder, 'events.ndjson');
  copyFileSync(join(given, 'events.ndjson'), file);
  const big = {
    id: 'sent-502-big',
    created: Date.parse('2026-03-04T09:01:40Z'),
    type: 'SENT',
    recipient: 'person3@example.com',
    portalId: 77,
    emailCampaignId: 502,
    subject: 'x'.repeat(5_000_000),
  };
  appendFileSync(file, `${JSON.stringify(big)}\n`);
  if (existsSync(realRows)) appendFileSync(file, eventsOf(realRows));
  cloud = await start();
}, 180_000);

afterAll(async () => {
  await cloud?.stop();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

describe('email engagement, end to end', { timeout: 600_000 }, () => {
  let first: Readonly<Record<string, readonly string[]>>;

  it('arrives whole although its processes are killed on the way', async () => {
    if (existsSync(realRows)) await readRange('2020-03-01', '2020-06-01');
    await readMarch();
    for (const name of sources) await pull(cloud.target, name);
    // The whole cloud at once, as a power cut does: while Spark runs and further pages come in.
    await until(transforming);
    await readMarch();
    await until(pulling);
    expect(await transforming()).toBe(true);
    await cloud.kill();
    cloud = await start();
    // Nobody asks again for the windows that were being read: that they are read is the sweep's doing.
    await settled(cloud.target);
    first = await emailTables(cloud.target, compared);
    expect(await rowsOf(cloud.target, 'ops.fence')).toHaveLength(2);
  });

  it('has the figures worked out by hand', async () => {
    expect(
      await one(
        `SELECT sent, delivered, hard_bounced, soft_bounced, unique_opens, unique_human_opens, total_opens,
           unique_clicks, unique_human_clicks, total_clicks, unsubscribed, spam_reported, dropped
         FROM email.campaign_performance WHERE campaign_id = '501' AND sent_date = '2026-03-02'`,
      ),
    ).toEqual({
      sent: 10,
      delivered: 8,
      hard_bounced: 1,
      soft_bounced: 1,
      unique_opens: 6,
      unique_human_opens: 4,
      total_opens: 6,
      unique_clicks: 3,
      unique_human_clicks: 2,
      total_clicks: 7,
      unsubscribed: 1,
      spam_reported: 1,
      dropped: 0,
    });
    expect(
      await one(
        `SELECT SUM(sent) AS sent, SUM(delivered) AS delivered, SUM(dropped) AS dropped, SUM(total_opens) AS opens
         FROM email.campaign_performance WHERE campaign_id = '502'`,
      ),
    ).toEqual({ sent: 2, delivered: 1, dropped: 1, opens: 1 });
  });

  it('keeps every event, also of types and shapes that nobody has declared', async () => {
    expect(
      await one(
        "SELECT COUNT(*) AS n, COUNT(DISTINCT event_id) AS ids FROM email.fact_email_engagement WHERE event_date > '2021-01-01'",
      ),
    ).toEqual({ n: 55, ids: 54 });
    const types = await cloud.target.world.warehouse.rows(
      `SELECT event_type FROM email.dim_event_type WHERE event_type IN ('TELEPORTED', 'UNBOUNCE', 'UNKNOWN') ORDER BY 1`,
    );
    expect(types.map((row) => row['event_type'])).toContain('TELEPORTED');
  });

  it('refuses what breaks the contract, says why, and keeps it', async () => {
    // What is read twice is refused twice.
    const refused = await cloud.target.world.warehouse.rows(
      `SELECT DISTINCT error_code, error_column FROM ops.rejected WHERE source = 'email.email_events' ORDER BY error_code`,
    );
    expect(refused).toEqual([
      { error_code: 'missing_required', error_column: 'id' },
      { error_code: 'out_of_bounds', error_column: 'sent_by_created_at' },
    ]);
    const { objects } = cloud.target.world;
    const kept = await objects.list(cloud.target.config.buckets.rejected, 'email/email_events/');
    expect(kept.length).toBeGreaterThan(0);
  });

  it('matches addresses to contacts, and leaves shared ones alone', async () => {
    const people = await cloud.target.world.warehouse.rows(
      `SELECT send_id, user_id FROM email.email_send WHERE send_id IN ('sent-501-0', 'sent-501-1', 'sent-501-3') ORDER BY send_id`,
    );
    expect(people).toEqual([
      { send_id: 'sent-501-0', user_id: '100' },
      { send_id: 'sent-501-1', user_id: '101' },
      { send_id: 'sent-501-3', user_id: null },
    ]);
    const campaign = await one(
      `SELECT c.campaign_name AS name, t.marketing_team_name AS team FROM email.dim_campaign AS c
       JOIN email.dim_marketing_team AS t ON t.marketing_team_id = c.marketing_team_id WHERE c.campaign_id = '501'`,
    );
    expect(campaign).toEqual({ name: 'March issue', team: 'Newsletter' });
  });

  it('shows every run and batch as done', async () => {
    const states = await cloud.target.world.warehouse.rows(
      "SELECT 'run' AS what, state, COUNT(*) AS n FROM ops.runs GROUP BY state UNION ALL SELECT 'batch', state, COUNT(*) FROM ops.batches GROUP BY state",
    );
    expect(new Set(states.map((row) => row['state']))).toEqual(new Set(['loaded']));
    const broken = await cloud.target.world.warehouse.rows(
      "SELECT subject, check FROM ops.quality WHERE check = 'unique_key' AND NOT passed",
    );
    expect(broken).toEqual([]);
  });

  it.skipIf(!existsSync(realRows))('takes real rows of another warehouse', async () => {
    expect(
      await one(
        `SELECT COUNT(*) AS events, COUNTIF(event_type = 'OPEN') AS opens,
           COUNT(DISTINCT IF(event_type = 'OPEN', send_id, NULL)) AS sends
         FROM email.fact_email_engagement WHERE event_date < '2021-01-01'`,
      ),
    ).toEqual({ events: 100, opens: 90, sends: 22 });
    expect(
      await one(
        `SELECT SUM(sent) AS sent, SUM(delivered) AS delivered, SUM(total_opens) AS opens
         FROM email.campaign_performance WHERE sent_date = '2020-03-16'`,
      ),
    ).toEqual({ sent: 4, delivered: 3, opens: 6 });
    const orphans = await one(
      `SELECT COUNT(*) AS n FROM email.fact_email_engagement AS f
       LEFT JOIN email.email_send AS s ON s.send_id = f.send_id
       WHERE f.event_date < '2021-01-01' AND f.event_type = 'OPEN' AND s.send_id IS NULL`,
    );
    expect(orphans).toEqual({ n: 84 });
    // Eighty-four of these rows, and the one open of this project's own whose send nobody has seen.
    const reported = await cloud.target.world.warehouse.rows(
      "SELECT failed FROM ops.quality WHERE check = 'orphaned_events' ORDER BY sequence DESC LIMIT 1",
    );
    expect(Number(reported[0]?.['failed'])).toBeGreaterThanOrEqual(84);
  });

  it('ends with the same rows when everything is read and transformed again', async () => {
    await readMarch();
    for (const name of sources) await pull(cloud.target, name);
    await settled(cloud.target);
    expect(await emailTables(cloud.target, compared)).toEqual(first);
  });
});

/** A function reads pages: it holds the lease. */
async function pulling(): Promise<boolean> {
  const { world, config } = cloud.target;
  const held = await readCheckpoint(world, config.buckets.control, events.domain, events.source);
  return held.lease !== null && Date.parse(held.lease.until) > Date.now();
}

/** A batch is in flight, and Dataproc has it: one that it never got is begun only minutes later. */
async function transforming(): Promise<boolean> {
  const { world, config } = cloud.target;
  const now = Buffer.from(JSON.stringify({ domain: events.domain, now: true }));
  await world.queue.publish('submit-tick', { data: now });
  const { ledger } = await readLedger(world, config.buckets.control, events.domain);
  if (ledger.in_flight === null) return false;
  const { sequence, attempt } = ledger.in_flight;
  const log = readFileSync(join(folder, 'cloud', 'logs', 'submit.log'), 'utf8');
  return log.includes(`"batch":"${batchName(events.domain, sequence, attempt)}"`);
}

/** Looks again and again, for at most two minutes. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 120_000;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`${holds.name} did not come about in two minutes`);
    await new Promise((resume) => setTimeout(resume, 50));
  }
}
