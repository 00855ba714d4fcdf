/** What the service remembers: buckets, versions and owed notifications, as a list of entries. */
import type { Blobs, Stamp } from './blobs.ts';
import { noSuchBucket } from './errors.ts';
import type { Notification, NotificationConfig } from './notifications.ts';
import type { BucketRecord, ObjectRecord } from './resource.ts';

/** What must be remembered between two starts, in order. */
export type Entry =
  | { readonly do: 'bucket'; readonly bucket: BucketRecord; readonly gen?: number }
  | { readonly do: 'dropBucket'; readonly bucket: string }
  | {
      readonly do: 'configs';
      readonly bucket: string;
      readonly list: readonly NotificationConfig[];
    }
  | {
      readonly do: 'put';
      readonly bucket: string;
      readonly object: ObjectRecord;
      /** Staged bytes that become the content; absent when only metadata changed. */
      readonly staged?: string;
      /** The version that goes aside. */
      readonly archived?: ObjectRecord;
      readonly owed?: readonly Notification[];
    }
  | {
      readonly do: 'delete';
      readonly bucket: string;
      readonly name: string;
      readonly generation: number;
      readonly stamp: Stamp;
      readonly archived?: ObjectRecord;
      readonly owed?: readonly Notification[];
    }
  | {
      readonly do: 'deleteArchived';
      readonly bucket: string;
      readonly name: string;
      readonly generation: number;
      readonly owed?: readonly Notification[];
    }
  | { readonly do: 'archived'; readonly bucket: string; readonly object: ObjectRecord }
  | { readonly do: 'owed'; readonly owed: readonly Notification[]; readonly last: number }
  | { readonly do: 'notified'; readonly ids: readonly number[] }
  | { readonly do: 'last'; readonly generation: number };

export interface Bucket {
  record: BucketRecord;
  readonly objects: Map<string, ObjectRecord>;
  /** Noncurrent versions by name, oldest first. */
  readonly archived: Map<string, ObjectRecord[]>;
  configs: readonly NotificationConfig[];
}

/** Whether a file is still the one that was placed. */
export const sameStamp = (a: Stamp, b: Stamp): boolean =>
  a.ino === b.ino && a.size === b.size && a.mtimeMs === b.mtimeMs;

const bucketOf = (entry: Entry): string =>
  'bucket' in entry && typeof entry.bucket === 'string' ? entry.bucket : '';

export class Memory {
  readonly buckets = new Map<string, Bucket>();
  /** Notifications that are not known to be published, oldest first. */
  readonly owed = new Map<number, Notification>();
  readonly #blobs: Blobs;
  readonly #record: (entry: Entry) => void;
  #lastGeneration = 0;
  #lastNotification = 0;

  /**
   * @param entries what an earlier `record` kept, in order; what they left undone is done
   * @param record keeps an entry before the change that it describes
   */
  constructor(blobs: Blobs, entries: Iterable<Entry>, record: (entry: Entry) => void) {
    this.#blobs = blobs;
    this.#record = record;
    const latest = new Map<string, Entry>();
    for (const entry of entries) {
      this.#remember(entry);
      if (entry.do === 'put') latest.set(`${entry.bucket}/${entry.object.name}`, entry);
      else if (entry.do === 'delete') latest.set(`${entry.bucket}/${entry.name}`, entry);
      else if (entry.do === 'deleteArchived') latest.set(`#${entry.generation}`, entry);
      else if (entry.do === 'dropBucket') latest.set(`#${entry.bucket}`, entry);
      else if (entry.do === 'bucket') latest.delete(`#${entry.bucket.config.name}`);
    }
    for (const bucket of this.buckets.keys()) this.#blobs.addBucket(bucket);
    // A killed process leaves at most its last entry undone, a power cut a few more.
    for (const entry of latest.values()) {
      if (entry.do === 'dropBucket' || this.buckets.has(bucketOf(entry))) this.#redo(entry);
    }
  }

  get lastGeneration(): number {
    return this.#lastGeneration;
  }

  get lastNotification(): number {
    return this.#lastNotification;
  }

  bucket(name: string): Bucket {
    const bucket = this.buckets.get(name);
    if (!bucket) throw noSuchBucket();
    return bucket;
  }

