/** Which version of an object a name stands for, and what is known of it. */
import type { Blobs, Content } from './blobs.ts';
import { noSuchObject } from './errors.ts';
import { type Memory, sameStamp } from './memory.ts';
import { checkPreconditions, type Preconditions } from './preconditions.ts';
import { type ObjectRecord, type ObjectResource, objectResource } from './resource.ts';

export interface ReadOptions {
  /** A particular version, live or noncurrent. */
  readonly generation?: number | string;
  readonly preconditions?: Preconditions;
}

export class Versions {
  readonly #memory: Memory;
  readonly #blobs: Blobs;
  readonly #clock: { now(): number };
  readonly #at: { readonly baseUrl: string };

  /** @param at the service's address for the links in resources */
  constructor(
    memory: Memory,
    blobs: Blobs,
    clock: { now(): number },
    at: { readonly baseUrl: string },
  ) {
    this.#memory = memory;
    this.#blobs = blobs;
    this.#clock = clock;
    this.#at = at;
  }

  /** The live version: ours if the file is the one we placed, else what another process left. */
  live(bucketName: string, name: string): ObjectRecord | undefined {
    const stamp = this.#blobs.stat(bucketName, name);
    if (!stamp) return undefined;
    const ours = this.#memory.bucket(bucketName).objects.get(name);
    if (ours && sameStamp(ours.stamp, stamp)) return ours;
    const derived = Math.floor(stamp.mtimeMs * 1000) + (stamp.ino % 1000);
    const sums = this.#blobs.knownChecksums(bucketName, name);
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

  /** The version with its checksums; a file of another process is read for them. */
  checksummed(bucket: string, record: ObjectRecord): ObjectRecord {
    if (record.crc32c !== undefined) return record;
    const { crc32c, md5 } = this.#blobs.checksums(bucket, record.name);
    return { ...record, crc32c, md5 };
  }

  /** @throws StorageError when there is no such version or a condition does not hold */
  find(
    bucketName: string,
    name: string,
    { generation, preconditions = {} }: ReadOptions,
    verb: 'read' | 'write' = 'read',
  ): ObjectRecord {
    const bucket = this.#memory.bucket(bucketName);
    const live = this.live(bucketName, name);
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

  /** The version's bytes, held open; the caller closes them. */
  content(bucket: string, record: ObjectRecord): Content {
    return record.deleted === undefined
      ? this.#blobs.open(bucket, record.name)
      : this.#blobs.openArchived(bucket, record.generation);
  }

  /** The version as it goes aside; undefined where the bucket keeps none. */
  archivedAs(bucketName: string, record: ObjectRecord, now: number): ObjectRecord | undefined {
    if (this.#memory.bucket(bucketName).record.config.versioning?.enabled !== true)
      return undefined;
    return { ...this.checksummed(bucketName, record), deleted: now };
  }

  nextGeneration(before: ObjectRecord | undefined): number {
    const micros = Math.floor(this.#clock.now() * 1000);
    return Math.max(micros, this.#memory.lastGeneration + 1, (before?.generation ?? 0) + 1);
  }

  resource(bucket: string, record: ObjectRecord): ObjectResource {
    return objectResource(this.#at.baseUrl, bucket, record);
  }
}
