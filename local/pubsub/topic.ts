import type { TopicConfig } from './config.ts';
import type { MessageStore } from './messages.ts';
import { NumberQueue } from './queue.ts';
import type { Subscription } from './subscription.ts';

/** One topic: who gets its messages, and those that it retains itself. Times are epoch ms. */
export class Topic {
  readonly id: number;
  config: TopicConfig;
  readonly subscriptions = new Set<Subscription>();
  /** Messages that the topic itself retains. */
  readonly log = new NumberQueue();
  readonly #store: MessageStore;

  constructor(id: number, config: TopicConfig, store: MessageStore) {
    this.id = id;
    this.config = config;
    this.#store = store;
  }

  get retains(): boolean {
    return this.config.messageRetentionSeconds !== undefined;
  }

  /** When the oldest retained message goes; undefined = there is none. */
  nextDueAt(): number | undefined {
    const { messageRetentionSeconds } = this.config;
    const head = this.log.peek();
    if (head === undefined || messageRetentionSeconds === undefined) return undefined;
    return this.#store.publishTime(head) + messageRetentionSeconds * 1000;
  }

  /** Lets go what is older than the retention. */
  trim(now: number): void {
    const limit = now - (this.config.messageRetentionSeconds ?? 0) * 1000;
    for (;;) {
      const head = this.log.peek();
      if (head === undefined || this.#store.publishTime(head) > limit) return;
      this.log.shift();
      this.#store.release(head);
    }
  }

  /** Lets go of everything. */
  drop(): void {
    for (const number of this.log) this.#store.release(number);
  }
}
