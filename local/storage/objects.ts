/** Objects: written, read, changed, copied, composed and deleted; each change one synchronous step. */
import type { Blobs, Content, Staged } from './blobs.ts';
import type { BucketNotifications } from './bucket_notifications.ts';
import type { Checksums } from './checksum.ts';
import { invalid } from './errors.ts';
import { type ListOptions, type ListPage, listObjects } from './listing.ts';
import type { Memory } from './memory.ts';
import type { Notification, ObjectEvent } from './notifications.ts';
import { checkPreconditions, type Preconditions } from './preconditions.ts';
import {
  type ObjectFields,
  type ObjectRecord,
  type ObjectResource,
  WRITABLE_TEXT,
} from './resource.ts';
import type { ReadOptions, Versions } from './versions.ts';

export interface WriteOptions {
  readonly fields?: ObjectFields;
  readonly preconditions?: Preconditions;
  /** Checksums the writer claims (base64); other bytes are refused before the object exists. */
  readonly claimed?: Partial<Pick<Checksums, 'crc32c' | 'md5'>>;
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

const MAX_SOURCES = 32;
const MAX_NAME_BYTES = 1024;

interface ObjectsParts {
  readonly memory: Memory;
  readonly blobs: Blobs;
  readonly clock: { now(): number };
  readonly versions: Versions;
  readonly notifications: BucketNotifications;
  /** Called when a notification has become owed. */
  readonly onOwed: () => void;
}

export class Objects {
  readonly #memory: Memory;
  readonly #blobs: Blobs;
  readonly #clock: { now(): number };
  readonly #versions: Versions;
  readonly #notifications: BucketNotifications;
  readonly #onOwed: () => void;

  constructor({ memory, blobs, clock, versions, notifications, onOwed }: ObjectsParts) {
    this.#memory = memory;
    this.#blobs = blobs;
    this.#clock = clock;
    this.#versions = versions;
    this.#notifications = notifications;
    this.#onOwed = onOwed;
  }

