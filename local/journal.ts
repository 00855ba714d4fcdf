/**
 * An append-only file of JSON entries: what a local service remembers between two starts.
 *
 * An entry reaches the operating system before `append` returns, so it survives a killed process;
 * `durable` resolves once it also survives a power cut. Many callers share one fsync (group
 * commit). A line is `crc32 json`; a torn last line is cut off when the file is opened.
 */
import {
  closeSync,
  fstatSync,
  fsync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';

const NEWLINE = 10;
const READ_BLOCK = 1 << 20;

/** Makes a rename or a new file in `folder` survive a power cut. */
export function syncFolder(folder: string): void {
  const fd = openSync(folder, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function line(entry: unknown): Buffer {
  const json = Buffer.from(JSON.stringify(entry));
  const head = Buffer.from(`${crc32(json).toString(16).padStart(8, '0')} `);
  return Buffer.concat([head, json, Buffer.of(NEWLINE)]);
}

function writeAll(fd: number, bytes: Buffer, position: number): void {
  let done = 0;
  while (done < bytes.length) {
    done += writeSync(fd, bytes, done, bytes.length - done, position + done);
  }
}

export class Journal<E> {
  readonly path: string;
  #fd: number;
  #size = 0;
  #syncing: Promise<void> | undefined;
  #waiting: Promise<void> | undefined;

  constructor(path: string) {
    this.path = path;
    mkdirSync(dirname(path), { recursive: true });
    this.#fd = openSync(path, 'a+');
    closeSync(this.#fd);
    this.#fd = openSync(path, 'r+');
  }

  /** Bytes in the file. */
  get size(): number {
    return this.#size;
  }

  /** Reads every whole entry, in order, then cuts a torn tail. Call once, before `append`. */
  *entries(): Generator<E> {
    let rest: Buffer = Buffer.alloc(0);
    let position = 0;
    for (;;) {
      const block = Buffer.allocUnsafe(READ_BLOCK);
      const read = readSync(this.#fd, block, 0, READ_BLOCK, position);
      if (read === 0) break;
      position += read;
      rest =
        rest.length === 0
          ? block.subarray(0, read)
          : Buffer.concat([rest, block.subarray(0, read)]);
      let start = 0;
      for (;;) {
        const end = rest.indexOf(NEWLINE, start);
        if (end < 0) break;
        const json = rest.subarray(start + 9, end);
        const sum = Number.parseInt(rest.toString('latin1', start, start + 8), 16);
        if (sum !== crc32(json)) {
          this.#cut();
          return;
        }
        const entry = JSON.parse(json.toString()) as E;
        this.#size += end + 1 - start;
        start = end + 1;
        yield entry;
      }
      rest = rest.subarray(start);
    }
    this.#cut();
  }

  /** What is cut off was never promised to be durable; it is kept beside for whoever asks. */
  #cut(): void {
    const torn = fstatSync(this.#fd).size - this.#size;
    if (torn === 0) return;
    const bytes = Buffer.alloc(torn);
    readSync(this.#fd, bytes, 0, torn, this.#size);
    writeFileSync(`${this.path}.torn`, bytes);
    ftruncateSync(this.#fd, this.#size);
  }

  append(entry: E): void {
    const bytes = line(entry);
    writeAll(this.#fd, bytes, this.#size);
    this.#size += bytes.length;
  }

  /** Resolves when everything appended before the call is on the disk. */
  durable(): Promise<void> {
    if (this.#waiting) return this.#waiting;
    const before = this.#syncing ?? Promise.resolve();
    // A sync under way may have started before our entry was written: wait for the next one,
    // which everybody who arrives meanwhile shares.
    const next = before
      .catch(() => undefined)
      .then(() => {
        this.#waiting = undefined;
        const sync = new Promise<void>((resolve, reject) => {
          fsync(this.#fd, (error) => (error ? reject(error) : resolve()));
        });
        this.#syncing = sync;
        return sync;
      });
    this.#waiting = next;
    return next;
  }

  /** Replaces the whole file by these entries: written beside it, synced, renamed over it. */
  rewrite(entries: Iterable<E>): void {
    const beside = `${this.path}.new`;
    const fd = openSync(beside, 'w+');
    let size = 0;
    let block: Buffer[] = [];
    let blockSize = 0;
    const flush = (): void => {
      writeAll(fd, Buffer.concat(block), size);
      size += blockSize;
      block = [];
      blockSize = 0;
    };
    for (const entry of entries) {
      const bytes = line(entry);
      block.push(bytes);
      blockSize += bytes.length;
      if (blockSize > READ_BLOCK) flush();
    }
    flush();
    fsyncSync(fd);
    renameSync(beside, this.path);
    syncFolder(dirname(this.path));
    const old = this.#fd;
    this.#fd = fd;
    this.#size = size;
    // An fsync of the old file may be under way in the thread pool: close it after that.
    const pending = this.#syncing ?? Promise.resolve();
    pending.catch(() => undefined).then(() => closeSync(old));
  }

  async close(): Promise<void> {
    await this.durable();
    closeSync(this.#fd);
  }
}
