/** How many requests an address may make: a bucket each that refills all the time. */

interface Bucket {
  tokens: number;
  /** Epoch ms of the last refill. */
  at: number;
}

export class RequestRate {
  readonly #perMinute: number;
  readonly #most: number;
  /** In the order of their last request. */
  readonly #buckets = new Map<string, Bucket>();

  /**
   * @param perMinute requests a minute, which may also come at once; 0 = as many as they like
   * @param most addresses remembered: the one heard of longest ago is forgotten first
   */
  constructor(perMinute: number, most = 20_000) {
    this.#perMinute = perMinute;
    this.#most = most;
  }

  /** Counts a request. @returns ms until the next one may come; 0 = this one may go on */
  wait(address: string, now: number): number {
    if (this.#perMinute === 0) return 0;
    const perMs = this.#perMinute / 60_000;
    const bucket = this.#buckets.get(address) ?? { tokens: this.#perMinute, at: now };
    bucket.tokens = Math.min(this.#perMinute, bucket.tokens + Math.max(0, now - bucket.at) * perMs);
    bucket.at = now;
    this.#buckets.delete(address);
    this.#buckets.set(address, bucket);
    if (this.#buckets.size > this.#most) {
      const [oldest] = this.#buckets.keys();
      if (oldest !== undefined) this.#buckets.delete(oldest);
    }
    if (bucket.tokens < 1) return Math.ceil((1 - bucket.tokens) / perMs);
    bucket.tokens -= 1;
    return 0;
  }
}
