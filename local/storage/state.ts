/**
 * What the local Cloud Storage knows and what it refuses. No sockets, timers, randomness or file
 * system: it gets a clock, a place for bytes (`Blobs`) and a place for its memory (`record`), and
 * is deterministic. The server and the simulation both run on it.
 *
 *   const state = new StorageState({ clock, blobs: new MemoryBlobs(clock) });
 *   state.declareBucket({ name: 'bronze' });
 *   await state.write('bronze', 'a/b', bytes, { preconditions: { ifGenerationMatch: 0 } });
 *   const { resource, bytes } = await state.read('bronze', 'a/b');
 *   for (const n of state.pendingNotifications()) { await publish(n); state.notified([n.id]); }
 *
 * Every change is one synchronous step: check, `record` the entry, then change the blobs. A process
 * that dies between the two is made whole at the next start. Errors are
 * StorageError, with the API's status, reason and wording.
 *
 * Files that other processes put into a bucket are objects too: generation from their modification
 * time and inode, no notification, checksums once they have been read.
 */
import type { Blobs, Content, Staged, Stamp } from './blobs.ts';
import { compareNames, walkSorted } from './blobs.ts';
import type { Checksums } from './checksum.ts';
import { conflict, invalid, noSuchBucket, noSuchObject, StorageError } from './errors.ts';
import { type LifecycleVerdict, lifecycleVerdict } from './lifecycle.ts';
import {
  type Notification,
  type NotificationConfig,
  notificationConfig,
  notificationOf,
  notificationResource,
  type ObjectEvent,
} from './notifications.ts';
import { checkPreconditions, type Preconditions } from './preconditions.ts';
import {
  type BucketConfig,
  type BucketRecord,
  bucketResource,
  type ObjectFields,
  type ObjectRecord,
  type ObjectResource,
  objectResource,
  WRITABLE_TEXT,
} from './resource.ts';

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

export interface WriteOptions {
  readonly fields?: ObjectFields;
  readonly preconditions?: Preconditions;
  /** Checksums the writer claims (base64); other bytes are refused before the object exists. */
  readonly claimed?: Partial<Pick<Checksums, 'crc32c' | 'md5'>>;
}

export interface ReadOptions {
  /** A particular version, live or noncurrent. */
  readonly generation?: number | string;
  readonly preconditions?: Preconditions;
}

export interface ListOptions {
  readonly prefix?: string;
  /** Only `/`. */
  readonly delimiter?: string;
  readonly startOffset?: string;
  readonly endOffset?: string;
  readonly pageToken?: string;
  /** 1 to 1000, default 1000; counts objects and prefixes together. */
  readonly maxResults?: number;
  readonly versions?: boolean;
}

export interface ListPage {
  readonly items: readonly ObjectResource[];
  readonly prefixes: readonly string[];
  readonly nextPageToken?: string;
}

export type ObjectPatch = {
  readonly [K in keyof Omit<ObjectFields, 'metadata'>]?: ObjectFields[K] | null;
} & { readonly metadata?: Readonly<Record<string, string | null>> | null };

export interface Source {
  readonly bucket: string;
  readonly name: string;
  readonly generation?: number | string;
  readonly preconditions?: Preconditions;
}

interface Bucket {
  record: BucketRecord;
  readonly objects: Map<string, ObjectRecord>;
  /** Noncurrent versions by name, oldest first. */
  readonly archived: Map<string, ObjectRecord[]>;
  configs: readonly NotificationConfig[];
}

const PAGE = 1000;
const MAX_SOURCES = 32;
const MAX_NAME_BYTES = 1024;
const BUCKET_NAME = /^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$/;

const sameStamp = (a: Stamp, b: Stamp): boolean =>
  a.ino === b.ino && a.size === b.size && a.mtimeMs === b.mtimeMs;

const bucketOf = (entry: Entry): string =>
  'bucket' in entry && typeof entry.bucket === 'string' ? entry.bucket : '';

