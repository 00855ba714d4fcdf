import { DAY } from '../history.ts';
import { draws, hash } from '../random.ts';
import { DAYS, type Planted, planSite, type Scale } from './plan.ts';
import { type Happening, type SiteEvent, session } from './session.ts';

export interface SiteWorld {
  readonly from: number;
  readonly until: number;
  readonly planted: Planted;
  /** Every event once, in the order they happened. A day of them is held in memory. */
  events(): Generator<SiteEvent>;
  /** As clients publish them: now and then one twice, or a little later than the next ones. */
  published(): Generator<SiteEvent>;
}

/**
 * A made-up content site over three weeks, a pure function of `seed`, `scale` (about how many
 * events) and `until` (ms): readers who come by search, letters and social media, on phones and
 * desks, with sessions of their own or without, some of whom sign up, subscribe or donate.
 */
export function siteWorld(options: {
  readonly seed: number;
  readonly scale: Scale;
  readonly until: number;
}): SiteWorld {
  const plan = planSite(options);

  function* events(): Generator<SiteEvent> {
    let carried: readonly Happening[] = [];
    for (let day = 0; day < DAYS; day++) {
      const end = plan.start + (day + 1) * DAY;
      const found = [...carried];
      for (let n = 0; n < (plan.sessions[day] as number); n++) found.push(...session(plan, day, n));
      found.sort((a, b) => (a.event.occurred_at < b.event.occurred_at ? -1 : 1));
      // Sessions go on past midnight.
      const last = day === DAYS - 1;
      carried = last ? [] : found.filter(({ at }) => at >= end);
      for (const { at, event } of found) if (last || at < end) yield event;
    }
  }

  function* published(): Generator<SiteEvent> {
    const draw = draws(hash(plan.seed, 31));
    const late: Late[] = [];
    let number = 0;
    for (const event of events()) {
      const odd = draw();
      // 1 % twice, 2 % late.
      if (odd >= 0.02) yield event;
      if (odd < 0.03) late.push({ due: number + 1 + Math.floor(draw() * 200), event });
      for (let one = late[0]; one !== undefined && one.due <= number; one = late[0]) {
        yield one.event;
        late.shift();
      }
      number += 1;
    }
    for (const { event } of late) yield event;
  }

  return { from: plan.start, until: plan.until, planted: plan.planted, events, published };
}

interface Late {
  /** Number of the event after which it comes. */
  readonly due: number;
  readonly event: SiteEvent;
}
