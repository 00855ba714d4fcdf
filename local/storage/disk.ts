/**
 * Bytes as plain files: `ROOT/<bucket>/<object name>`, so that Spark reads and writes the same
 * folder without a connector. Everything else lies in `ROOT/.tributary`:
 *
 *   staged/<id>                 uploads that are not yet an object
 *   versions/<bucket>/<gen>     noncurrent versions
 *   apart/<bucket>/<encoded>    objects whose name cannot be a path here: `a//b`, `../x`, `dir/`,
 *                               a part longer than 255 bytes, or a name that is a folder already
 *
 * A new content is written beside, synced, then renamed into place.
 */
import { randomUUID } from 'node:crypto';
import {
  closeSync,
  type Dirent,
  existsSync,
  fdatasync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { Blobs, Content, Staged, Stamp, WalkEntry, WalkOptions } from './blobs.ts';
import { compareNames, walkSorted } from './blobs.ts';
import { ChecksumStream, type Checksums } from './checksum.ts';

export const PRIVATE_FOLDER = '.tributary';

const MAX_PART = 255;
const ENCODED_PART = 200;
const BLOCK = 1 << 20;
const CHECKSUMS_KEPT = 50_000;

/** Codes of "there is no such file", also where a part of the path is a file. */
const ABSENT = new Set(['ENOENT', 'ENOTDIR', 'EISDIR', 'ENAMETOOLONG']);

const absent = (error: unknown): boolean => ABSENT.has((error as NodeJS.ErrnoException).code ?? '');

/** Whether the name, taken as a path, means exactly one file inside the bucket's folder. */
function isPath(name: string): boolean {
  return (
    !name.includes('\0') &&
    name.split('/').every((part) => part !== '' && part !== '.' && part !== '..' && fits(part))
  );
}

const fits = (part: string): boolean => Buffer.byteLength(part) <= MAX_PART;

/** A name as a path without special parts; `+` marks a part that goes on, so files never clash. */
function encodeApart(name: string): string {
  const text = encodeURIComponent(name).replaceAll('.', '%2E');
  const parts: string[] = [];
  for (let i = 0; i < text.length; i += ENCODED_PART) parts.push(text.slice(i, i + ENCODED_PART));
  return parts.map((part, i) => (i < parts.length - 1 ? `${part}+` : part)).join('/');
}

function stampOf(path: string): Stamp | undefined {
  try {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (!stat?.isFile()) return undefined;
    return { size: stat.size, mtimeMs: stat.mtimeMs, ino: stat.ino };
  } catch (error) {
    if (absent(error)) return undefined;
    throw error;
  }
}

class FileContent implements Content {
  readonly size: number;
  readonly #fd: number;

  constructor(path: string) {
    this.#fd = openSync(path, 'r');
    this.size = fstatSync(this.#fd).size;
  }

  async read(start = 0, end = this.size): Promise<Buffer> {
    const bytes = Buffer.allocUnsafe(end - start);
    let done = 0;
    while (done < bytes.length) {
      const read = readSync(this.#fd, bytes, done, bytes.length - done, start + done);
      // Another process may cut the file while it is read.
      if (read === 0) throw new Error('the file became shorter while it was read');
      done += read;
    }
    return bytes;
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/**
 * Takes the bytes of one upload as they come: memory stays flat however large the object. Only the
 * sync goes through the thread pool; a write into the page cache is cheaper than the way there.
 */
export class StagedWriter {
  readonly id: string;
  readonly #path: string;
  readonly #fd: number;
  readonly #sums = new ChecksumStream();
  #size = 0;

  constructor(id: string, path: string) {
    this.id = id;
    this.#path = path;
    this.#fd = openSync(path, 'wx');
  }

  get size(): number {
    return this.#size;
  }

  /** Throws without having taken anything if the disk refuses: the same bytes may come again. */
  add(bytes: Uint8Array): void {
    let done = 0;
    while (done < bytes.length) {
      done += writeSync(this.#fd, bytes, done, bytes.length - done, this.#size + done);
    }
    this.#sums.add(bytes);
    this.#size += bytes.length;
  }

  /** Syncs the bytes; afterwards they may be inserted. */
  async end(): Promise<Staged> {
    try {
      await new Promise<void>((resolve, reject) => {
        fdatasync(this.#fd, (error) => (error ? reject(error) : resolve()));
      });
      const { ino, mtimeMs, size } = fstatSync(this.#fd);
      return { id: this.id, stamp: { ino, mtimeMs, size }, ...this.#sums.end() };
    } finally {
      closeSync(this.#fd);
    }
  }

  abandon(): void {
    closeSync(this.#fd);
    rmSync(this.#path, { force: true });
  }
}

export class DiskBlobs implements Blobs {
  readonly #root: string;
  readonly #private: string;
  readonly #sums = new Map<string, Checksums>();
  /** Names kept apart, by bucket. */
  readonly #apart = new Map<string, Set<string>>();

  constructor(root: string) {
    this.#root = root;
    this.#private = join(root, PRIVATE_FOLDER);
    mkdirSync(join(this.#private, 'staged'), { recursive: true });
    const apart = join(this.#private, 'apart');
    mkdirSync(apart, { recursive: true });
    for (const bucket of readdirSync(apart)) {
      const names = readdirSync(join(apart, bucket), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name).slice(join(apart, bucket).length + 1));
      const decoded = names.map((name) => decodeURIComponent(name.replaceAll('+/', '')));
      this.#apart.set(bucket, new Set(decoded));
    }
  }

  /** Removes uploads that an earlier process left; call after the state has been restored. */
  clean(): void {
    const folder = join(this.#private, 'staged');
    for (const id of readdirSync(folder)) rmSync(join(folder, id), { force: true });
  }

  addBucket(bucket: string): void {
    mkdirSync(join(this.#root, bucket), { recursive: true });
  }

  /** Only folders without files can be left in a bucket that was found empty. */
  removeBucket(bucket: string): void {
    rmSync(join(this.#root, bucket), { recursive: true, force: true });
    rmSync(join(this.#private, 'versions', bucket), { recursive: true, force: true });
    rmSync(join(this.#private, 'apart', bucket), { recursive: true, force: true });
    this.#apart.delete(bucket);
  }

  writer(): StagedWriter {
    const id = randomUUID();
    return new StagedWriter(id, this.#stagedPath(id));
  }

  async stage(bytes: Uint8Array): Promise<Staged> {
    const writer = this.writer();
    try {
      writer.add(bytes);
    } catch (error) {
      writer.abandon();
      throw error;
    }
    return writer.end();
  }

  async concat(sources: readonly Content[]): Promise<Staged> {
    const writer = this.writer();
    try {
      for (const source of sources) {
        for (let at = 0; at < source.size; at += BLOCK) {
          writer.add(await source.read(at, Math.min(source.size, at + BLOCK)));
        }
      }
    } catch (error) {
      writer.abandon();
      throw error;
    }
    return writer.end();
  }

  discard(staged: Staged): void {
    rmSync(this.#stagedPath(staged.id), { force: true });
  }

  #stagedPath(id: string): string {
    return join(this.#private, 'staged', id);
  }

  #plainPath(bucket: string, name: string): string {
    return join(this.#root, bucket, name);
  }

  #apartPath(bucket: string, name: string): string {
    return join(this.#private, 'apart', bucket, encodeApart(name));
  }

  #versionPath(bucket: string, generation: number): string {
    return join(this.#private, 'versions', bucket, String(generation));
  }

  /** Where the content of the name lies now, or undefined. A file in the bucket's folder wins. */
  #find(bucket: string, name: string): { path: string; stamp: Stamp } | undefined {
    if (isPath(name)) {
      const path = this.#plainPath(bucket, name);
      const stamp = stampOf(path);
      if (stamp) return { path, stamp };
    }
    if (!this.#apart.get(bucket)?.has(name)) return undefined;
    const path = this.#apartPath(bucket, name);
    const stamp = stampOf(path);
    return stamp && { path, stamp };
  }

  /** Where a new content of the name goes. Makes the folders above it. */
  #target(bucket: string, name: string): string {
    if (isPath(name)) {
      const path = this.#plainPath(bucket, name);
      try {
        mkdirSync(dirname(path), { recursive: true });
        if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) return path;
        if (this.#removeEmpty(path)) return path;
      } catch (error) {
        // A part of the path is itself an object.
        const { code } = error as NodeJS.ErrnoException;
        if (code !== 'ENOTDIR' && code !== 'EEXIST' && code !== 'ENAMETOOLONG') throw error;
      }
    }
    const path = this.#apartPath(bucket, name);
    mkdirSync(dirname(path), { recursive: true });
    return path;
  }

  /** Removes a tree of folders if there is no file in it. */
  #removeEmpty(folder: string): boolean {
    if (this.#hasFile(folder)) return false;
    try {
      for (const entry of readdirSync(folder)) this.#removeEmpty(join(folder, entry));
      rmdirSync(folder);
      return true;
    } catch {
      return false;
    }
  }

  #hasFile(folder: string): boolean {
    return this.#entries(folder).some(
      (entry) => entry.isFile() || (entry.isDirectory() && this.#hasFile(join(folder, entry.name))),
    );
  }

  prepare(bucket: string, name: string): void {
    this.#target(bucket, name);
  }

  place(staged: Staged, bucket: string, name: string): void {
    const from = this.#stagedPath(staged.id);
    if (!existsSync(from)) return;
    const target = this.#target(bucket, name);
    const apart = target === this.#apartPath(bucket, name);
    renameSync(from, target);
    const names = this.#apart.get(bucket);
    if (apart && names) names.add(name);
    else if (apart) this.#apart.set(bucket, new Set([name]));
    else if (names?.delete(name)) rmSync(this.#apartPath(bucket, name), { force: true });
  }

  remove(bucket: string, name: string): void {
    if (isPath(name)) {
      const path = this.#plainPath(bucket, name);
      try {
        unlinkSync(path);
        this.#prune(bucket, dirname(path));
      } catch (error) {
        if (!absent(error)) throw error;
      }
    }
    if (this.#apart.get(bucket)?.delete(name)) {
      rmSync(this.#apartPath(bucket, name), { force: true });
    }
  }

  /** Removes folders that became empty: Cloud Storage has none, and walks get slower with each. */
  #prune(bucket: string, folder: string): void {
    const top = join(this.#root, bucket);
    for (let at = folder; at.length > top.length; at = dirname(at)) {
      try {
        rmdirSync(at);
      } catch {
        return;
      }
    }
  }

  archive(bucket: string, name: string, generation: number): void {
    const found = this.#find(bucket, name);
    if (!found) return;
    const target = this.#versionPath(bucket, generation);
    mkdirSync(dirname(target), { recursive: true });
    renameSync(found.path, target);
    this.#apart.get(bucket)?.delete(name);
  }

  removeArchived(bucket: string, generation: number): void {
    rmSync(this.#versionPath(bucket, generation), { force: true });
  }

  stat(bucket: string, name: string): Stamp | undefined {
    return this.#find(bucket, name)?.stamp;
  }

  open(bucket: string, name: string): Content {
    const found = this.#find(bucket, name);
    if (!found) throw new Error(`no content for ${bucket}/${name}`);
    return new FileContent(found.path);
  }

  openArchived(bucket: string, generation: number): Content {
    return new FileContent(this.#versionPath(bucket, generation));
  }

  checksums(bucket: string, name: string): Checksums {
    const known = this.knownChecksums(bucket, name);
    if (known) return known;
    const found = this.#find(bucket, name);
    if (!found) throw new Error(`no content for ${bucket}/${name}`);
    const sums = new ChecksumStream();
    const fd = openSync(found.path, 'r');
    try {
      const block = Buffer.allocUnsafe(BLOCK);
      for (;;) {
        const read = readSync(fd, block, 0, BLOCK, null);
        if (read === 0) break;
        sums.add(block.subarray(0, read));
      }
    } finally {
      closeSync(fd);
    }
    const result = sums.end();
    if (this.#sums.size >= CHECKSUMS_KEPT) this.#sums.clear();
    this.#sums.set(stampKey(found.stamp), result);
    return result;
  }

  knownChecksums(bucket: string, name: string): Checksums | undefined {
    const found = this.#find(bucket, name);
    return found && this.#sums.get(stampKey(found.stamp));
  }

  *walk(bucket: string, options: WalkOptions): Generator<WalkEntry> {
    const apart = [...(this.#apart.get(bucket) ?? [])].sort(compareNames);
    const slash = options.prefix.lastIndexOf('/') + 1;
    const above = options.prefix.slice(0, slash);
    const plain =
      above === '' || isPath(above.slice(0, -1))
        ? this.#walkFolder(join(this.#root, bucket, above), above, options)
        : [];
    yield* merge(plain, walkSorted(apart, options));
  }

  #entries(folder: string): Dirent[] {
    try {
      return readdirSync(folder, { withFileTypes: true });
    } catch (error) {
      // Another process may remove the folder while we walk.
      if (absent(error)) return [];
      throw error;
    }
  }

  *#walkFolder(folder: string, above: string, options: WalkOptions): Generator<WalkEntry> {
    const { prefix, from, folders } = options;
    const names: string[] = [];
    for (const entry of this.#entries(folder)) {
      if (entry.isFile()) names.push(above + entry.name);
      else if (entry.isDirectory()) names.push(`${above}${entry.name}/`);
    }
    names.sort(compareNames);
    for (const name of names) {
      const inside = name.endsWith('/');
      if (!name.startsWith(prefix) && !(inside && prefix.startsWith(name))) continue;
      // A folder before `from` still matters if `from` lies inside it.
      if (compareNames(name, from) < 0 && !(inside && from.startsWith(name))) continue;
      if (!inside) {
        yield { name, folder: false };
      } else if (folders && name.length > prefix.length) {
        if (this.#hasFile(join(folder, name.slice(above.length)))) yield { name, folder: true };
      } else {
        yield* this.#walkFolder(join(folder, name.slice(above.length)), name, options);
      }
    }
  }
}

const stampKey = (stamp: Stamp): string => `${stamp.ino}.${stamp.mtimeMs}.${stamp.size}`;

function* merge(a: Iterable<WalkEntry>, b: Iterable<WalkEntry>): Generator<WalkEntry> {
  const left = a[Symbol.iterator]();
  const right = b[Symbol.iterator]();
  let x = left.next();
  let y = right.next();
  while (!x.done || !y.done) {
    const order = x.done ? 1 : y.done ? -1 : compareNames(x.value.name, y.value.name);
    if (order <= 0 && !x.done) yield x.value;
    else if (!y.done) yield y.value;
    if (order <= 0) x = left.next();
    if (order >= 0) y = right.next();
  }
}