  /** Stages bytes and makes them the object. */
  async write(
    bucket: string,
    name: string,
    bytes: Uint8Array,
    options: WriteOptions = {},
  ): Promise<ObjectResource> {
    this.checkWrite(bucket, name, options.preconditions);
    return this.insert(bucket, name, await this.#blobs.stage(bytes), options);
  }

  /** The refusals that need no bytes: lets a server answer before it reads a body. */
  checkWrite(bucket: string, name: string, preconditions: Preconditions = {}): void {
    this.#memory.bucket(bucket);
    checkObjectName(name);
    checkPreconditions(preconditions, this.#versions.live(bucket, name), 'write');
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
      this.#blobs.prepare(bucket, name);
    } catch (error) {
      this.#blobs.discard(staged);
      throw error;
    }
    const now = this.#clock.now();
    const before = this.#versions.live(bucket, name);
    const composed = options.componentCount !== undefined;
    const object: ObjectRecord = {
      name,
      generation: this.#versions.nextGeneration(before),
      metageneration: 1,
      size: staged.size,
      crc32c: staged.crc32c,
      ...(composed ? { componentCount: options.componentCount } : { md5: staged.md5 }),
      fields: options.fields ?? {},
      created: now,
      updated: now,
      stamp: staged.stamp,
    };
    const resource = this.#versions.resource(bucket, object);
    const archived = before && this.#versions.archivedAs(bucket, before, now);
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
        resource: this.#versions.resource(bucket, archived ?? before),
        overwrittenByGeneration: resource.generation,
      });
    }
    const entry = {
      do: 'put',
      bucket,
      object,
      staged: staged.id,
      ...(archived ? { archived } : {}),
      ...this.#notifications.owedFor(bucket, events),
    } as const;
    this.#memory.keep(entry);
    if (archived) this.#blobs.archive(bucket, name, archived.generation);
    this.#blobs.place(staged, bucket, name);
    this.#announce(entry);
    return resource;
  }

  get(bucket: string, name: string, options: ReadOptions = {}): ObjectResource {
    return this.#versions.resource(
      bucket,
      this.#versions.checksummed(bucket, this.#versions.find(bucket, name, options)),
    );
  }

  /** The object with its bytes held open; the caller closes `content`. */
  open(
    bucket: string,
    name: string,
    options: ReadOptions = {},
  ): { readonly resource: ObjectResource; readonly content: Content } {
    const record = this.#versions.checksummed(bucket, this.#versions.find(bucket, name, options));
    return {
      resource: this.#versions.resource(bucket, record),
      content: this.#versions.content(bucket, record),
    };
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
  list(bucket: string, options: ListOptions = {}): ListPage {
    return listObjects(this.#memory.bucket(bucket), this.#blobs, this.#versions, options);
  }

  /** Deletes the live object, or one version when a generation is given. */
  delete(bucketName: string, name: string, options: ReadOptions = {}): void {
    const bucket = this.#memory.bucket(bucketName);
    const record = this.#versions.find(bucketName, name, options, 'write');
    const now = this.#clock.now();
    if (record.deleted !== undefined) {
      const { generation } = record;
      const resource = this.#versions.resource(bucketName, record);
      const owed = this.#notifications.owedFor(bucketName, [{ type: 'OBJECT_DELETE', resource }]);
      const entry = {
        do: 'deleteArchived',
        bucket: bucketName,
        name,
        generation,
        ...owed,
      } as const;
      this.#memory.keep(entry);
      this.#blobs.removeArchived(bucketName, generation);
      this.#announce(entry);
      return;
    }
    const versioned = bucket.record.config.versioning?.enabled === true;
    const forGood = !versioned || options.generation !== undefined;
    const archived = forGood
      ? undefined
      : { ...this.#versions.checksummed(bucketName, record), deleted: now };
    const resource = this.#versions.resource(bucketName, archived ?? record);
    const type = archived ? 'OBJECT_ARCHIVE' : 'OBJECT_DELETE';
    const entry = {
      do: 'delete',
      bucket: bucketName,
      name,
      generation: record.generation,
      stamp: record.stamp,
      ...(archived ? { archived } : {}),
      ...this.#notifications.owedFor(bucketName, [{ type, resource }]),
    } as const;
    this.#memory.keep(entry);
    if (archived) this.#blobs.archive(bucketName, name, record.generation);
    else this.#blobs.remove(bucketName, name);
    this.#announce(entry);
  }

  /** Changes metadata; absent fields stay, null removes, `metadata` is merged key by key. */
  patch(
    bucketName: string,
    name: string,
    patch: ObjectPatch,
    options: ReadOptions = {},
  ): ObjectResource {
    const record = this.#versions.checksummed(
      bucketName,
      this.#versions.find(bucketName, name, options, 'write'),
    );
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
    const resource = this.#versions.resource(bucketName, object);
    const owed = this.#notifications.owedFor(bucketName, [
      { type: 'OBJECT_METADATA_UPDATE', resource },
    ]);
    const entry =
      record.deleted === undefined
        ? ({ do: 'put', bucket: bucketName, object, ...owed } as const)
        : ({ do: 'archived', bucket: bucketName, object } as const);
    this.#memory.keep(entry);
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
    const record = this.#versions.find(source.bucket, source.name, source);
    this.checkWrite(bucket, name, options.preconditions);
    const content = this.#versions.content(source.bucket, record);
    let staged: Staged;
    try {
      staged = await this.#blobs.concat([content]);
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
    const records = sources.map((source) =>
      this.#versions.find(bucket, source.name, source, 'write'),
    );
    const contents: Content[] = [];
    let staged: Staged;
    try {
      for (const record of records) contents.push(this.#versions.content(bucket, record));
      staged = await this.#blobs.concat(contents);
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

  #announce(entry: { readonly owed?: readonly Notification[] }): void {
    if (entry.owed) this.#onOwed();
  }
}

function checkObjectName(name: string): void {
  const bytes = Buffer.byteLength(name);
  const bad = bytes === 0 || bytes > MAX_NAME_BYTES || /[\r\n]/.test(name) || !name.isWellFormed();
  if (bad || name === '.' || name === '..' || name.startsWith('.well-known/acme-challenge/')) {
    throw invalid(`Invalid object name: ${JSON.stringify(name)}`);
  }
}
