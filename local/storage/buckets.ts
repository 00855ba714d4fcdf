/** Buckets: what may be made, changed and removed. */
import { type Blobs, compareNames } from './blobs.ts';
import { conflict, invalid } from './errors.ts';
import type { Bucket, Memory } from './memory.ts';
import { checkPreconditions, type Preconditions } from './preconditions.ts';
import { type BucketConfig, bucketResource } from './resource.ts';

const BUCKET_NAME = /^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$/;

export class Buckets {
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

  /** Creates the bucket or brings an existing one to this declaration. */
  declare(config: BucketConfig): void {
    const bucket = this.#memory.buckets.get(config.name);
    if (!bucket) this.insert(config);
    else if (JSON.stringify(bucket.record.config) !== JSON.stringify(config)) {
      this.#save(bucket, config);
    }
  }

  insert(config: BucketConfig): Record<string, unknown> {
    if (!BUCKET_NAME.test(config.name)) throw invalid(`Invalid bucket name: '${config.name}'`);
    if (this.#memory.buckets.has(config.name)) {
      throw conflict(
        'Your previous request to create the named bucket succeeded and you already own it.',
      );
    }
    const now = this.#clock.now();
    const record = { config, created: now, updated: now, metageneration: 1 };
    this.#memory.keep({ do: 'bucket', bucket: record });
    this.#blobs.addBucket(config.name);
    return this.get(config.name);
  }

  get(name: string, preconditions: Preconditions = {}): Record<string, unknown> {
    const { record } = this.#memory.bucket(name);
    checkPreconditions(preconditions, { ...record, generation: 0 }, 'read');
    return bucketResource(this.#at.baseUrl, record);
  }

  list(prefix = ''): readonly Record<string, unknown>[] {
    return [...this.#memory.buckets.values()]
      .filter(({ record }) => record.config.name.startsWith(prefix))
      .sort((a, b) => compareNames(a.record.config.name, b.record.config.name))
      .map(({ record }) => bucketResource(this.#at.baseUrl, record));
  }

  /** Merges top-level fields; null removes one. */
  patch(
    name: string,
    patch: Readonly<Record<string, unknown>>,
    preconditions: Preconditions = {},
  ): Record<string, unknown> {
    const bucket = this.#memory.bucket(name);
    checkPreconditions(preconditions, { ...bucket.record, generation: 0 }, 'write');
    const merged: Record<string, unknown> = { ...bucket.record.config, ...patch, name };
    for (const key of Object.keys(merged)) if (merged[key] === null) delete merged[key];
    this.#save(bucket, merged as unknown as BucketConfig);
    return this.get(name);
  }

  #save(bucket: Bucket, config: BucketConfig): void {
    const metageneration = bucket.record.metageneration + 1;
    const record = { ...bucket.record, config, metageneration, updated: this.#clock.now() };
    this.#memory.keep({ do: 'bucket', bucket: record });
  }

  remove(name: string, preconditions: Preconditions = {}): void {
    const bucket = this.#memory.bucket(name);
    checkPreconditions(preconditions, { ...bucket.record, generation: 0 }, 'write');
    const [first] = this.#blobs.walk(name, { prefix: '', from: '', folders: false });
    if (first || bucket.archived.size > 0) {
      throw conflict('The bucket you tried to delete is not empty.');
    }
    this.#memory.keep({ do: 'dropBucket', bucket: name });
    this.#blobs.removeBucket(name);
  }
}
