/** How many requests may still go out to one REST API: what the contract allows, and its refusals. */
import type { Budget } from '../readers/reader.ts';
import type { World } from '../world.ts';
import { retryAfterMs } from './rate_budget.ts';
import { inTurn } from './turns.ts';

const MINUTE_MS = 60_000;

/** Our clock and the API's gateway see a request at different moments. */
const SLACK_MS = 250;

/** After a refusal that names no time everybody pauses for this long, and twice as long after the next. */
const FIRST_PAUSE_MS = 1_000;

/** Longest pause that a refusal imposes on everybody; longer ones are for the caller to decide. */
const MOST_PAUSE_MS = 30_000;

/**
 * At most so many requests in any minute, for everything in this process that uses the API; after a
 * 429, or a 503 that says when, nobody asks until then.
 */
export function restBudget(
  world: Pick<World, 'clock' | 'random'>,
  options: { readonly requestsPerMinute: number },
): Budget {
  const { clock, random } = world;
  const most = Math.max(1, Math.floor(options.requestsPerMinute));
  const sent: number[] = [];
  let notBefore = 0;
  let refusals = 0;

  const take = inTurn(clock, (now) => {
    while (sent.length > 0 && now - (sent[0] as number) >= MINUTE_MS + SLACK_MS) sent.shift();
    const full = sent.length < most ? 0 : (sent[0] as number) + MINUTE_MS + SLACK_MS - now;
    const wait = Math.max(0, full, notBefore - now);
    if (wait === 0) sent.push(now);
    return wait;
  });

  return {
    take,
    learn(status, headers) {
      const now = clock.now();
      const said = retryAfterMs(headers, now);
      const refused = status === 429 || ((status === 503 || status === 403) && said !== null);
      if (!refused) {
        if (status < 400) refusals = 0;
        return;
      }
      if (said !== null) {
        notBefore = Math.max(notBefore, now + Math.min(MOST_PAUSE_MS, said));
        return;
      }
      // Refused together, they count once: those under way when the pause began say nothing new.
      if (now < notBefore) return;
      refusals += 1;
      const pause = Math.min(MOST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(refusals - 1, 10));
      notBefore = now + pause * (0.5 + random.next() / 2);
    },
  };
}
