/** The demo as a person runs it, on small worlds: every stage and every domain, for real. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { readCheckpoint } from '../../functions/checkpoint.ts';
import { type Cloud, startCloud } from '../../local/cloud.ts';
import type { Facts } from '../../local/outside/hubspot/facts.ts';
import { shopWorld } from '../../local/outside/shop/world.ts';
import { siteWorld } from '../../local/outside/site/world.ts';
import { SEED, scales, worldsEnd } from '../../scripts/demo_fill.ts';
import { inRoot } from '../../scripts/place.ts';
import { synth } from '../../scripts/synth.ts';
import { openTarget } from '../../scripts/target.ts';

const folder = mkdtempSync(join(tmpdir(), 'demo-'));
const data = join(folder, 'data');
let cloud: Cloud | undefined;

afterAll(async () => {
  await cloud?.close();
  rmSync(folder, { recursive: true });
}, 60_000);

interface Printed {
  readonly results: readonly {
    readonly domain: string;
    readonly tables: readonly { readonly table: string; readonly rows: number }[];
    readonly headlines: readonly {
      readonly title: string;
      readonly rows: readonly Readonly<Record<string, unknown>>[];
    }[];
    readonly queryable: { readonly messages: number; readonly p95: number } | null;
    readonly time: readonly { readonly step: string }[];
  }[];
}

let until = 0;

it('fills the tables and tells of metrics and time', { timeout: 900_000 }, async () => {
  until = worldsEnd(Date.now());
  const child = spawn(
    process.execPath,
    [inRoot('scripts/cli.ts'), 'demo', '--scale', 'small', '--json', '--data', data],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  const [code] = await once(child, 'close');
  expect(code).toBe(0);
  const results = new Map((JSON.parse(out) as Printed).results.map((one) => [one.domain, one]));
  const email = results.get('email');
  const rows = new Map(
    [...results.values()].flatMap(({ tables }) => tables.map((one) => [one.table, one.rows])),
  );
  expect(rows.get('email.fact_email_engagement')).toBeGreaterThan(3_000);
  expect(rows.get('email.email_send')).toBeGreaterThan(500);
  expect(rows.get('email.dim_campaign')).toBeGreaterThanOrEqual(20);
  expect(rows.get('email.dim_user')).toBeGreaterThan(100);
  expect([...rows].filter(([, count]) => count === 0)).toEqual([]);
  for (const { headlines } of results.values()) {
    expect(headlines.length).toBeGreaterThan(0);
    for (const headline of headlines) expect(headline.rows, headline.title).not.toEqual([]);
  }
  for (const domain of ['commerce', 'website']) {
    expect(results.get(domain)?.queryable?.messages).toBeGreaterThan(500);
  }
  const steps = email?.time.map(({ step }) => step.split(':')[0]?.split(',')[0]);
  expect(steps).toEqual(expect.arrayContaining(['pull', 'Spark', 'load']));
  // It leaves nothing running, and says so in its folder.
  expect(JSON.parse(readFileSync(join(data, 'cloud.json'), 'utf8'))).toMatchObject({ pid: null });
});

it('holds what is true of the account, campaign by campaign and day by day', async () => {
  // The demo's cloud has ended; what it left on disk starts again as it was.
  cloud = await startCloud({
    stack: (await synth({ environments: ['local'] }))['local'] ?? '',
    data,
    // Nothing is transformed any more.
    spark: { python: 'none', jars: [] },
    drivers: { start: () => expect.unreachable(), ready: async () => {}, close: async () => {} },
    quietSchedules: true,
    hubspot: { scale: scales['email']?.small ?? 0 },
    standIns: ['hubspot'],
  });
  const { world, config } = await openTarget({ data });
  const { warehouse } = world;
  // The account lives on: what counts is what had happened when it was pulled.
  const { edges } = await readCheckpoint(world, config.buckets.control, 'email', 'email_events');
  const asOf = Date.parse(edges['hot'] ?? '') - 1;
  const asked = await fetch(`${cloud.endpoints.hubspot}/_stand-in/facts?asOf=${asOf}`);
  const facts = (await asked.json()) as Facts;
  const rows = async (sql: string): Promise<readonly Readonly<Record<string, unknown>>[]> =>
    warehouse.rows(sql);

  const metrics = Object.keys(facts.campaign_days[0] ?? {}).filter((name) => name !== 'sent_date');
  expect(facts.campaign_days.length).toBeGreaterThan(100);
  expect(
    await rows(
      `SELECT CAST(sent_date AS STRING) AS sent_date, ${metrics.join(', ')} FROM email.campaign_performance ORDER BY campaign_id, 1`,
    ),
  ).toEqual(
    [...facts.campaign_days].sort((a, b) =>
      a.campaign_id + a.sent_date < b.campaign_id + b.sent_date ? -1 : 1,
    ),
  );
  expect(await rows('SELECT COUNT(*) AS n FROM email.fact_email_engagement')).toEqual([
    { n: facts.events },
  ]);
  expect(
    await rows(
      `SELECT COUNT(*) AS sent, COUNTIF(bounce_type = 'hard') AS hard FROM email.email_send
       WHERE campaign_id = '${facts.bounce_wave.campaign_id}' AND recipient_domain = '${facts.bounce_wave.recipient_domain}'`,
    ),
  ).toEqual([{ sent: facts.bounce_wave.sent, hard: facts.bounce_wave.hard_bounced }]);
}, 60_000);

it('holds what is true of the shop, to the cent', async () => {
  const { warehouse } = (await openTarget({ data })).world;
  const { facts } = shopWorld({ seed: SEED, scale: scales['commerce']?.small ?? 0, until });
  const { days, rows: behaviors } = facts();
  const dollars = (cents: number): string => (cents / 100).toFixed(2);
  const found = async (sql: string) => (await warehouse.rows(sql)) as readonly unknown[];
  expect(await found('SELECT COUNT(*) AS n FROM commerce.user_behavior')).toEqual([
    { n: behaviors },
  ]);
  expect(
    await found(
      `SELECT CAST(date AS STRING) AS date, visitors, new_visitors FROM commerce.unique_visitors ORDER BY 1`,
    ),
  ).toEqual(days.map(({ date, visitors, new_visitors }) => ({ date, visitors, new_visitors })));
  expect(
    await found(
      `SELECT CAST(date AS STRING) AS date, sessions, buying_sessions, FORMAT('%.2f', CAST(amount_spent AS FLOAT64)) AS spent
       FROM commerce.spend_per_session ORDER BY 1`,
    ),
  ).toEqual(
    days.map(({ date, sessions, buying_sessions, spent_cents }) => ({
      date,
      sessions,
      buying_sessions,
      spent: dollars(spent_cents),
    })),
  );
  expect(
    await found(
      `SELECT CAST(date AS STRING) AS date, orders, order_lines, buyers, FORMAT('%.2f', CAST(amount AS FLOAT64)) AS ordered, returns
       FROM commerce.orders_by_date ORDER BY 1`,
    ),
  ).toEqual(
    days
      .filter(({ orders }) => orders > 0)
      .map(({ date, orders, order_lines, buyers, ordered_cents, returns }) => ({
        date,
        orders,
        order_lines,
        buyers,
        ordered: dollars(ordered_cents),
        returns,
      })),
  );
}, 60_000);

it('holds every event of the site once', async () => {
  const { warehouse } = (await openTarget({ data })).world;
  const world = siteWorld({ seed: SEED, scale: scales['website']?.small ?? 0, until });
  const counts = new Map<string, number>();
  for (const { event_type } of world.events()) {
    counts.set(event_type, (counts.get(event_type) ?? 0) + 1);
  }
  const rows = await warehouse.rows(
    'SELECT event_type, COUNT(*) AS n FROM website.events GROUP BY event_type',
  );
  expect(new Map(rows.map((row) => [row['event_type'], row['n']]))).toEqual(counts);
}, 60_000);
