export interface LimitSettings {
  /** Requests per rolling interval and token: 190 for a private app of a Professional account. */
  readonly perInterval: number;
  readonly intervalMs: number;
  /** Requests per day and account; the day ends at midnight in the account's time zone. */
  readonly daily: number;
  readonly dayOffsetMs: number;
  /** CRM search requests per second and account. */
  readonly searchPerSecond: number;
  /** OAuth apps have no daily limit and are sent no daily headers. */
  readonly oauth: boolean;
}

export const LIMITS: LimitSettings = {
  perInterval: 190,
  intervalMs: 10_000,
  daily: 625_000,
  dayOffsetMs: 0,
  searchPerSecond: 5,
  oauth: false,
};

export type PolicyName = 'TEN_SECONDLY_ROLLING' | 'SECONDLY' | 'DAILY';

export interface Verdict {
  readonly refused: PolicyName | undefined;
  /** Rate-limit headers; search answers carry none. */
  readonly headers: Readonly<Record<string, string>>;
}

const DAY = 86_400_000;

/** Times of the last `size` grants: a window that rolls, not a bucket that starts anew. */
class Rolling {
  readonly #size: number;
  readonly #spanMs: number;
  #times: number[] = [];

  constructor(size: number, spanMs: number) {
    this.#size = size;
    this.#spanMs = spanMs;
  }

  left(now: number): number {
    while (this.#times.length > 0 && now - (this.#times[0] as number) >= this.#spanMs)
      this.#times.shift();
    return this.#size - this.#times.length;
  }

  take(now: number): void {
    this.#times.push(now);
  }
}

/** HubSpot's rate limits: per token and interval, per account and day, per account for search. */
export class Limits {
  settings: LimitSettings;
  #tokens = new Map<string, Rolling>();
  #search: Rolling;
  #day = Number.NaN;
  #usedToday = 0;

  constructor(settings: Partial<LimitSettings>) {
    this.settings = { ...LIMITS, ...settings };
    this.#search = new Rolling(this.settings.searchPerSecond, 1_000);
  }

  change(settings: Partial<LimitSettings>): void {
    this.settings = { ...this.settings, ...settings };
    this.#tokens.clear();
    this.#search = new Rolling(this.settings.searchPerSecond, 1_000);
  }

  resetsAt(now: number): number {
    const { dayOffsetMs } = this.settings;
    return (Math.floor((now + dayOffsetMs) / DAY) + 1) * DAY - dayOffsetMs;
  }

  usedToday(now: number): number {
    const day = this.resetsAt(now);
    if (day !== this.#day) {
      this.#day = day;
      this.#usedToday = 0;
    }
    return this.#usedToday;
  }

  /** Other apps of the account use the day's quota too. */
  spend(now: number, requests: number): void {
    this.usedToday(now);
    this.#usedToday += requests;
  }

  admit(token: string, now: number, search: boolean): Verdict {
    const { perInterval, intervalMs, daily, oauth } = this.settings;
    let rolling = this.#tokens.get(token);
    if (rolling === undefined) {
      rolling = new Rolling(perInterval, intervalMs);
      this.#tokens.set(token, rolling);
    }
    let refused: PolicyName | undefined;
    if (!oauth && this.usedToday(now) >= daily) refused = 'DAILY';
    else if (search && this.#search.left(now) <= 0) refused = 'SECONDLY';
    else if (rolling.left(now) <= 0) refused = 'TEN_SECONDLY_ROLLING';
    if (refused === undefined) {
      rolling.take(now);
      if (search) this.#search.take(now);
      this.spend(now, 1);
    }
    if (search) return { refused, headers: {} };
    return {
      refused,
      headers: {
        ...(oauth
          ? {}
          : {
              'X-HubSpot-RateLimit-Daily': String(daily),
              'X-HubSpot-RateLimit-Daily-Remaining': String(
                Math.max(0, daily - this.usedToday(now)),
              ),
            }),
        'X-HubSpot-RateLimit-Interval-Milliseconds': String(intervalMs),
        'X-HubSpot-RateLimit-Max': String(perInterval),
        'X-HubSpot-RateLimit-Remaining': String(Math.max(0, rolling.left(now))),
      },
    };
  }
}
