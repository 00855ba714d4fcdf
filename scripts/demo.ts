/** The whole path on this machine: an account is filled, pulled, transformed, loaded and shown. */
import { join, relative, resolve } from 'node:path';
import { type Command, Option } from 'commander';
import {
  type BatchManifest,
  type LoadRecord,
  type RunManifest,
  readJson,
} from '../functions/manifest.ts';
import { addWindows } from '../functions/pull.ts';
import { catalog } from '../schemas/rendered/catalog.ts';
import { Failure } from './failure.ts';
import { openCloud, stay } from './local.ts';
import { localFolder } from './place.ts';
import { duration, say, table } from './progress.ts';
import { backfill, pull } from './pull.ts';
import { settle } from './settle.ts';
import { openTarget, sourceNamed, type Target } from './target.ts';

/** Events of the made-up account. */
export const scales = { small: 5_000, medium: 100_000, large: 1_000_000 } as const;

/** The account's history; schedules alone would read the last 30 days of it. */
const HISTORY_DAYS = 120;
const DAY_MS = 86_400_000;

const domains = Object.keys(catalog.domains).filter((domain) => domain !== 'ops');

/** Asks for everything there is of a domain: the newest by its schedules, older ranges on top. */
async function pullAll(target: Target, domain: string): Promise<void> {
  const now = Date.now();
  for (const [name, contract] of Object.entries(catalog.sources)) {
    if (!name.startsWith(`${domain}.`)) continue;
    const { arrives } = contract;
    if (arrives.kind === 'hubspot_email_events') {
      const instant = (days: number): string => new Date(now - days * DAY_MS).toISOString();
      const windows = backfill(name, instant(HISTORY_DAYS), instant(arrives.first_days), now);
      await addWindows(target.world, target.config, sourceNamed(name), windows);
    }
    await pull(target, name);
  }
}

interface Arrived {
  readonly table: string;
  readonly rows: number;
  readonly about: string;
}

/** Rows of every table of a domain. */
async function arrived(target: Target, domain: string): Promise<readonly Arrived[]> {
  const names = Object.keys(catalog.tables).filter((name) => name.startsWith(`${domain}.`));
  const sql = names.map((name) => `SELECT '${name}' AS name, count(*) AS n FROM ${name}`);
  const rows = await target.world.warehouse.rows(sql.join(' UNION ALL '));
  const counts = new Map(rows.map((row) => [String(row['name']), Number(row['n'])]));
  return names.map((name) => ({
    table: name,
    rows: counts.get(name) ?? 0,
    about: catalog.tables[name]?.about ?? '',
  }));
}

interface Performance {
  readonly campaign: string;
  readonly sent: number;
  readonly delivered: number;
  readonly human_open_rate: string;
  readonly human_click_rate: string;
  readonly unsubscribed: number;
  readonly hard_bounced: number;
}

const CAMPAIGNS = `SELECT p.campaign_id, max(c.campaign_name) AS name, sum(p.sent) AS sent,
  sum(p.delivered) AS delivered, sum(p.unique_human_opens) AS opened,
  sum(p.unique_human_clicks) AS clicked, sum(p.unsubscribed) AS unsubscribed,
  sum(p.hard_bounced) AS hard_bounced
FROM email.campaign_performance AS p LEFT JOIN email.dim_campaign AS c ON c.campaign_id = p.campaign_id
GROUP BY p.campaign_id`;

/** Campaigns with enough sends to be judged, best first: by the share of people who opened. */
async function campaigns(target: Target): Promise<readonly Performance[]> {
  const rows = await target.world.warehouse.rows(CAMPAIGNS);
  const of = (row: Readonly<Record<string, unknown>>, name: string): number => Number(row[name]);
  const rate = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);
  const most = Math.max(0, ...rows.map((row) => of(row, 'sent')));
  return rows
    .filter((row) => of(row, 'sent') >= most / 20)
    .map((row) => ({ row, open: rate(of(row, 'opened'), of(row, 'delivered')) }))
    .sort((a, b) => b.open - a.open)
    .map(({ row, open }) => ({
      campaign: `${row['name'] ?? row['campaign_id']}`,
      sent: of(row, 'sent'),
      delivered: of(row, 'delivered'),
      human_open_rate: `${(open * 100).toFixed(1)} %`,
      human_click_rate: `${(rate(of(row, 'clicked'), of(row, 'delivered')) * 100).toFixed(1)} %`,
      unsubscribed: of(row, 'unsubscribed'),
      hard_bounced: of(row, 'hard_bounced'),
    }));
}

/** Every control object of a kind, read. */
async function records<T>(target: Target, prefix: string): Promise<readonly T[]> {
  const { world, config } = target;
  const { control } = config.buckets;
  const found = await Promise.all(
    (await world.objects.list(control, prefix)).map(({ name }) =>
      readJson<T>(world.objects, control, name),
    ),
  );
  return found.flatMap((each) => (each === null ? [] : [each.value]));
}

const between = (from: string, to: string): number => Date.parse(to) - Date.parse(from);

