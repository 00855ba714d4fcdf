/**
 * Where the bytes of objects lie. StorageState decides which object is which; a Blobs only keeps
 * bytes by bucket and name, and is asked what is really there, because on a disk other processes
 * (Spark) write and delete files too. MemoryBlobs serves the simulation, DiskBlobs the server.
 */
import { type Checksums, checksums } from './checksum.ts';

/** Identity of one file's content: changes whenever another process replaces or rewrites it. */
export interface Stamp {
  readonly size: number;
  /** Modification time, epoch ms, with fractions where the file system has them. */
  readonly mtimeMs: number;
  readonly ino: number;
}

/** Bytes that are complete and durable, but do not yet belong to an object. */
export interface Staged extends Checksums {
  readonly id: string;
  readonly stamp: Stamp;
}

/** Bytes of one object version, held open: stays readable when the object is replaced. */
export interface Content {
  readonly size: number;
  /** Bytes `start` to `end` (exclusive). */
  read(start?: number, end?: number): Promise<Buffer>;
  /** Must be called once when done. */
  close(): void;
}

export interface WalkOptions {
  readonly prefix: string;
  /** First name of interest, inclusive. */
  readonly from: string;
  /** Give each `prefix.../` once, as a folder, instead of the names beneath it. */
  readonly folders: boolean;
}

export interface WalkEntry {
  readonly name: string;
  readonly folder: boolean;
}

export interface Blobs {
  addBucket(bucket: string): void;
  removeBucket(bucket: string): void;
  /** Puts bytes aside, durably. */
  stage(bytes: Uint8Array): Promise<Staged>;
  /** Puts a concatenation aside, durably. */
  concat(sources: readonly Content[]): Promise<Staged>;
  /** Forgets staged bytes that will not be used. Never throws for an unknown id. */
  discard(staged: Staged): void;
  /** Throws a StorageError if this name cannot be kept; afterwards `place` only renames. */
  prepare(bucket: string, name: string): void;
  /** Makes the staged bytes the content of the name, replacing what was there, atomically. */
  place(staged: Staged, bucket: string, name: string): void;
  remove(bucket: string, name: string): void;
  /** Moves the content of the name aside as a noncurrent version. */
  archive(bucket: string, name: string, generation: number): void;
  removeArchived(bucket: string, generation: number): void;
  stat(bucket: string, name: string): Stamp | undefined;
  /** Throws a StorageError 404 if there is nothing. */
  open(bucket: string, name: string): Content;
  openArchived(bucket: string, generation: number): Content;
  /** Checksums of what another process wrote; cached by stamp. */
  checksums(bucket: string, name: string): Checksums;
  /** The same if already known, without reading the file. */
  knownChecksums(bucket: string, name: string): Checksums | undefined;
  /** Names in Cloud Storage's order (UTF-8 bytes). */
  walk(bucket: string, options: WalkOptions): Iterable<WalkEntry>;
}

/** Orders names by their UTF-8 bytes; JavaScript's `<` differs above U+D7FF. */
export function compareNames(a: string, b: string): number {
  const end = Math.min(a.length, b.length);
  for (let i = 0; i < end; i++) {
    let x = a.charCodeAt(i);
    let y = b.charCodeAt(i);
    if (x === y) continue;
    if (x >= 0xd800) x = x < 0xe000 ? x + 0x2000 : x - 0x800;
    if (y >= 0xd800) y = y < 0xe000 ? y + 0x2000 : y - 0x800;
    return x - y;
  }
  return a.length - b.length;
}

