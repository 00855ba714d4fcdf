/** The demo as a person runs it, on a small account: every stage, for real. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { inRoot } from '../../scripts/place.ts';

const folder = mkdtempSync(join(tmpdir(), 'demo-'));
afterAll(() => rmSync(folder, { recursive: true }));

interface Printed {
  readonly results: readonly {
    readonly domain: string;
    readonly tables: readonly { readonly table: string; readonly rows: number }[];
    readonly campaigns: readonly { readonly campaign: string; readonly sent: number }[];
    readonly time: readonly { readonly step: string }[];
  }[];
}

it('fills the tables and tells of campaigns and time', { timeout: 600_000 }, async () => {
  const data = join(folder, 'data');
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
