/**
 * How many requests may still go out with one HubSpot token: learnt from its answers' headers,
 * shared by everything that uses the token in this process (hubspot.md 1.6).
 */
import { Transient } from '../errors.ts';
import type { Budget } from '../readers/reader.ts';
import type { World } from '../world.ts';
import { inTurn } from './turns.ts';

/** Until an answer says more: the lowest limit any private app has. */
const UNKNOWN_MAX = 100;
const UNKNOWN_INTERVAL_MS = 10_000;

/** Our clock and HubSpot's gateway see a request at different moments. */
const SLACK_MS = 100;
const MORE_SLACK_MS = 50;
const MOST_SLACK_MS = 1_000;

/** After a refusal everybody pauses for this long, and twice as long after the next. */
const FIRST_PAUSE_MS = 100;

/** Others use the token when nothing is left and our own requests are fewer than this share. */
const FULL_SHARE = 0.9;
const YIELD_MS = 1_000;

/** With the day's share spent, one request after this long finds out whether a new day has begun:
 * the quota resets at midnight in the account's time zone, which no answer names. */
const ASK_AGAIN_MS = 15 * 60_000;

/** Longest pause that a refusal imposes on everybody; longer ones are for the caller to decide. */
const MOST_PAUSE_MS = 30_000;

/**
 * @param options.dailyShare share of the account's daily quota that this pipeline may use up to;
 *   the rest is left to other apps. `take` then throws `Transient` `hubspot_daily_quota`.
 */
export function hubspotBudget(
  world: Pick<World, 'clock' | 'random' | 'log'>,
  options: { readonly dailyShare: number },
): Budget {
  const { clock, random } = world;
  const sent: number[] = [];
  let max = UNKNOWN_MAX;
  let intervalMs = UNKNOWN_INTERVAL_MS;
  let slackMs = SLACK_MS;
  let slackSince = 0;
  let notBefore = 0;
  let refusals = 0;
  let spent: { readonly until: number; readonly message: string } | null = null;

  const take = inTurn(clock, (now) => {
    if (spent !== null && now < spent.until) {
      throw new Transient({
        code: 'hubspot_daily_quota',
        message: spent.message,
        retryAfterMs: spent.until - now,
      });
    }
    while (sent.length > 0 && now - (sent[0] as number) >= intervalMs + slackMs) sent.shift();
    const full = sent.length < max ? 0 : (sent[0] as number) + intervalMs + slackMs - now;
    const wait = Math.max(0, full, notBefore - now);
    if (wait === 0) sent.push(now);
    return wait;
  });

  return {
    take,
    learn(status, headers) {
      const now = clock.now();
      const number = (name: string): number | null => {
        const value = headers[`x-hubspot-ratelimit-${name}`];
        return value === undefined || !/^\d+$/.test(value) ? null : Number(value);
      };
      const saidMax = number('max');
      const saidInterval = number('interval-milliseconds');
      // Sunset "secondly" headers would give an interval of their own; only both together count.
      if (saidMax !== null && saidMax > 0 && saidInterval !== null && saidInterval > 0) {
        max = saidMax;
        intervalMs = saidInterval;
      }
      // Nothing left although we have sent little: somebody else uses the token as well.
      const foreign = number('remaining') === 0 && sent.length < max * FULL_SHARE;
      if (foreign) notBefore = Math.max(notBefore, now + YIELD_MS);
      const daily = number('daily');
      const left = number('daily-remaining');
      if (daily !== null && left !== null) {
        const kept = Math.floor(daily * (1 - options.dailyShare));
        if (left > kept) spent = null;
        else if (spent === null || now >= spent.until) {
          const message =
            `${left} of the account's ${daily} HubSpot requests of today are left and ${kept} are kept for other apps; ` +
            "pulling goes on by itself after the quota resets at midnight in the account's time zone";
          spent = { until: now + ASK_AGAIN_MS, message };
          world.log('WARNING', 'hubspot_daily_quota', { daily, left, kept });
        }
      }
      if (status !== 429) {
        refusals = 0;
        // What made it necessary, such as a slow network, passes as well.
        if (slackMs > SLACK_MS && now - slackSince >= intervalMs) {
          slackMs = Math.max(SLACK_MS, slackMs - MORE_SLACK_MS / 2);
          slackSince = now;
        }
        return;
      }
      const said = retryAfterMs(headers, now);
      if (said !== null) notBefore = Math.max(notBefore, now + Math.min(MOST_PAUSE_MS, said));
      // Refused together, they count once: those under way when the pause began say nothing new.
      if (now < notBefore) return;
      // Everybody pauses, not only the request that was refused: a storm ends by silence.
      refusals += 1;
      slackMs = Math.min(MOST_SLACK_MS, slackMs + MORE_SLACK_MS);
      slackSince = now;
      const most = Math.min(intervalMs, FIRST_PAUSE_MS * 2 ** Math.min(refusals, 10));
      notBefore = now + most * (0.5 + random.next() / 2);
    },
  };
}

/** `Retry-After` in milliseconds: seconds or a date (RFC 9110, 10.2.3); null = none that can be read. */
export function retryAfterMs(
  headers: Readonly<Record<string, string>>,
  now: number,
): number | null {
  const value = headers['retry-after']?.trim();
  if (value === undefined || value === '') return null;
  if (/^\d+(\.\d+)?$/.test(value)) return Math.ceil(Number(value) * 1_000);
  const at = Date.parse(value);
  return Number.isNaN(at) ? null : Math.max(0, at - now);
}
