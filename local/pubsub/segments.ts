/**
 * Message bodies in append-only segment files, so that a backlog of millions is not in memory: per
 * message eight bytes of index remain (offset and age). A segment file is deleted when nobody
 * holds any of its messages.
 *
 *   record = u32 length of the rest, u32 crc32 of the rest,
 *            f64 number, f64 publish time, u32 topic, u16 n, u32 subscription * n,
 *            u16 length of the ordering key, key, PubsubMessage as protobuf
 *
 * The protobuf already carries id and publish time: delivering it over gRPC is copying bytes.
 */
import {
  closeSync,
  fdatasync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { syncFolder } from '../journal.ts';
import type { MessageHead, MessageStore, StoredMessage } from './messages.ts';
import { decodeMessage, encodeMessage } from './wire.ts';

const SEGMENT_BYTES = 64 << 20;
const PAGE = 1 << 20;
const WINDOW = 256 << 10;
const WINDOWS = 32;
const FIXED = 30;
const MAX_AGE_MS = 2 ** 32 - 1;
const MAX_GAP = 10_000;

interface Segment {
  readonly path: string;
  readonly fd: number;
  /** Number of the first message. */
  readonly base: number;
  /** Publish time of the first message. */
  readonly since: number;
  /** Per number from `base`: where its record begins. A number without record repeats the next. */
  offsets: Uint32Array;
  /** Per number from `base`: publish time minus `since`. */
  ages: Uint32Array;
  count: number;
  size: number;
  holders: number;
}

interface Window {
  readonly segment: Segment;
  readonly start: number;
  readonly bytes: Buffer;
}

export class SegmentMessages implements MessageStore {
  readonly #folder: string;
  /** Rising by base. The last one takes new messages. */
  #segments: Segment[] = [];
  #active: Segment | undefined;
  /** The end of the active segment, from `#pageStart`; bytes from `#written` are not in the file. */
  #page = Buffer.allocUnsafe(PAGE);
  #pageStart = 0;
  #used = 0;
  #written = 0;
  #windows: Window[] = [];
  #waiting: Promise<void> | undefined;
  #syncing: Promise<void> = Promise.resolve();
  #unsynced = new Set<Segment>();

  constructor(folder: string) {
    this.#folder = folder;
    mkdirSync(folder, { recursive: true });
  }

  // --- writing

  append(head: MessageHead, message: StoredMessage, holders: number): void {
    const body = encodeMessage(message);
    const key = Buffer.from(message.orderingKey);
    const queued = head.subscriptions.length;
    const length = FIXED + 4 * queued + 2 + key.length + body.length;
    const segment = this.#segmentFor(head, length);
    if (this.#used + length > this.#page.length) this.#newPage(segment, length);
    const page = this.#page;
    const start = this.#used;
    let at = start + 8;
    at = page.writeDoubleLE(head.number, at);
    at = page.writeDoubleLE(head.publishTime, at);
    at = page.writeUInt32LE(head.topic, at);
    at = page.writeUInt16LE(queued, at);
    for (const id of head.subscriptions) at = page.writeUInt32LE(id, at);
    at = page.writeUInt16LE(key.length, at);
    page.set(key, at);
    page.set(body, at + key.length);
    const end = start + length;
    page.writeUInt32LE(length - 8, start);
    page.writeUInt32LE(crc32(page.subarray(start + 8, end)), start + 4);
    this.#used = end;
    index(segment, head.number, head.publishTime, this.#pageStart + start, this.#pageStart + end);
    segment.holders += holders;
  }

  #segmentFor(head: MessageHead, length: number): Segment {
    const active = this.#active;
    if (
      active &&
      active.size + length <= SEGMENT_BYTES &&
      head.number - (active.base + active.count) <= MAX_GAP &&
      head.publishTime >= active.since &&
      head.publishTime - active.since < MAX_AGE_MS
    ) {
      return active;
    }
    this.commit();
    const path = join(this.#folder, `${String(head.number).padStart(16, '0')}.segment`);
    const segment = newSegment(path, openSync(path, 'w+'), head.number, head.publishTime);
    syncFolder(this.#folder);
    this.#segments.push(segment);
    this.#active = segment;
    this.#pageStart = 0;
    this.#used = 0;
    this.#written = 0;
    this.#page = Buffer.allocUnsafe(PAGE);
    if (active && active.holders === 0) this.#retire(active);
    return segment;
  }

  #newPage(segment: Segment, length: number): void {
    this.commit();
    this.#pageStart = segment.size;
    this.#page = Buffer.allocUnsafe(Math.max(PAGE, length));
    this.#used = 0;
    this.#written = 0;
  }

  commit(): void {
    const segment = this.#active;
    if (!segment || this.#written === this.#used) return;
    while (this.#written < this.#used) {
      const length = this.#used - this.#written;
      const position = this.#pageStart + this.#written;
      this.#written += writeSync(segment.fd, this.#page, this.#written, length, position);
    }
    this.#unsynced.add(segment);
  }

  /** Resolves when everything committed so far is on the disk; callers share one sync. */
  durable(): Promise<void> {
    if (this.#waiting) return this.#waiting;
    const next = this.#syncing
      .catch(() => undefined)
      .then(() => {
        this.#waiting = undefined;
        const segments = [...this.#unsynced];
        this.#unsynced = new Set();
        this.#syncing = Promise.all(segments.map(sync)).then(() => undefined);
        return this.#syncing;
      });
    this.#waiting = next;
    return next;
  }

  // --- reading

  #segmentOf(number: number): Segment {
    let low = 0;
    let high = this.#segments.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#segments[middle] as Segment).base <= number) low = middle;
      else high = middle - 1;
    }
    const segment = this.#segments[low];
    if (!segment || number < segment.base || number >= segment.base + segment.count) {
      throw new Error(`message ${number} is gone`);
    }
    return segment;
  }

  /** The record without its length and checksum; valid until the next call. */
  #record(number: number): Buffer {
    const segment = this.#segmentOf(number);
    const i = number - segment.base;
    const start = segment.offsets[i] as number;
    const end = i + 1 < segment.count ? (segment.offsets[i + 1] as number) : segment.size;
    if (segment === this.#active && start >= this.#pageStart) {
      return this.#page.subarray(start - this.#pageStart + 8, end - this.#pageStart);
    }
    for (const window of this.#windows) {
      if (window.segment !== segment || start < window.start) continue;
      if (end > window.start + window.bytes.length) continue;
      return window.bytes.subarray(start - window.start + 8, end - window.start);
    }
    // Consumers go forward: one read serves the following messages too.
    const bytes = Buffer.allocUnsafe(Math.max(WINDOW, end - start));
    const read = readSync(segment.fd, bytes, 0, bytes.length, start);
    if (read < end - start) throw new Error(`${segment.path} is shorter than its index`);
    this.#windows.unshift({ segment, start, bytes: bytes.subarray(0, read) });
    if (this.#windows.length > WINDOWS) this.#windows.pop();
    return bytes.subarray(8, end - start);
  }

  /** The message as protobuf bytes; copy it before the next call. */
  raw(number: number): Buffer {
    const record = this.#record(number);
    const key = 22 + 4 * record.readUInt16LE(20);
    return record.subarray(key + 2 + record.readUInt16LE(key));
  }

  read(number: number): StoredMessage {
    return decodeMessage(this.raw(number));
  }

  publishTime(number: number): number {
    const segment = this.#segmentOf(number);
    return segment.since + (segment.ages[number - segment.base] as number);
  }

  orderingKey(number: number): string {
    const record = this.#record(number);
    const key = 22 + 4 * record.readUInt16LE(20);
    return record.toString('utf8', key + 2, key + 2 + record.readUInt16LE(key));
  }

  size(number: number): number {
    const segment = this.#segmentOf(number);
    const i = number - segment.base;
    const end = i + 1 < segment.count ? (segment.offsets[i + 1] as number) : segment.size;
    return end - (segment.offsets[i] as number);
  }

  retain(number: number): void {
    this.#segmentOf(number).holders += 1;
  }

  release(number: number): void {
    const segment = this.#segmentOf(number);
    segment.holders -= 1;
    if (segment.holders === 0 && segment !== this.#active) this.#retire(segment);
  }

  #retire(segment: Segment): void {
    this.#segments = this.#segments.filter((other) => other !== segment);
    this.#windows = this.#windows.filter((window) => window.segment !== segment);
    this.#unsynced.delete(segment);
    unlinkSync(segment.path);
    // A sync of it may be under way: its descriptor is closed after that.
    const close = (): void => closeSync(segment.fd);
    this.#syncing.then(close, close);
  }

  // --- starting and stopping

  /** Indexes what an earlier process left. Afterwards call `clean`. */
  *heads(): Generator<MessageHead> {
    const files = readdirSync(this.#folder).filter((name) => name.endsWith('.segment'));
    for (const name of files.sort()) {
      const path = join(this.#folder, name);
      const fd = openSync(path, 'r+');
      const total = statSync(path).size;
      let segment: Segment | undefined;
      let position = 0;
      for (const { bytes, start } of records(fd, total)) {
        const number = bytes.readDoubleLE(8);
        const publishTime = bytes.readDoubleLE(16);
        if (!segment) {
          segment = newSegment(path, fd, number, publishTime);
          this.#segments.push(segment);
        }
        position = start + bytes.length;
        index(segment, number, publishTime, start, position);
        const subscriptions: number[] = [];
        const queued = bytes.readUInt16LE(28);
        for (let i = 0; i < queued; i++) subscriptions.push(bytes.readUInt32LE(30 + 4 * i));
        yield { number, publishTime, topic: bytes.readUInt32LE(24), subscriptions };
      }
      // A torn tail belongs to a publish that was never answered.
      if (position < total) ftruncateSync(fd, position);
      if (!segment) {
        closeSync(fd);
        unlinkSync(path);
      }
    }
  }

  /** Deletes segments that nobody took up. */
  clean(): void {
    for (const segment of [...this.#segments]) if (segment.holders === 0) this.#retire(segment);
  }

  async close(): Promise<void> {
    this.commit();
    await this.durable();
    await this.#syncing;
    for (const { fd } of this.#segments) closeSync(fd);
    this.#segments = [];
    this.#active = undefined;
  }
}

function newSegment(path: string, fd: number, base: number, since: number): Segment {
  const offsets = new Uint32Array(1024);
  const ages = new Uint32Array(1024);
  return { path, fd, base, since, offsets, ages, count: 0, size: 0, holders: 0 };
}

function sync(segment: Segment): Promise<void> {
  return new Promise((resolve, reject) => {
    fdatasync(segment.fd, (error) => (error ? reject(error) : resolve()));
  });
}

function grown(array: Uint32Array, count: number): Uint32Array {
  const larger = new Uint32Array(Math.max(count, 2 * array.length));
  larger.set(array);
  return larger;
}

function index(
  segment: Segment,
  number: number,
  publishTime: number,
  start: number,
  end: number,
): void {
  const i = number - segment.base;
  if (i >= segment.offsets.length) {
    segment.offsets = grown(segment.offsets, i + 1);
    segment.ages = grown(segment.ages, i + 1);
  }
  segment.offsets.fill(start, segment.count, i + 1);
  segment.ages[i] = Math.max(0, publishTime - segment.since);
  segment.count = i + 1;
  segment.size = end;
}

/** Whole records of a file, checked; stops at the first that is torn. */
function* records(fd: number, total: number): Generator<{ bytes: Buffer; start: number }> {
  let block: Buffer = Buffer.alloc(0);
  let blockStart = 0;
  let at = 0;
  const need = (length: number): boolean => {
    if (at + length > total) return false;
    if (at + length <= blockStart + block.length) return true;
    block = Buffer.allocUnsafe(Math.min(total - at, Math.max(PAGE, length)));
    blockStart = at;
    return readSync(fd, block, 0, block.length, at) === block.length;
  };
  while (need(8)) {
    const length = 8 + block.readUInt32LE(at - blockStart);
    if (length < FIXED || !need(length)) return;
    const bytes = block.subarray(at - blockStart, at - blockStart + length);
    if (crc32(bytes.subarray(8)) !== bytes.readUInt32LE(4)) return;
    yield { bytes, start: at };
    at += length;
  }
}
