/**
 * Group commit: what many callers hand in at the same time goes out in few requests, and each caller
 * is answered when the request that carries its own has succeeded.
 *
 * A request leaves a few milliseconds after its first item, or as soon as one on its way comes back
 * when enough are on their way: with slow answers requests grow by themselves, and nobody waits for
 * a timer while there is work to send.
 */
import type { Clock } from './world.ts';

interface Waiting<T> {
  readonly items: readonly T[];
  readonly bytes: number;
  readonly done: () => void;
  readonly failed: (failure: unknown) => void;
}

export interface GroupCommitOptions<T> {
  readonly clock: Clock;
  readonly send: (items: readonly T[]) => Promise<void>;
  readonly mostItems: number;
  readonly mostBytes: number;
  /** Requests on their way at once. */
  readonly parallel: number;
  readonly lingerMs: number;
}

export class GroupCommit<T> {
  readonly #options: GroupCommitOptions<T>;
  #waiting: Waiting<T>[] = [];
  #items = 0;
  #bytes = 0;
  #sending = 0;
  #lingers = false;

  constructor(options: GroupCommitOptions<T>) {
    this.#options = options;
  }

  /**
   * Resolves when the request with these items, never more than one, has succeeded; rejects with
   * what became of it. The items fit into a request.
   */
  add(items: readonly T[], bytes: number): Promise<void> {
    return new Promise((done, failed) => {
      this.#waiting.push({ items, bytes, done, failed });
      this.#items += items.length;
      this.#bytes += bytes;
      this.#next();
    });
  }

  #next(): void {
    const { clock, lingerMs, mostItems, mostBytes, parallel } = this.#options;
    while (this.#sending < parallel && (this.#items >= mostItems || this.#bytes >= mostBytes)) {
      this.#send();
    }
    if (this.#sending >= parallel || this.#waiting.length === 0 || this.#lingers) return;
    this.#lingers = true;
    void clock.sleep(lingerMs).then(() => {
      this.#lingers = false;
      if (this.#sending < parallel && this.#waiting.length > 0) this.#send();
      this.#next();
    });
  }

  #send(): void {
    const group = this.#take();
    this.#sending += 1;
    const items = group.flatMap((waiting) => waiting.items);
    const sent = this.#options.send(items).then(
      () => {
        for (const { done } of group) done();
      },
      (failure: unknown) => {
        for (const { failed } of group) failed(failure);
      },
    );
    void sent.then(() => {
      this.#sending -= 1;
      // What has gathered meanwhile has waited long enough.
      if (this.#waiting.length > 0) this.#send();
      this.#next();
    });
  }

  /** From the front, whole callers only, as many as fit into a request. */
  #take(): readonly Waiting<T>[] {
    const { mostItems, mostBytes } = this.#options;
    let items = 0;
    let bytes = 0;
    let count = 0;
    for (const waiting of this.#waiting) {
      const fits = items + waiting.items.length <= mostItems && bytes + waiting.bytes <= mostBytes;
      if (count > 0 && !fits) break;
      items += waiting.items.length;
      bytes += waiting.bytes;
      count += 1;
    }
    this.#items -= items;
    this.#bytes -= bytes;
    const group = this.#waiting.slice(0, count);
    this.#waiting = this.#waiting.slice(count);
    return group;
  }
}
