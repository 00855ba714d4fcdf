/** Which messages the buckets owe to Pub/Sub, and for which events. */
import { StorageError } from './errors.ts';
import type { Memory } from './memory.ts';
import {
  type Notification,
  type NotificationConfig,
  notificationConfig,
  notificationOf,
  notificationResource,
  type ObjectEvent,
} from './notifications.ts';

export class BucketNotifications {
  readonly #memory: Memory;
  readonly #clock: { now(): number };
  readonly #at: { readonly baseUrl: string };

  /** @param at the service's address for the links in resources */
  constructor(memory: Memory, clock: { now(): number }, at: { readonly baseUrl: string }) {
    this.#memory = memory;
    this.#clock = clock;
    this.#at = at;
  }

  insert(bucketName: string, body: Readonly<Record<string, unknown>>): Record<string, unknown> {
    const bucket = this.#memory.bucket(bucketName);
    const id = String(1 + bucket.configs.reduce((max, config) => Math.max(max, +config.id), 0));
    const config = notificationConfig(body, id, bucket.configs);
    this.#memory.keep({ do: 'configs', bucket: bucketName, list: [...bucket.configs, config] });
    return notificationResource(this.#at.baseUrl, bucketName, config);
  }

  /** Brings the bucket's notifications to exactly these; equal ones keep their id. */
  declare(bucketName: string, bodies: readonly Readonly<Record<string, unknown>>[]): void {
    const bucket = this.#memory.bucket(bucketName);
    const list: NotificationConfig[] = [];
    let last = bucket.configs.reduce((max, config) => Math.max(max, +config.id), 0);
    for (const body of bodies) {
      const same = bucket.configs.find((old) => {
        const wanted = notificationConfig(body, old.id, []);
        return JSON.stringify(wanted) === JSON.stringify(old) && !list.includes(old);
      });
      list.push(same ?? notificationConfig(body, String(++last), list));
    }
    if (JSON.stringify(list) !== JSON.stringify(bucket.configs)) {
      this.#memory.keep({ do: 'configs', bucket: bucketName, list });
    }
  }

  get(bucketName: string, id: string): Record<string, unknown> {
    const config = this.#memory.bucket(bucketName).configs.find((each) => each.id === id);
    if (!config) throw new StorageError(404, 'notFound', `Not Found: notification ${id}`);
    return notificationResource(this.#at.baseUrl, bucketName, config);
  }

  list(bucketName: string): readonly Record<string, unknown>[] {
    return this.#memory
      .bucket(bucketName)
      .configs.map((config) => notificationResource(this.#at.baseUrl, bucketName, config));
  }

  remove(bucketName: string, id: string): void {
    this.get(bucketName, id);
    const list = this.#memory.bucket(bucketName).configs.filter((config) => config.id !== id);
    this.#memory.keep({ do: 'configs', bucket: bucketName, list });
  }

  /** Messages that are owed and not yet known to be published, oldest first. */
  pending(): readonly Notification[] {
    return [...this.#memory.owed.values()];
  }

  /** Says that these messages were published; until then they are owed, across restarts too. */
  notified(ids: readonly number[]): void {
    const known = ids.filter((id) => this.#memory.owed.has(id));
    if (known.length > 0) this.#memory.keep({ do: 'notified', ids: known });
  }

  /** The messages that these events owe, to be kept with the change that caused them. */
  owedFor(
    bucketName: string,
    events: readonly ObjectEvent[],
  ): { readonly owed?: readonly Notification[] } {
    const { configs } = this.#memory.bucket(bucketName);
    const now = this.#clock.now();
    const owed: Notification[] = [];
    for (const event of events) {
      for (const config of configs) {
        const id = this.#memory.lastNotification + owed.length + 1;
        const message = notificationOf(config, event, id, now);
        if (message) owed.push(message);
      }
    }
    return owed.length > 0 ? { owed } : {};
  }
}
