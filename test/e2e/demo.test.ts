/** The demo as a person runs it, on a small account: every stage, for real. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { type Cloud, startCloud } from '../../local/cloud.ts';
import type { Facts } from '../../local/outside/hubspot/facts.ts';
import { scales } from '../../scripts/demo.ts';
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
    readonly campaigns: readonly { readonly campaign: string; readonly sent: number }[];
    readonly time: readonly { readonly step: string }[];
  }[];
}

it('fills the tables and tells of campaigns and time', { timeout: 600_000 }, async () => {
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
  const [email] = (JSON.parse(out) as Printed).results;
  const rows = new Map(email?.tables.map(({ table, rows: count }) => [table, count]));
  expect(rows.get('email.fact_email_engagement')).toBeGreaterThan(3_000);
  expect(rows.get('email.email_send')).toBeGreaterThan(500);
  expect(rows.get('email.dim_campaign')).toBeGreaterThanOrEqual(20);
  expect(rows.get('email.dim_user')).toBeGreaterThan(100);
  expect(email?.campaigns.length).toBeGreaterThan(1);
  expect(email?.campaigns.every(({ sent }) => sent > 0)).toBe(true);
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
    hubspot: { scale: scales.small },
  });
  const { warehouse } = (await openTarget({ data })).world;
  const facts = (await (await fetch(`${cloud.endpoints.hubspot}/_stand-in/facts`)).json()) as Facts;
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
