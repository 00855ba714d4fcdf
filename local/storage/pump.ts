/** Hands owed notifications to Pub/Sub until each was taken: at least once. */
import type { Notification } from './notifications.ts';
import type { StorageState } from './state.ts';

export type Publish = (
  /** `projects/P/topics/T` */
  topic: string,
  message: { readonly data: Buffer; readonly attributes: Readonly<Record<string, string>> },
) => Promise<unknown>;

const PARALLEL = 32;
const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 10_000;

export class NotificationPump {
  readonly #state: StorageState;
  readonly #publish: Publish;
  readonly #log: (message: string) => void;
  #running: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #wait = FIRST_WAIT_MS;
  #closed = false;

  constructor(state: StorageState, publish: Publish, log: (message: string) => void) {
    this.#state = state;
    this.#publish = publish;
    this.#log = log;
  }

  /** Starts delivering unless it is under way or waiting after a failure. */
  wake(): void {
    if (this.#closed || this.#running || this.#timer) return;
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
      if (this.#state.notifications.pending().length === 0) return;
      if (!this.#timer) this.wake();
    });
  }

  async #run(): Promise<void> {
    const queue = this.#state.notifications.pending().values();
    let failure: unknown;
    const deliver = async (message: Notification): Promise<void> => {
      const { id, topic, data, attributes } = message;
      try {
        await this.#publish(topic, { data: Buffer.from(data), attributes });
        this.#state.notifications.notified([id]);
        this.#wait = FIRST_WAIT_MS;
      } catch (error) {
        failure = error;
      }
    };
    // A topic that refuses must not hold back the others: everything is tried once per round.
    const lane = async (): Promise<void> => {
      for (const message of queue) {
        if (this.#closed) return;
        await deliver(message);
      }
    };
    await Promise.all(Array.from({ length: PARALLEL }, lane));
    if (failure === undefined || this.#closed) return;
    const reason = failure instanceof Error ? failure.message : String(failure);
    this.#log(`storage: notifications wait ${this.#wait} ms, publishing failed: ${reason}`);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.wake();
    }, this.#wait);
    this.#wait = Math.min(LONGEST_WAIT_MS, 2 * this.#wait);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#running;
  }
}
