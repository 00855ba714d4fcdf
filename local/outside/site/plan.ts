/** What the simulated website is made of, and what is planted in it. Times are ms, UTC. */
import { DAY, historyUntil, isWeekend } from '../history.ts';
import { between, draws, hash, pick } from '../random.ts';

/** Days of history before `until`. */
export const DAYS = 21;
/** What a session brings on average; measured over the seeds of the tests. */
const EVENTS_PER_SESSION = 2.85;

/** About how many events a world has. */
export const scales = { small: 4_000, default: 60_000, large: 1_000_000 } as const;
export type Scale = keyof typeof scales | number;

export interface Content {
  readonly type: 'post' | 'video' | 'poll';
  readonly id: string;
  readonly author: string;
}

/** A thing worth finding again in the tables. Days are `YYYY-MM-DD`, both ends included. */
export interface Planted {
  /** For two days one post is read more than anything else by far, by people from social media. */
  readonly viral: { readonly entityId: string; readonly from: string; readonly to: string };
  /** For three days hardly anyone on a phone gets through the sign-up they begin. */
  readonly signupBug: { readonly device: 'Mobile'; readonly from: string; readonly to: string };
  /** A letter brings many sessions for two days, and they sign up more than others. */
  readonly campaign: {
    readonly name: string;
    readonly channel: 'email';
    readonly from: string;
    readonly to: string;
  };
  /** From this day on an event type that nobody has seen before. */
  readonly newType: { readonly eventType: string; readonly from: string };
}

export interface Plan {
  readonly seed: number;
  /** Begin of the first day. */
  readonly start: number;
  readonly until: number;
  readonly visitors: number;
  readonly content: readonly Content[];
  /** Sessions that begin on each day. */
  readonly sessions: readonly number[];
  readonly planted: Planted;
}

/** A 24-digit id as document databases make them, 32 digits for a session. */
export const hexId = (digits: number, ...parts: readonly number[]): string =>
  Array.from({ length: digits / 8 }, (_, i) =>
    hash(i, ...parts)
      .toString(16)
      .padStart(8, '0'),
  ).join('');

/** The world's outline, from three values alone. */
export function planSite(options: {
  readonly seed: number;
  readonly scale: Scale;
  readonly until: number;
}): Plan {
  const { seed, scale, until } = options;
  const events = typeof scale === 'number' ? scale : scales[scale];
  const sessions = Math.max(DAYS, Math.ceil(events / EVENTS_PER_SESSION));
  const { start, day, share } = historyUntil(until, DAYS);
  const content = Array.from({ length: Math.max(30, Math.ceil(sessions / 60)) }, (_, n) => {
    const draw = draws(hash(seed, n, 11));
    return {
      type: pick(draw, [
        { weight: 70, value: 'post' },
        { weight: 22, value: 'video' },
        { weight: 8, value: 'poll' },
      ] as const),
      id: hexId(24, seed, n, 12),
      author: hexId(24, seed, between(draw, 0, 40), 13),
    };
  });
  // Far from the favourites, so that nobody would have read it anyway.
  const viral = content.findLast(({ type }) => type === 'post') as Content;
  // Weekends are quieter.
  const weights = Array.from(
    { length: DAYS },
    (_, n) => (isWeekend(start + n * DAY) ? 0.7 : 1) * (campaignDay(n) ? 1.3 : 1) * share(n),
  );
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return {
    seed,
    start,
    until,
    visitors: Math.max(40, Math.ceil(sessions / 3)),
    content,
    sessions: weights.map((weight) => Math.round((sessions * weight) / total)),
    planted: {
      viral: { entityId: viral.id, from: day(6), to: day(7) },
      signupBug: { device: 'Mobile', from: day(11), to: day(13) },
      campaign: { name: 'spring_letter', channel: 'email', from: day(15), to: day(16) },
      newType: { eventType: 'poll_vote', from: day(17) },
    },
  };
}

const campaignDay = (n: number): boolean => n === 15 || n === 16;
