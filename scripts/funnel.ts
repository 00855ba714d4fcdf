/** `funnel`: users or sessions that did each step after the one before; asks functions/queries. */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { Failure } from './failure.ts';
import { type Format, type QueryOutcome, type QueryTarget, runQuery } from './query.ts';
import { openTarget, type TargetOptions, withTarget } from './target.ts';

/** Domains that have events to ask. */
const DOMAINS = ['website', 'commerce'] as const;
const QUERIES = resolve(import.meta.dirname, '../functions/queries');
// The days that GoogleSQL knows.
const FIRST_DAY = '0001-01-01';
const LAST_DAY = '9999-12-31';

export type Grain = 'user' | 'session';

export interface FunnelRequest {
  /** Event types in order, two to twelve. */
  readonly steps: readonly string[];
  readonly grain: Grain;
  /** Default: website. */
  readonly domain?: string;
  /** First and last day that count, `YYYY-MM-DD`; absent = all there are. */
  readonly from?: string;
  readonly to?: string;
  readonly format?: Format;
}

/**
 * Asks for a funnel and writes a row per step: step, event_type, reached, dropped, share (of the
 * first step), share_of_previous, median_seconds (since the step before).
 * @throws Failure when the request makes no sense or BigQuery refuses it
 */
export async function runFunnel(
  request: FunnelRequest,
  target: QueryTarget,
  write: (text: string) => void,
): Promise<QueryOutcome> {
  const { steps, grain, domain = 'website', format = 'table' } = request;
  if (!(DOMAINS as readonly string[]).includes(domain)) {
    throw new Failure(`${domain} has no events to ask: choose one of ${DOMAINS.join(', ')}`);
  }
  if (steps.length < 2 || steps.length > 12) {
    throw new Failure(`a funnel has two to twelve steps, not ${steps.length}`);
  }
  const from = day(request.from ?? FIRST_DAY);
  const to = day(request.to ?? LAST_DAY);
  if (from > to) throw new Failure(`the range is empty: ${from} lies after ${to}`);
  const funnel = funnelOf(domain);
  return await runQuery(
    {
      sql: `SELECT step, event_type, reached, dropped, share, share_of_previous, median_seconds
FROM (
${funnel})
WHERE grain = @grain
ORDER BY step`,
      params: [
        `steps:ARRAY<STRING>:${JSON.stringify(steps)}`,
        `from:DATE:${from}`,
        `to:DATE:${to}`,
        `grain:STRING:${grain}`,
      ],
      format,
    },
    target,
    write,
  );
}

/** The query file of the website, over the events of the domain that is asked. */
function funnelOf(domain: string): string {
  const whole = readFileSync(join(QUERIES, 'website/funnel.sql'), 'utf8');
  if (domain === 'website') return whole;
  const events = readFileSync(join(QUERIES, domain, 'funnel_events.sql'), 'utf8');
  const happened = /(?<=^WITH happened AS \(\n)[\s\S]*?(?=^\),\nplaced AS)/m;
  if (!happened.test(whole)) throw new Failure('website/funnel.sql does not begin with `happened`');
  return whole.replace(happened, () => events);
}

function day(text: string): string {
  const ms = /^\d{4}-\d{2}-\d{2}$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN;
  // A 31st of February is read as a day in March.
  const valid = !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(text);
  if (!valid) throw new Failure(`"${text}" is no day: write 2026-11-21`);
  return text;
}

interface FunnelOptions extends TargetOptions {
  readonly domain: string;
  readonly grain: Grain;
  readonly from?: string;
  readonly to?: string;
  readonly json: boolean;
}

export function declare(command: Command): void {
  withTarget(command)
    .argument('<steps...>', 'event types in order, two to twelve; one may stand twice')
    .addOption(
      new Option('--domain <domain>', 'whose events').choices([...DOMAINS]).default('website'),
    )
    .addOption(
      new Option('--grain <grain>', 'what goes through the funnel')
        .choices(['user', 'session'])
        .default('user'),
    )
    .option('--from <day>', 'first day that counts, e.g. 2026-11-01 (default: the first there is)')
    .option('--to <day>', 'last day that counts (default: the last there is)')
    .option('--json', 'rows as JSON', false)
    .addHelpText(
      'after',
      `
A step is reached with the first event of its type after the one that reached the step before.

Examples:
  ./tributary funnel view signup subscribe
  ./tributary funnel view signup --grain session --from 2026-11-01 --to 2026-11-07
  ./tributary funnel view wishlist order --domain commerce --json`,
    )
    .action(async (steps: readonly string[], options: FunnelOptions) => {
      const { config } = await openTarget(options);
      const { project: projectId, location, endpoints } = config;
      await runFunnel(
        {
          steps,
          grain: options.grain,
          domain: options.domain,
          ...(options.from === undefined ? {} : { from: options.from }),
          ...(options.to === undefined ? {} : { to: options.to }),
          format: options.json ? 'json' : 'table',
        },
        {
          projectId,
          location,
          ...(endpoints.bigquery === undefined ? {} : { apiEndpoint: endpoints.bigquery }),
        },
        (text) => process.stdout.write(text),
      );
    });
}
