/** The days a made-up world has behind it. Times are ms, UTC. */

export const DAY = 86_400_000;

/** `YYYY-MM-DD` of a moment. */
export const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10);

export interface History {
  /** Begin of the first day. */
  readonly start: number;
  /** Its nth day from 0, `YYYY-MM-DD`. */
  day(n: number): string;
  /** How much of its nth day is before the end: 1, but less for the last. */
  share(n: number): number;
}

/** So many days up to a moment; the last is as long as the moment says. */
export function historyUntil(until: number, days: number): History {
  const start = Math.floor((until - 1) / DAY) * DAY - (days - 1) * DAY;
  return {
    start,
    day: (n) => dayOf(start + n * DAY),
    share: (n) => Math.min(1, (until - start - n * DAY) / DAY),
  };
}

/** Whether the day that begins then is a Saturday or a Sunday. */
export function isWeekend(begin: number): boolean {
  const weekday = new Date(begin).getUTCDay();
  return weekday === 0 || weekday === 6;
}