/** Index of the first name not below `from`, in sorted names. */
export function lowerBound(names: readonly string[], from: string): number {
  let low = 0;
  let high = names.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareNames(names[middle] as string, from) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Walks sorted names; shared by every Blobs that has its names in memory. */
export function* walkSorted(
  names: readonly string[],
  { prefix, from, folders }: WalkOptions,
): Generator<WalkEntry> {
  let last = '';
  for (let i = lowerBound(names, compareNames(from, prefix) > 0 ? from : prefix); ; i++) {
    const name = names[i];
    if (name === undefined || !name.startsWith(prefix)) return;
    const slash = folders ? name.indexOf('/', prefix.length) : -1;
    if (slash < 0) {
      yield { name, folder: false };
    } else {
      const folder = name.slice(0, slash + 1);
      if (folder !== last) yield { name: folder, folder: true };
      last = folder;
    }
  }
}

interface MemoryFile {
  readonly bytes: Buffer;
  readonly stamp: Stamp;
  sums: Checksums | undefined;
}

class MemoryContent implements Content {
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get size(): number {
    return this.#bytes.length;
  }

  async read(start = 0, end = this.#bytes.length): Promise<Buffer> {
    return this.#bytes.subarray(start, end);
  }

  close(): void {}
}

export class MemoryBlobs implements Blobs {
  readonly #clock: { now(): number };
  readonly #buckets = new Map<string, Map<string, MemoryFile>>();
  readonly #sorted = new Map<string, readonly string[]>();
  readonly #staged = new Map<string, Buffer>();
  readonly #archived = new Map<string, Buffer>();
  #files = 0;

  constructor(clock: { now(): number }) {
    this.#clock = clock;
  }

  addBucket(bucket: string): void {
    if (!this.#buckets.has(bucket)) this.#buckets.set(bucket, new Map());
  }

  removeBucket(bucket: string): void {
    this.#buckets.delete(bucket);
  }

  async stage(bytes: Uint8Array): Promise<Staged> {
    return this.#keep(Buffer.from(bytes));
  }

  async concat(sources: readonly Content[]): Promise<Staged> {
    const parts: Buffer[] = [];
    for (const source of sources) parts.push(await source.read());
    return this.#keep(Buffer.concat(parts));
  }

  #keep(bytes: Buffer): Staged {
    const ino = ++this.#files;
    const id = String(ino);
    this.#staged.set(id, bytes);
    const stamp = { size: bytes.length, mtimeMs: this.#clock.now(), ino };
    return { id, stamp, ...checksums(bytes) };
  }

  discard(staged: Staged): void {
    this.#staged.delete(staged.id);
  }

  prepare(): void {}

  place(staged: Staged, bucket: string, name: string): void {
    const bytes = this.#staged.get(staged.id);
    if (bytes === undefined) return;
    this.#staged.delete(staged.id);
    const { size, crc32c, md5 } = staged;
    this.#set(bucket, name, { bytes, stamp: staged.stamp, sums: { size, crc32c, md5 } });
  }

  /** Writes or replaces a file the way another process would: no metadata, no notification. */
  writeForeign(bucket: string, name: string, bytes: Uint8Array): void {
    const stamp = { size: bytes.length, mtimeMs: this.#clock.now(), ino: ++this.#files };
    this.#set(bucket, name, { bytes: Buffer.from(bytes), stamp, sums: undefined });
  }

  #set(bucket: string, name: string, file: MemoryFile): void {
    const files = this.#filesOf(bucket);
    if (!files.has(name)) this.#sorted.delete(bucket);
    files.set(name, file);
  }

  #filesOf(bucket: string): Map<string, MemoryFile> {
    const files = this.#buckets.get(bucket);
    if (!files) throw new Error(`no bucket ${bucket}`);
    return files;
  }

  #file(bucket: string, name: string): MemoryFile {
    const file = this.#filesOf(bucket).get(name);
    if (!file) throw new Error(`no content for ${bucket}/${name}`);
    return file;
  }

  remove(bucket: string, name: string): void {
    if (this.#filesOf(bucket).delete(name)) this.#sorted.delete(bucket);
  }

  archive(bucket: string, name: string, generation: number): void {
    this.#archived.set(`${bucket}#${generation}`, this.#file(bucket, name).bytes);
    this.remove(bucket, name);
  }

  removeArchived(bucket: string, generation: number): void {
    this.#archived.delete(`${bucket}#${generation}`);
  }

  stat(bucket: string, name: string): Stamp | undefined {
    return this.#filesOf(bucket).get(name)?.stamp;
  }

  open(bucket: string, name: string): Content {
    return new MemoryContent(this.#file(bucket, name).bytes);
  }

  openArchived(bucket: string, generation: number): Content {
    const bytes = this.#archived.get(`${bucket}#${generation}`);
    if (!bytes) throw new Error(`no content for ${bucket}#${generation}`);
    return new MemoryContent(bytes);
  }

  checksums(bucket: string, name: string): Checksums {
    const file = this.#file(bucket, name);
    file.sums ??= checksums(file.bytes);
    return file.sums;
  }

  knownChecksums(bucket: string, name: string): Checksums | undefined {
    return this.#file(bucket, name).sums;
  }

  walk(bucket: string, options: WalkOptions): Iterable<WalkEntry> {
    let names = this.#sorted.get(bucket);
    if (!names) {
      names = [...this.#filesOf(bucket).keys()].sort(compareNames);
      this.#sorted.set(bucket, names);
    }
    return walkSorted(names, options);
  }
}