function checkObjectName(name: string): void {
  const bytes = Buffer.byteLength(name);
  const bad = bytes === 0 || bytes > MAX_NAME_BYTES || /[\r\n]/.test(name) || !name.isWellFormed();
  if (bad || name === '.' || name === '..' || name.startsWith('.well-known/acme-challenge/')) {
    throw invalid(`Invalid object name: ${JSON.stringify(name)}`);
  }
}

export class StorageState {
  readonly blobs: Blobs;
  readonly #clock: { now(): number };
  readonly #record: (entry: Entry) => void;
  readonly #onOwed: () => void;
  readonly #buckets = new Map<string, Bucket>();
  readonly #owed = new Map<number, Notification>();
  /** Set by the server once it knows its port. */
  baseUrl: string;
  #lastGeneration = 0;
  #lastNotification = 0;

  constructor(options: StorageOptions) {
    this.#clock = options.clock;
    this.blobs = options.blobs;
    this.baseUrl = options.baseUrl ?? 'http://storage.local';
    this.#onOwed = options.onOwed ?? (() => undefined);
    this.#record = () => undefined;
    const latest = new Map<string, Entry>();
    for (const entry of options.entries ?? []) {
      this.#remember(entry);
      if (entry.do === 'put') latest.set(`${entry.bucket}/${entry.object.name}`, entry);
      else if (entry.do === 'delete') latest.set(`${entry.bucket}/${entry.name}`, entry);
      else if (entry.do === 'deleteArchived') latest.set(`#${entry.generation}`, entry);
      else if (entry.do === 'dropBucket') latest.set(`#${entry.bucket}`, entry);
      else if (entry.do === 'bucket') latest.delete(`#${entry.bucket.config.name}`);
    }
    for (const bucket of this.#buckets.keys()) this.blobs.addBucket(bucket);
    // A killed process leaves at most its last entry undone, a power cut a few more.
    for (const entry of latest.values()) {
      if (entry.do === 'dropBucket' || this.#buckets.has(bucketOf(entry))) this.#redo(entry);
    }
    this.#record = options.record ?? this.#record;
  }

  // --- buckets

  /** Creates the bucket or brings an existing one to this declaration. */
  declareBucket(config: BucketConfig): void {
    const bucket = this.#buckets.get(config.name);
    if (!bucket) this.insertBucket(config);
    else if (JSON.stringify(bucket.record.config) !== JSON.stringify(config)) {
      this.#saveBucket(bucket, config);
    }
  }

  insertBucket(config: BucketConfig): Record<string, unknown> {
    if (!BUCKET_NAME.test(config.name)) throw invalid(`Invalid bucket name: '${config.name}'`);
    if (this.#buckets.has(config.name)) {
      throw conflict(
        'Your previous request to create the named bucket succeeded and you already own it.',
      );
    }
    const now = this.#clock.now();
    const record = { config, created: now, updated: now, metageneration: 1 };
    this.#keep({ do: 'bucket', bucket: record });
    this.blobs.addBucket(config.name);
    return this.getBucket(config.name);
  }

  getBucket(name: string, preconditions: Preconditions = {}): Record<string, unknown> {
    const { record } = this.#bucket(name);
    checkPreconditions(preconditions, { ...record, generation: 0 }, 'read');
    return bucketResource(this.baseUrl, record);
  }

  listBuckets(prefix = ''): readonly Record<string, unknown>[] {
    return [...this.#buckets.values()]
      .filter(({ record }) => record.config.name.startsWith(prefix))
      .sort((a, b) => compareNames(a.record.config.name, b.record.config.name))
      .map(({ record }) => bucketResource(this.baseUrl, record));
  }

  /** Merges top-level fields; null removes one. */
  patchBucket(
    name: string,
    patch: Readonly<Record<string, unknown>>,
    preconditions: Preconditions = {},
  ): Record<string, unknown> {
    const bucket = this.#bucket(name);
    checkPreconditions(preconditions, { ...bucket.record, generation: 0 }, 'write');
    const merged: Record<string, unknown> = { ...bucket.record.config, ...patch, name };
    for (const key of Object.keys(merged)) if (merged[key] === null) delete merged[key];
    this.#saveBucket(bucket, merged as unknown as BucketConfig);
    return this.getBucket(name);
  }

  #saveBucket(bucket: Bucket, config: BucketConfig): void {
    const metageneration = bucket.record.metageneration + 1;
    const record = { ...bucket.record, config, metageneration, updated: this.#clock.now() };
    this.#keep({ do: 'bucket', bucket: record });
  }

  deleteBucket(name: string, preconditions: Preconditions = {}): void {
    const bucket = this.#bucket(name);
    checkPreconditions(preconditions, { ...bucket.record, generation: 0 }, 'write');
    const [first] = this.blobs.walk(name, { prefix: '', from: '', folders: false });
    if (first || bucket.archived.size > 0) {
      throw conflict('The bucket you tried to delete is not empty.');
    }
    this.#keep({ do: 'dropBucket', bucket: name });
    this.blobs.removeBucket(name);
  }

  // --- objects

  /** Stages bytes and makes them the object. */
  async write(
    bucket: string,
    name: string,
    bytes: Uint8Array,
    options: WriteOptions = {},
  ): Promise<ObjectResource> {
    this.checkWrite(bucket, name, options.preconditions);
    return this.insert(bucket, name, await this.blobs.stage(bytes), options);
  }

  /** The refusals that need no bytes: lets a server answer before it reads a body. */
  checkWrite(bucket: string, name: string, preconditions: Preconditions = {}): void {
    this.#bucket(bucket);
    checkObjectName(name);
    checkPreconditions(preconditions, this.#live(bucket, name), 'write');
  }

  /** Makes staged bytes the object, or discards them and throws. */
  insert(
    bucket: string,
    name: string,
    staged: Staged,
    options: WriteOptions & { readonly componentCount?: number } = {},
  ): ObjectResource {
    try {
      this.checkWrite(bucket, name, options.preconditions);
      for (const [kind, label] of [['crc32c', 'CRC32C'] as const, ['md5', 'MD5'] as const]) {
        const claim = options.claimed?.[kind];
        if (claim !== undefined && claim !== staged[kind]) {
          throw invalid(
            `Provided ${label} "${claim}" doesn't match calculated ${label} "${staged[kind]}".`,
          );
        }
      }
      this.blobs.prepare(bucket, name);
    } catch (error) {
      this.blobs.discard(staged);
      throw error;
    }
    const now = this.#clock.now();
    const before = this.#live(bucket, name);
    const composed = options.componentCount !== undefined;
    const object: ObjectRecord = {
      name,
      generation: this.#nextGeneration(before),
      metageneration: 1,
      size: staged.size,
      crc32c: staged.crc32c,
      ...(composed ? { componentCount: options.componentCount } : { md5: staged.md5 }),
      fields: options.fields ?? {},
      created: now,
      updated: now,
      stamp: staged.stamp,
    };
    const resource = this.#resource(bucket, object);
    const archived = before && this.#archivedAs(bucket, before, now);
    const events: ObjectEvent[] = [
      {
        type: 'OBJECT_FINALIZE',
        resource,
        ...(before ? { overwroteGeneration: String(before.generation) } : {}),
      },
    ];
    if (before) {
      events.push({
        type: archived ? 'OBJECT_ARCHIVE' : 'OBJECT_DELETE',
        resource: this.#resource(bucket, archived ?? before),
        overwrittenByGeneration: resource.generation,
      });
    }
    const entry = {
      do: 'put',
      bucket,
      object,
      staged: staged.id,
      ...(archived ? { archived } : {}),
      ...this.#owe(bucket, events),
    } as const;
    this.#keep(entry);
    if (archived) this.blobs.archive(bucket, name, archived.generation);
    this.blobs.place(staged, bucket, name);
    this.#announce(entry);
    return resource;
  }

  get(bucket: string, name: string, options: ReadOptions = {}): ObjectResource {
    return this.#resource(bucket, this.#checksummed(bucket, this.#find(bucket, name, options)));
  }

  /** The object with its bytes held open; the caller closes `content`. */
  open(
    bucket: string,
    name: string,
    options: ReadOptions = {},
  ): { readonly resource: ObjectResource; readonly content: Content } {
    const record = this.#checksummed(bucket, this.#find(bucket, name, options));
    return { resource: this.#resource(bucket, record), content: this.#content(bucket, record) };
  }

  async read(
    bucket: string,
    name: string,
    options: ReadOptions = {},
  ): Promise<{ readonly resource: ObjectResource; readonly bytes: Buffer }> {
    const { resource, content } = this.open(bucket, name, options);
    try {
      return { resource, bytes: await content.read() };
    } finally {
      content.close();
    }
  }

  /** Objects in the order of their names. Foreign files that nobody has read carry no checksum. */
  list(bucketName: string, options: ListOptions = {}): ListPage {
    const bucket = this.#bucket(bucketName);
    const { prefix = '', startOffset = '', endOffset } = options;
    if (options.delimiter && options.delimiter !== '/') {
      throw invalid(`Delimiter '${options.delimiter}' is not supported locally, only '/'.`);
    }
    const limit = Math.min(PAGE, options.maxResults || PAGE);
    const token = options.pageToken
      ? Buffer.from(options.pageToken, 'base64').toString()
      : startOffset;
    const from = compareNames(token, startOffset) > 0 ? token : startOffset;
    const walk = { prefix, from, folders: options.delimiter === '/' };
    const entries = options.versions
      ? this.#walkVersions(bucket, walk)
      : this.blobs.walk(bucketName, walk);
    const items: ObjectResource[] = [];
    const prefixes: string[] = [];
    for (const { name, folder } of entries) {
      if (endOffset && compareNames(name, endOffset) >= 0) break;
      if (items.length + prefixes.length >= limit) {
        return { items, prefixes, nextPageToken: Buffer.from(name).toString('base64') };
      }
      if (folder) {
        prefixes.push(name);
        continue;
      }
      const versions = options.versions ? (bucket.archived.get(name) ?? []) : [];
      for (const version of versions) items.push(this.#resource(bucketName, version));
      const live = this.#live(bucketName, name);
      if (live) items.push(this.#resource(bucketName, live));
    }
    return { items, prefixes };
  }

  *#walkVersions(
    bucket: Bucket,
    walk: { readonly prefix: string; readonly from: string; readonly folders: boolean },
  ): Iterable<{ readonly name: string; readonly folder: boolean }> {
    const names = new Set(bucket.archived.keys());
    const everything = { prefix: '', from: '', folders: false };
    for (const { name } of this.blobs.walk(bucket.record.config.name, everything)) names.add(name);
    yield* walkSorted([...names].sort(compareNames), walk);
  }

  /** Deletes the live object, or one version when a generation is given. */
  delete(bucketName: string, name: string, options: ReadOptions = {}): void {
    const bucket = this.#bucket(bucketName);
    const record = this.#find(bucketName, name, options, 'write');
    const now = this.#clock.now();
    if (record.deleted !== undefined) {
      const { generation } = record;
      const resource = this.#resource(bucketName, record);
      const owed = this.#owe(bucketName, [{ type: 'OBJECT_DELETE', resource }]);
      const entry = {
        do: 'deleteArchived',
        bucket: bucketName,
        name,
        generation,
        ...owed,
      } as const;
      this.#keep(entry);
      this.blobs.removeArchived(bucketName, generation);
      this.#announce(entry);
      return;
    }
    const versioned = bucket.record.config.versioning?.enabled === true;
    const forGood = !versioned || options.generation !== undefined;
    const archived = forGood
      ? undefined
      : { ...this.#checksummed(bucketName, record), deleted: now };
    const resource = this.#resource(bucketName, archived ?? record);
    const type = archived ? 'OBJECT_ARCHIVE' : 'OBJECT_DELETE';
    const entry = {
      do: 'delete',
      bucket: bucketName,
      name,
      generation: record.generation,
      stamp: record.stamp,
      ...(archived ? { archived } : {}),
      ...this.#owe(bucketName, [{ type, resource }]),
    } as const;
    this.#keep(entry);
    if (archived) this.blobs.archive(bucketName, name, record.generation);
    else this.blobs.remove(bucketName, name);
    this.#announce(entry);
  }

  /** Changes metadata; absent fields stay, null removes, `metadata` is merged key by key. */
  patch(
    bucketName: string,
    name: string,
    patch: ObjectPatch,
    options: ReadOptions = {},
  ): ObjectResource {
    const record = this.#checksummed(bucketName, this.#find(bucketName, name, options, 'write'));
    const fields: Record<string, unknown> = { ...record.fields };
    for (const key of WRITABLE_TEXT) {
      if (patch[key] === null) delete fields[key];
      else if (patch[key] !== undefined) fields[key] = patch[key];
    }
    if (patch.metadata !== undefined) {
      const metadata: Record<string, string | null> = {
        ...(patch.metadata === null ? {} : record.fields.metadata),
        ...patch.metadata,
      };
      for (const key of Object.keys(metadata)) if (metadata[key] === null) delete metadata[key];
      if (Object.keys(metadata).length > 0) fields['metadata'] = metadata;
      else delete fields['metadata'];
    }
    const object: ObjectRecord = {
      ...record,
      fields,
      metageneration: record.metageneration + 1,
      updated: this.#clock.now(),
    };
    const resource = this.#resource(bucketName, object);
    const owed = this.#owe(bucketName, [{ type: 'OBJECT_METADATA_UPDATE', resource }]);
    const entry =
      record.deleted === undefined
        ? ({ do: 'put', bucket: bucketName, object, ...owed } as const)
        : ({ do: 'archived', bucket: bucketName, object } as const);
    this.#keep(entry);
    if (entry.do === 'put') this.#announce(entry);
    return resource;
  }

  /** Copies (the API's copy and rewrite). Without `fields` the source's are kept. */
  async copy(
    source: Source,
    bucket: string,
    name: string,
    options: WriteOptions = {},
  ): Promise<ObjectResource> {
    const record = this.#find(source.bucket, source.name, source);
    this.checkWrite(bucket, name, options.preconditions);
    const content = this.#content(source.bucket, record);
    let staged: Staged;
    try {
      staged = await this.blobs.concat([content]);
    } finally {
      content.close();
    }
    const { componentCount } = record;
    return this.insert(bucket, name, staged, {
      ...options,
      fields: options.fields ?? record.fields,
      ...(componentCount === undefined ? {} : { componentCount }),
    });
  }

  /** Concatenates 1 to 32 objects of the bucket into one. */
  async compose(
    bucket: string,
    sources: readonly Omit<Source, 'bucket'>[],
    name: string,
    options: WriteOptions = {},
  ): Promise<ObjectResource> {
    this.checkWrite(bucket, name, options.preconditions);
    if (sources.length === 0) throw invalid('You must provide at least one source component.');
    if (sources.length > MAX_SOURCES) {
      throw invalid(
        `The number of source components provided (${sources.length}) exceeds the maximum (32)`,
      );
    }
    const records = sources.map((source) => this.#find(bucket, source.name, source, 'write'));
    const contents: Content[] = [];
    let staged: Staged;
    try {
      for (const record of records) contents.push(this.#content(bucket, record));
      staged = await this.blobs.concat(contents);
    } finally {
      for (const content of contents) content.close();
    }
    const componentCount = records.reduce((sum, record) => sum + (record.componentCount ?? 1), 0);
    const [first] = records;
    return this.insert(bucket, name, staged, {
      ...options,
      fields: options.fields ?? first?.fields ?? {},
      componentCount,
    });
  }

  // --- notifications

  insertNotification(
    bucketName: string,
    body: Readonly<Record<string, unknown>>,
  ): Record<string, unknown> {
    const bucket = this.#bucket(bucketName);
    const id = String(1 + bucket.configs.reduce((max, config) => Math.max(max, +config.id), 0));
    const config = notificationConfig(body, id, bucket.configs);
    this.#keep({ do: 'configs', bucket: bucketName, list: [...bucket.configs, config] });
    return notificationResource(this.baseUrl, bucketName, config);
  }

  /** Brings the bucket's notifications to exactly these; equal ones keep their id. */
  declareNotifications(
    bucketName: string,
    bodies: readonly Readonly<Record<string, unknown>>[],
  ): void {
    const bucket = this.#bucket(bucketName);
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
      this.#keep({ do: 'configs', bucket: bucketName, list });
    }
  }

  getNotification(bucketName: string, id: string): Record<string, unknown> {
    const config = this.#bucket(bucketName).configs.find((each) => each.id === id);
    if (!config) throw new StorageError(404, 'notFound', `Not Found: notification ${id}`);
    return notificationResource(this.baseUrl, bucketName, config);
  }

  listNotifications(bucketName: string): readonly Record<string, unknown>[] {
    return this.#bucket(bucketName).configs.map((config) =>
      notificationResource(this.baseUrl, bucketName, config),
    );
  }

  deleteNotification(bucketName: string, id: string): void {
    this.getNotification(bucketName, id);
    const list = this.#bucket(bucketName).configs.filter((config) => config.id !== id);
    this.#keep({ do: 'configs', bucket: bucketName, list });
  }

  /** Messages that are owed and not yet known to be published, oldest first. */
  pendingNotifications(): readonly Notification[] {
    return [...this.#owed.values()];
  }

  /** Says that these messages were published; until then they are owed, across restarts too. */
  notified(ids: readonly number[]): void {
    const known = ids.filter((id) => this.#owed.has(id));
    if (known.length > 0) this.#keep({ do: 'notified', ids: known });
  }

  // --- lifecycle

  /**
   * Applies the Delete rules of all buckets as of `now` (epoch ms). Returns what was deleted, as
   * `bucket/name#generation`, and the rules that were left alone because of a condition that is
   * not supported here.
   */
  applyLifecycle(now: number): {
    readonly deleted: readonly string[];
    readonly skipped: readonly string[];
  } {
    const deleted: string[] = [];
    const skipped = new Set<string>();
    for (const [bucketName, bucket] of this.#buckets) {
      const rules = bucket.record.config.lifecycle?.rule ?? [];
      if (rules.length === 0) continue;
      const doomed: { name: string; generation: number; noncurrent: boolean }[] = [];
      const judge = (record: ObjectRecord, newer: number): void => {
        const verdict: LifecycleVerdict = lifecycleVerdict(rules, record, newer, now);
        for (const reason of verdict.skipped) skipped.add(`${bucketName}: ${reason}`);
        const { name, generation } = record;
        if (verdict.remove) {
          doomed.push({ name, generation, noncurrent: record.deleted !== undefined });
        }
      };
      for (const { name } of this.blobs.walk(bucketName, {
        prefix: '',
        from: '',
        folders: false,
      })) {
        const live = this.#live(bucketName, name);
        if (live) judge(live, 0);
      }
      for (const [name, versions] of bucket.archived) {
        const live = this.#live(bucketName, name) ? 1 : 0;
        for (const [i, version] of versions.entries())
          judge(version, versions.length - 1 - i + live);
      }
      for (const { name, generation, noncurrent } of doomed) {
        // A live object of a versioned bucket becomes noncurrent, as in the real service.
        const preconditions = { ifGenerationMatch: generation };
        this.delete(bucketName, name, noncurrent ? { generation } : { preconditions });
        deleted.push(`${bucketName}/${name}#${generation}`);
      }
    }
    return { deleted, skipped: [...skipped] };
  }

  // --- memory

  /** The whole memory as a fresh list of entries, for compaction. */
  *entries(): Generator<Entry> {
    yield { do: 'last', generation: this.#lastGeneration };
    yield { do: 'owed', owed: [...this.#owed.values()], last: this.#lastNotification };
    for (const [name, bucket] of this.#buckets) {
      yield { do: 'bucket', bucket: bucket.record };
      yield { do: 'configs', bucket: name, list: bucket.configs };
      for (const versions of bucket.archived.values()) {
        for (const object of versions) yield { do: 'archived', bucket: name, object };
      }
      for (const object of bucket.objects.values()) {
        const stamp = this.blobs.stat(name, object.name);
        if (stamp && sameStamp(stamp, object.stamp)) yield { do: 'put', bucket: name, object };
      }
    }
  }

  #keep(entry: Entry): void {
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
        for (const message of entry.owed) this.#owed.set(message.id, message);
        return;
      case 'notified':
        for (const id of entry.ids) this.#owed.delete(id);
        return;
      case 'bucket': {
        const { name } = entry.bucket.config;
        const bucket = this.#buckets.get(name);
        if (bucket) bucket.record = entry.bucket;
        else {
          this.#buckets.set(name, {
            record: entry.bucket,
            objects: new Map(),
            archived: new Map(),
            configs: [],
          });
        }
        return;
      }
      case 'dropBucket':
        this.#buckets.delete(entry.bucket);
        return;
      case 'configs':
        this.#bucket(entry.bucket).configs = entry.list;
        return;
      case 'archived': {
        const bucket = this.#bucket(entry.bucket);
        const { name, generation } = entry.object;
        const others = (bucket.archived.get(name) ?? []).filter((v) => v.generation !== generation);
        const versions = [...others, entry.object].sort((a, b) => a.generation - b.generation);
        bucket.archived.set(name, versions);
        break;
      }
      case 'put': {
        const bucket = this.#bucket(entry.bucket);
        bucket.objects.set(entry.object.name, entry.object);
        this.#lastGeneration = Math.max(this.#lastGeneration, entry.object.generation);
        this.#rememberArchived(bucket, entry.archived);
        break;
      }
      case 'delete': {
        const bucket = this.#bucket(entry.bucket);
        bucket.objects.delete(entry.name);
        this.#lastGeneration = Math.max(this.#lastGeneration, entry.generation);
        this.#rememberArchived(bucket, entry.archived);
        break;
      }
      case 'deleteArchived': {
        const bucket = this.#bucket(entry.bucket);
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
        this.#owed.set(message.id, message);
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
    if (entry.do === 'dropBucket') this.blobs.removeBucket(entry.bucket);
    if (entry.do === 'deleteArchived') this.blobs.removeArchived(entry.bucket, entry.generation);
    if (entry.do !== 'put' && entry.do !== 'delete') return;
    const name = entry.do === 'put' ? entry.object.name : entry.name;
    const there = this.blobs.stat(entry.bucket, name);
    const { archived } = entry;
    if (archived && there && sameStamp(there, archived.stamp)) {
      this.blobs.archive(entry.bucket, name, archived.generation);
    }
    if (entry.do === 'delete') {
      if (!archived && there && sameStamp(there, entry.stamp))
        this.blobs.remove(entry.bucket, name);
    } else if (entry.staged !== undefined && !(there && sameStamp(there, entry.object.stamp))) {
      const { size, crc32c = '', md5 = '', stamp } = entry.object;
      this.blobs.place({ id: entry.staged, size, crc32c, md5, stamp }, entry.bucket, name);
    }
  }

  #owe(
    bucketName: string,
    events: readonly ObjectEvent[],
  ): { readonly owed?: readonly Notification[] } {
    const { configs } = this.#bucket(bucketName);
    const now = this.#clock.now();
    const owed: Notification[] = [];
    for (const event of events) {
      for (const config of configs) {
        const id = this.#lastNotification + owed.length + 1;
        const message = notificationOf(config, event, id, now);
        if (message) owed.push(message);
      }
    }
    return owed.length > 0 ? { owed } : {};
  }

  #announce(entry: { readonly owed?: readonly Notification[] }): void {
    if (entry.owed) this.#onOwed();
  }

  // --- finding

  #bucket(name: string): Bucket {
    const bucket = this.#buckets.get(name);
    if (!bucket) throw noSuchBucket();
    return bucket;
  }

  /** The live version: ours if the file is the one we placed, else what another process left. */
  #live(bucketName: string, name: string): ObjectRecord | undefined {
    const stamp = this.blobs.stat(bucketName, name);
    if (!stamp) return undefined;
    const ours = this.#bucket(bucketName).objects.get(name);
    if (ours && sameStamp(ours.stamp, stamp)) return ours;
    const derived = Math.floor(stamp.mtimeMs * 1000) + (stamp.ino % 1000);
    const sums = this.blobs.knownChecksums(bucketName, name);
    return {
      name,
      generation:
        ours && derived <= ours.generation ? ours.generation + 1 + (stamp.ino % 1000) : derived,
      metageneration: 1,
      size: stamp.size,
      ...(sums ? { crc32c: sums.crc32c, md5: sums.md5 } : {}),
      fields: { contentType: 'application/octet-stream' },
      created: Math.floor(stamp.mtimeMs),
      updated: Math.floor(stamp.mtimeMs),
      stamp,
    };
  }

  #checksummed(bucket: string, record: ObjectRecord): ObjectRecord {
    if (record.crc32c !== undefined) return record;
    const { crc32c, md5 } = this.blobs.checksums(bucket, record.name);
    return { ...record, crc32c, md5 };
  }

  #find(
    bucketName: string,
    name: string,
    { generation, preconditions = {} }: ReadOptions,
    verb: 'read' | 'write' = 'read',
  ): ObjectRecord {
    const bucket = this.#bucket(bucketName);
    const live = this.#live(bucketName, name);
    if (generation === undefined) {
      if (!live) throw noSuchObject(bucketName, name);
      checkPreconditions(preconditions, live, verb);
      return live;
    }
    const wanted = Number(generation);
    const found =
      live?.generation === wanted
        ? live
        : bucket.archived.get(name)?.find((version) => version.generation === wanted);
    if (!found) throw noSuchObject(bucketName, name, wanted);
    checkPreconditions(preconditions, found, verb);
    return found;
  }

  #content(bucket: string, record: ObjectRecord): Content {
    return record.deleted === undefined
      ? this.blobs.open(bucket, record.name)
      : this.blobs.openArchived(bucket, record.generation);
  }

  #archivedAs(bucketName: string, record: ObjectRecord, now: number): ObjectRecord | undefined {
    if (this.#bucket(bucketName).record.config.versioning?.enabled !== true) return undefined;
    return { ...this.#checksummed(bucketName, record), deleted: now };
  }

  #nextGeneration(before: ObjectRecord | undefined): number {
    const micros = Math.floor(this.#clock.now() * 1000);
    return Math.max(micros, this.#lastGeneration + 1, (before?.generation ?? 0) + 1);
  }

  #resource(bucket: string, record: ObjectRecord): ObjectResource {
    return objectResource(this.baseUrl, bucket, record);
  }
}
