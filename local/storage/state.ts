/**
 * What the local Cloud Storage knows and what it refuses. No sockets, timers, randomness or file
 * system: it gets a clock, a place for bytes (`Blobs`) and a place for its memory (`record`), and
 * is deterministic. The server and the simulation both run on it.
 *
 *   const state = new StorageState({ clock, blobs: new MemoryBlobs(clock) });
 *   state.buckets.declare({ name: 'bronze' });
 *   await state.objects.write('bronze', 'a/b', bytes, { preconditions: { ifGenerationMatch: 0 } });
 *   const { resource, bytes } = await state.objects.read('bronze', 'a/b');
 *   for (const n of state.notifications.pending()) {
 *     await publish(n);
 *     state.notifications.notified([n.id]);
 *   }
 *
 * Every change is one synchronous step: check, `record` the entry, then change the blobs. A process
 * that dies between the two is made whole at the next start. Errors are
 * StorageError, with the API's status, reason and wording.
 *
 * Files that other processes put into a bucket are objects too: generation from their modification
 * time and inode, no notification, checksums once they have been read.
 */
import type { Blobs } from './blobs.ts';
import { BucketNotifications } from './bucket_notifications.ts';
import { Buckets } from './buckets.ts';
import { applyLifecycle, type LifecycleOutcome } from './lifecycle.ts';
import { type Entry, Memory } from './memory.ts';
import { Objects } from './objects.ts';
import { Versions } from './versions.ts';

export interface StorageOptions {
  readonly clock: { now(): number };
  readonly blobs: Blobs;
  /** Keeps an entry before the call returns. Default: nothing is remembered. */
  readonly record?: (entry: Entry) => void;
  /** What an earlier `record` kept, in order. */
  readonly entries?: Iterable<Entry>;
  /** Called when a notification has become owed. */
  readonly onOwed?: () => void;
  /** The service's address for the links in resources. */
  readonly baseUrl?: string;
}

export class StorageState {
  readonly buckets: Buckets;
  readonly objects: Objects;
  readonly notifications: BucketNotifications;
  /** Set by the server once it knows its port. */
  baseUrl: string;
  readonly #memory: Memory;
  readonly #blobs: Blobs;
  readonly #versions: Versions;

  constructor(options: StorageOptions) {
    const { clock, blobs, entries = [], record = () => undefined } = options;
    const memory = new Memory(blobs, entries, record);
    this.baseUrl = options.baseUrl ?? 'http://storage.local';
    this.#memory = memory;
    this.#blobs = blobs;
    this.#versions = new Versions(memory, blobs, clock, this);
    this.buckets = new Buckets(memory, blobs, clock, this);
    this.notifications = new BucketNotifications(memory, clock, this);
    this.objects = new Objects({
      memory,
      blobs,
      clock,
      versions: this.#versions,
      notifications: this.notifications,
      onOwed: options.onOwed ?? (() => undefined),
    });
  }

  /**
   * Applies the Delete rules of all buckets as of `now` (epoch ms). Returns what was deleted, as
   * `bucket/name#generation`, and the rules that were left alone because of a condition that is
   * not supported here.
   */
  applyLifecycle(now: number): LifecycleOutcome {
    return applyLifecycle(now, {
      memory: this.#memory,
      blobs: this.#blobs,
      versions: this.#versions,
      objects: this.objects,
    });
  }

  /** The whole memory as a fresh list of entries, for compaction. */
  entries(): Iterable<Entry> {
    return this.#memory.entries();
  }
}
