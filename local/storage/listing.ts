/** Listing: pages of names, folders and versions. */
import { type Blobs, compareNames, walkSorted } from './blobs.ts';
import { invalid } from './errors.ts';
import type { Bucket } from './memory.ts';
import type { ObjectResource } from './resource.ts';
import type { Versions } from './versions.ts';

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

const PAGE = 1000;

/** A page of a bucket's objects in the order of their names. */
export function listObjects(
  bucket: Bucket,
  blobs: Blobs,
  versions: Versions,
  options: ListOptions,
): ListPage {
  const bucketName = bucket.record.config.name;
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
    ? walkVersions(bucket, blobs, walk)
    : blobs.walk(bucketName, walk);
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
    const archived = options.versions ? (bucket.archived.get(name) ?? []) : [];
    for (const version of archived) items.push(versions.resource(bucketName, version));
    const live = versions.live(bucketName, name);
    if (live) items.push(versions.resource(bucketName, live));
  }
  return { items, prefixes };
}

function* walkVersions(
  bucket: Bucket,
  blobs: Blobs,
  walk: { readonly prefix: string; readonly from: string; readonly folders: boolean },
): Iterable<{ readonly name: string; readonly folder: boolean }> {
  const names = new Set(bucket.archived.keys());
  const everything = { prefix: '', from: '', folders: false };
  for (const { name } of blobs.walk(bucket.record.config.name, everything)) names.add(name);
  yield* walkSorted([...names].sort(compareNames), walk);
}