  /** The whole memory as a fresh list of entries, for compaction. */
  *entries(): Generator<Entry> {
    yield { do: 'last', generation: this.#lastGeneration };
    yield { do: 'owed', owed: [...this.owed.values()], last: this.#lastNotification };
    for (const [name, bucket] of this.buckets) {
      yield { do: 'bucket', bucket: bucket.record };
      yield { do: 'configs', bucket: name, list: bucket.configs };
      for (const versions of bucket.archived.values()) {
        for (const object of versions) yield { do: 'archived', bucket: name, object };
      }
      for (const object of bucket.objects.values()) {
        const stamp = this.#blobs.stat(name, object.name);
        if (stamp && sameStamp(stamp, object.stamp)) yield { do: 'put', bucket: name, object };
      }
    }
  }

  /** Records an entry, then knows it; the caller changes the blobs afterwards. */
  keep(entry: Entry): void {
    this.#record(entry);
    this.#remember(entry);
  }

  #remember(entry: Entry): void {
    switch (entry.do) {
      case 'last':
        this.#lastGeneration = Math.max(this.#lastGeneration, entry.generation);
        return;
      case 'owed':
        this.#lastNotification = Math.max(this.#lastNotification, entry.last);
        for (const message of entry.owed) this.owed.set(message.id, message);
        return;
      case 'notified':
        for (const id of entry.ids) this.owed.delete(id);
        return;
      case 'bucket': {
        const { name } = entry.bucket.config;
        const bucket = this.buckets.get(name);
        if (bucket) bucket.record = entry.bucket;
        else {
          this.buckets.set(name, {
            record: entry.bucket,
            objects: new Map(),
            archived: new Map(),
            configs: [],
          });
        }
        return;
      }
      case 'dropBucket':
        this.buckets.delete(entry.bucket);
        return;
      case 'configs':
        this.bucket(entry.bucket).configs = entry.list;
        return;
      case 'archived': {
        const bucket = this.bucket(entry.bucket);
        const { name, generation } = entry.object;
        const others = (bucket.archived.get(name) ?? []).filter((v) => v.generation !== generation);
        const versions = [...others, entry.object].sort((a, b) => a.generation - b.generation);
        bucket.archived.set(name, versions);
        break;
      }
      case 'put': {
        const bucket = this.bucket(entry.bucket);
        bucket.objects.set(entry.object.name, entry.object);
        this.#lastGeneration = Math.max(this.#lastGeneration, entry.object.generation);
        this.#rememberArchived(bucket, entry.archived);
        break;
      }
      case 'delete': {
        const bucket = this.bucket(entry.bucket);
        bucket.objects.delete(entry.name);
        this.#lastGeneration = Math.max(this.#lastGeneration, entry.generation);
        this.#rememberArchived(bucket, entry.archived);
        break;
      }
      case 'deleteArchived': {
        const bucket = this.bucket(entry.bucket);
        const versions = bucket.archived.get(entry.name) ?? [];
        const rest = versions.filter((version) => version.generation !== entry.generation);
        if (rest.length > 0) bucket.archived.set(entry.name, rest);
        else bucket.archived.delete(entry.name);
        break;
      }
    }
    if ('owed' in entry) {
      for (const message of entry.owed ?? []) {
        this.#lastNotification = Math.max(this.#lastNotification, message.id);
        this.owed.set(message.id, message);
      }
    }
  }

  #rememberArchived(bucket: Bucket, version: ObjectRecord | undefined): void {
    if (!version) return;
    const versions = bucket.archived.get(version.name) ?? [];
    bucket.archived.set(version.name, [...versions, version]);
  }

  /** Finishes an entry if the process died between recording and doing it. Repeatable. */
  #redo(entry: Entry): void {
    if (entry.do === 'dropBucket') this.#blobs.removeBucket(entry.bucket);
    if (entry.do === 'deleteArchived') this.#blobs.removeArchived(entry.bucket, entry.generation);
    if (entry.do !== 'put' && entry.do !== 'delete') return;
    const name = entry.do === 'put' ? entry.object.name : entry.name;
    const there = this.#blobs.stat(entry.bucket, name);
    const { archived } = entry;
    if (archived && there && sameStamp(there, archived.stamp)) {
      this.#blobs.archive(entry.bucket, name, archived.generation);
    }
    if (entry.do === 'delete') {
      if (!archived && there && sameStamp(there, entry.stamp))
        this.#blobs.remove(entry.bucket, name);
    } else if (entry.staged !== undefined && !(there && sameStamp(there, entry.object.stamp))) {
      const { size, crc32c = '', md5 = '', stamp } = entry.object;
      this.#blobs.place({ id: entry.staged, size, crc32c, md5, stamp }, entry.bucket, name);
    }
  }
}
