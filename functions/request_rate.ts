/** How many requests an address may make: a bucket each that refills all the time. */

interface Bucket {
  /** Milliseconds of waiting that are saved up: a request costs some. */
  credit: number;
  /** Epoch ms of the last request. */
  at: number;
}

const MINUTE_MS = 60_000;

export class RequestRate {
  readonly #cost: number;
  readonly #most: number;
  /** In the order of their last request. */
  readonly #buckets = new Map<string, Bucket>();

  /**
   * @param perMinute requests a minute, which may also come at once; 0 = as many as they like
   * @param most addresses remembered: the one heard of longest ago is forgotten first
   */
  constructor(perMinute: number, most = 20_000) {
    this.#cost = perMinute === 0 ? 0 : MINUTE_MS / perMinute;
    this.#most = most;
  }

  /** Counts a request. @returns ms until the next one may come; 0 = this one may go on */
  wait(address: string, now: number): number {
    if (this.#cost === 0) return 0;
    const bucket = this.#buckets.get(address) ?? { credit: MINUTE_MS, at: now };
    bucket.credit = Math.min(MINUTE_MS, bucket.credit + Math.max(0, now - bucket.at));
    bucket.at = now;
    this.#buckets.delete(address);
    this.#buckets.set(address, bucket);
    if (this.#buckets.size > this.#most) {
      const [oldest] = this.#buckets.keys();
      if (oldest !== undefined) this.#buckets.delete(oldest);
    }
    if (bucket.credit < this.#cost) return Math.ceil(this.#cost - bucket.credit);
    bucket.credit -= this.#cost;
    return 0;
  }
}