/** Seconds by step, from what the stages themselves wrote down. */
async function whereTimeWent(
  target: Target,
  domain: string,
  before: readonly (readonly [string, number])[],
): Promise<readonly { readonly step: string; readonly took: string }[]> {
  const [runs, batches, loads] = await Promise.all([
    records<RunManifest>(target, `runs/${domain}/`),
    records<BatchManifest>(target, `batches/${domain}/`),
    records<LoadRecord>(target, `loads/${domain}/`),
  ]);
  const begun = runs.map((run) => run.started_at).sort();
  const ended = runs.map((run) => run.finished_at).sort();
  const read = runs.reduce((all, run) => all + run.records, 0);
  const steps: (readonly [string, number])[] = [
    ...before,
    [
      `pull: ${runs.length} runs, ${read.toLocaleString('en')} records`,
      runs.length === 0 ? 0 : between(begun[0] ?? '', ended.at(-1) ?? ''),
    ],
  ];
  for (const batch of batches) {
    steps.push([
      `Spark, batch ${batch.sequence}: ${batch.runs.length} runs, ${batch.tables.length} tables`,
      between(batch.started_at, batch.finished_at),
    ]);
    const parts = Object.entries(batch.seconds).sort(([, a], [, b]) => b - a);
    for (const [part, seconds] of parts.slice(0, 6)) steps.push([`    ${part}`, seconds * 1000]);
  }
  for (const load of loads) {
    const rows = load.tables.reduce((all, { rows: some }) => all + some, 0);
    steps.push([
      `load, batch ${load.sequence}: ${rows.toLocaleString('en')} rows`,
      between(load.started_at, load.finished_at),
    ]);
  }
  return steps.map(([step, ms]) => ({ step, took: duration(ms) }));
}

interface DemoOptions {
  readonly domain?: readonly string[];
  readonly scale: keyof typeof scales;
  readonly data: string;
  readonly keep: boolean;
  readonly json: boolean;
}

export function declare(command: Command): void {
  command
    .addOption(
      new Option('--domain <domain...>', 'only these').choices(domains).default(domains, 'all'),
    )
    .addOption(
      new Option('--scale <scale>', 'events of the account: 5,000, 100,000 or 1,000,000')
        .choices(Object.keys(scales))
        .default('medium'),
    )
    .addOption(
      new Option('--data <dir>', 'folder of the state').default(
        join(localFolder, 'demo'),
        '.local/demo',
      ),
    )
    .option('--keep', 'leave the local cloud running, for ./tributary query', false)
    .option('--json', 'print JSON', false)
    .addHelpText(
      'after',
      `
Starts from nothing each time. ./tributary local --data .local/demo starts the same cloud again
afterwards.

Examples:
  ./tributary demo
  ./tributary demo --scale large --keep`,
    )
    .action(run);
}

async function run(options: DemoOptions): Promise<void> {
  const begun = Date.now();
  const cloud = await openCloud({
    data: resolve(options.data),
    fresh: true,
    quietSchedules: true,
    hubspot: { scale: scales[options.scale] },
    log: say,
  });
  const aborted = (): void => {
    // Whatever stops the demo, no process of its cloud stays behind.
    void cloud.close().finally(() => process.exit(130));
  };
  process.once('SIGINT', aborted).once('SIGTERM', aborted);
  let keeping = false;
  try {
    const opened = Date.now() - begun;
    const target = await openTarget({ data: options.data });
    const chosen = options.domain ?? domains;
    for (const domain of chosen) await pullAll(target, domain);
    say(`pulling ${scales[options.scale].toLocaleString('en')} events, then Spark, then the load`);
    const stuck = await settle(target, {
      timeoutMs: 30 * 60_000,
      told: (left) => {
        if (left.length > 0) say(`  ${left.map(({ what }) => what).join('; ')}`);
      },
    });
    if (stuck.length > 0) {
      throw new Failure(`the demo is stuck: ${stuck.map(({ what }) => what).join('; ')}`);
    }
    const results = await Promise.all(
      chosen.map(async (domain) => ({
        domain,
        tables: await arrived(target, domain),
        campaigns: domain === 'email' ? await campaigns(target) : [],
        time: await whereTimeWent(target, domain, [['set-up, build and start', opened]]),
      })),
    );
    if (options.json)
      console.log(JSON.stringify({ seconds: (Date.now() - begun) / 1000, results }));
    else for (const result of results) console.log(shown(result));
    say(`\nall in ${duration(Date.now() - begun)}`);
    if (options.keep) {
      say("now try: ./tributary query 'SELECT * FROM email.campaign_performance LIMIT 10'");
      process.off('SIGINT', aborted).off('SIGTERM', aborted);
      keeping = true;
      await stay(cloud);
    } else {
      const data = relative(process.cwd(), options.data);
      say(`to look around: ./tributary local --data ${data}, then ./tributary query`);
    }
  } finally {
    if (!keeping) await cloud.close();
  }
}

interface Result {
  readonly domain: string;
  readonly tables: readonly Arrived[];
  readonly campaigns: readonly Performance[];
  readonly time: readonly { readonly step: string; readonly took: string }[];
}

function shown({ domain, tables, campaigns: all, time }: Result): string {
  const best = all[0];
  const worst = all.at(-1);
  const judged =
    best === undefined || worst === undefined
      ? ''
      : `\nbest and worst of ${all.length} campaigns, by the share of people who opened\n${table([
          { '': 'best', ...best },
          { '': 'worst', ...worst },
        ])}\n`;
  return `\n${domain}: what arrived\n${table(tables)}\n${judged}\nwhere the time went\n${table(time)}`;
}
