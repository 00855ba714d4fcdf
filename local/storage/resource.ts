/** The records the state keeps, and the JSON API resources they become. */
import type { Stamp } from './blobs.ts';

/** What a writer may set on an object. `null` in a patch removes the field. */
export interface ObjectFields {
  readonly contentType?: string;
  readonly contentEncoding?: string;
  readonly contentDisposition?: string;
  readonly contentLanguage?: string;
  readonly cacheControl?: string;
  readonly customTime?: string;
  readonly storageClass?: string;
  readonly metadata?: Readonly<Record<string, string>>;
}

export const WRITABLE_TEXT = [
  'contentType',
  'contentEncoding',
  'contentDisposition',
  'contentLanguage',
  'cacheControl',
  'customTime',
  'storageClass',
] as const;

/** One version of an object. Times are epoch ms. */
export interface ObjectRecord {
  readonly name: string;
  /** Microseconds since 1970, strictly rising over all objects of the service. */
  readonly generation: number;
  readonly metageneration: number;
  readonly size: number;
  /** Absent only for a file of another process that nobody has read yet. */
  readonly crc32c?: string;
  /** Absent for composed objects. */
  readonly md5?: string;
  readonly fields: ObjectFields;
  readonly created: number;
  readonly updated: number;
  readonly componentCount?: number;
  /** Set when the version became noncurrent. */
  readonly deleted?: number;
  /** The file that carries the bytes. A file with another stamp was written by someone else. */
  readonly stamp: Stamp;
}

/** A rule of `lifecycle.rule` as the API writes it. Only Delete rules are ever applied. */
export interface LifecycleRule {
  readonly action: { readonly type: string; readonly storageClass?: string };
  readonly condition: Readonly<Record<string, unknown>>;
}

export interface BucketConfig {
  readonly name: string;
  readonly location?: string;
  readonly storageClass?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly versioning?: { readonly enabled: boolean };
  readonly lifecycle?: { readonly rule?: readonly LifecycleRule[] };
  /** Anything else that was declared: shown again, without effect here. */
  readonly [other: string]: unknown;
}

export interface BucketRecord {
  readonly config: BucketConfig;
  readonly created: number;
  readonly updated: number;
  readonly metageneration: number;
}

/** The JSON API's object resource. Numbers of 64 bits are strings, as on the wire. */
export interface ObjectResource extends ObjectFields {
  readonly kind: 'storage#object';
  readonly id: string;
  readonly selfLink: string;
  readonly mediaLink: string;
  readonly name: string;
  readonly bucket: string;
  readonly generation: string;
  readonly metageneration: string;
  readonly storageClass: string;
  readonly size: string;
  readonly crc32c?: string;
  readonly md5Hash?: string;
  readonly etag: string;
  readonly timeCreated: string;
  readonly updated: string;
  readonly timeStorageClassUpdated: string;
  readonly timeFinalized: string;
  readonly timeDeleted?: string;
  readonly componentCount?: number;
}

const iso = (ms: number): string => new Date(ms).toISOString();

export function etag(generation: number, metageneration: number): string {
  return Buffer.from(`${generation}/${metageneration}`).toString('base64');
}

/** `base` is the service's address, used only in the two links. */
export function objectResource(base: string, bucket: string, record: ObjectRecord): ObjectResource {
  const { name, generation, metageneration } = record;
  const path = `storage/v1/b/${bucket}/o/${encodeURIComponent(name)}`;
  return {
    kind: 'storage#object',
    id: `${bucket}/${name}/${generation}`,
    selfLink: `${base}/${path}`,
    mediaLink: `${base}/download/${path}?generation=${generation}&alt=media`,
    name,
    bucket,
    generation: String(generation),
    metageneration: String(metageneration),
    storageClass: 'STANDARD',
    size: String(record.size),
    ...record.fields,
    ...(record.md5 === undefined ? {} : { md5Hash: record.md5 }),
    ...(record.crc32c === undefined ? {} : { crc32c: record.crc32c }),
    ...(record.componentCount === undefined ? {} : { componentCount: record.componentCount }),
    etag: etag(generation, metageneration),
    timeCreated: iso(record.created),
    updated: iso(record.updated),
    timeStorageClassUpdated: iso(record.created),
    timeFinalized: iso(record.created),
    ...(record.deleted === undefined ? {} : { timeDeleted: iso(record.deleted) }),
  };
}

export function bucketResource(base: string, record: BucketRecord): Record<string, unknown> {
  const { config } = record;
  return {
    location: 'EU',
    storageClass: 'STANDARD',
    iamConfiguration: { uniformBucketLevelAccess: { enabled: true } },
    ...config,
    kind: 'storage#bucket',
    id: config.name,
    name: config.name,
    projectNumber: '0',
    selfLink: `${base}/storage/v1/b/${config.name}`,
    metageneration: String(record.metageneration),
    etag: etag(0, record.metageneration),
    timeCreated: iso(record.created),
    updated: iso(record.updated),
  };
}
