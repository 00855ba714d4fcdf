/** The whole path on this machine: an account is filled, pulled, transformed, loaded and shown. */
import { join, relative, resolve } from 'node:path';
import { type Command, Option } from 'commander';
import {
  type BatchManifest,
  type LoadRecord,
  type RunManifest,
  readJson,
} from '../functions/manifest.ts';
import { catalog } from '../schemas/rendered/catalog.ts';
import { fill, type Scale, scales } from './demo_fill.ts';
import { type Headline, headlines, type Planted, planted } from './demo_headlines.ts';
import { Failure } from './failure.ts';
import { openCloud, stay } from './local.ts';
import { localFolder } from './place.ts';
import { duration, say, table } from './progress.ts';
import { type Queryable, queryable, shownQueryable } from './queryable.ts';
import { settle } from './settle.ts';
import { openTarget, type Target } from './target.ts';

const domains = Object.keys(catalog.domains).filter((domain) => domain !== 'ops');

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
  readonly scale: Scale;
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
      new Option(
        '--scale <scale>',
        'how much happens: a try, some 60,000 to 100,000 events, a million',
      )
        .choices(['small', 'medium', 'large'])
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
  ./tributary demo --domain commerce website
  ./tributary demo --scale large --keep`,
    )
    .action(run);
}

async function run(options: DemoOptions): Promise<void> {
  const begun = Date.now();
  const chosen = options.domain ?? domains;
  const cloud = await openCloud({
    data: resolve(options.data),
    fresh: true,
    quietSchedules: true,
    hubspot: {
      scale: chosen.includes('email') ? (scales['email']?.[options.scale] ?? 0) : 'small',
    },
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
    for (const domain of chosen) await fill(domain, cloud, target, { ...options, now: begun });
    say('landing, then Spark, then the load');
    const stuck = await settle(target, {
      timeoutMs: 30 * 60_000,
      domains: chosen,
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
        headlines: await headlines(target, domain),
        planted: await planted(target, domain, { ...options, now: begun }),
        queryable: await queryable(target, domain),
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
  readonly headlines: readonly Headline[];
  readonly planted: readonly Planted[];
  readonly queryable: Queryable | null;
  readonly time: readonly { readonly step: string; readonly took: string }[];
}

function shown({ domain, tables, headlines: found, planted: facts, ...rest }: Result): string {
  const part = (title: string, rows: readonly object[]): readonly string[] =>
    rows.length === 0 ? [] : [`${title}\n${table(rows as readonly Record<string, unknown>[])}`];
  return [
    '',
    ...part(`${domain}: what arrived`, tables),
    ...found.flatMap(({ title, rows }) => part(title, rows)),
    ...part('what was planted, and what the tables find', facts),
    ...(rest.queryable === null ? [] : [shownQueryable([rest.queryable])]),
    ...part('where the time went', rest.time),
  ].join('\n\n');
}
