/** Compact collections of message numbers: a backlog of millions must cost bytes, not objects. */

const CHUNK = 4096;

/** A double-ended queue in chunks of eight bytes per number. */
export class NumberQueue {
  #chunks: Float64Array[] = [];
  /** Index of the first number in the first chunk. */
  #head = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(value: number): void {
    const at = this.#head + this.#length;
    const chunk = Math.floor(at / CHUNK);
    if (chunk === this.#chunks.length) this.#chunks.push(new Float64Array(CHUNK));
    (this.#chunks[chunk] as Float64Array)[at % CHUNK] = value;
    this.#length += 1;
  }

  peek(): number | undefined {
    return this.#length === 0 ? undefined : this.#chunks[0]?.[this.#head];
  }

  shift(): number | undefined {
    const value = this.peek();
    if (value === undefined) return undefined;
    this.#length -= 1;
    this.#head += 1;
    if (this.#head === CHUNK) {
      this.#chunks.shift();
      this.#head = 0;
    }
    return value;
  }

  /** Puts a number back in front. */
  unshift(value: number): void {
    if (this.#head === 0) {
      this.#chunks.unshift(new Float64Array(CHUNK));
      this.#head = CHUNK;
    }
    this.#head -= 1;
    this.#length += 1;
    (this.#chunks[0] as Float64Array)[this.#head] = value;
  }

  clear(): void {
    this.#chunks = [];
    this.#head = 0;
    this.#length = 0;
  }

  *[Symbol.iterator](): Generator<number> {
    for (let i = 0; i < this.#length; i++) {
      const at = this.#head + i;
      yield (this.#chunks[Math.floor(at / CHUNK)] as Float64Array)[at % CHUNK] as number;
    }
  }
}

const SET_CHUNK = 65_536;

/** A set of message numbers as bitmaps: cheap where the numbers lie close together. */
export class NumberSet {
  readonly #bitmaps = new Map<number, Uint8Array>();

  add(value: number): void {
    const chunk = Math.floor(value / SET_CHUNK);
    let bitmap = this.#bitmaps.get(chunk);
    if (!bitmap) {
      bitmap = new Uint8Array(SET_CHUNK / 8);
      this.#bitmaps.set(chunk, bitmap);
    }
    const bit = value % SET_CHUNK;
    bitmap[bit >>> 3] = (bitmap[bit >>> 3] as number) | (1 << (bit & 7));
  }

  has(value: number): boolean {
    const bitmap = this.#bitmaps.get(Math.floor(value / SET_CHUNK));
    const bit = value % SET_CHUNK;
    return bitmap !== undefined && ((bitmap[bit >>> 3] as number) & (1 << (bit & 7))) !== 0;
  }
}

/** Things that become due at a time. Removing before the time is cheap. */
export class Agenda<T> {
  readonly #at = new Map<number, Set<T>>();
  /** A binary heap of the times in `#at`; a time may linger after its set has become empty. */
  readonly #heap: number[] = [];

  add(at: number, item: T): void {
    const items = this.#at.get(at);
    if (items) {
      items.add(item);
      return;
    }
    this.#at.set(at, new Set([item]));
    this.#heap.push(at);
    let i = this.#heap.length - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if ((this.#heap[parent] as number) <= at) break;
      this.#heap[i] = this.#heap[parent] as number;
      i = parent;
    }
    this.#heap[i] = at;
  }

  delete(at: number, item: T): void {
    this.#at.get(at)?.delete(item);
  }

  /** Undefined = nothing is planned. */
  nextAt(): number | undefined {
    for (;;) {
      const at = this.#heap[0];
      if (at === undefined) return undefined;
      if ((this.#at.get(at)?.size ?? 0) > 0) return at;
      this.#pop();
    }
  }

  /** Removes and returns what is due, in order of time, then of addition. */
  take(now: number): T[] {
    const due: T[] = [];
    for (let at = this.nextAt(); at !== undefined && at <= now; at = this.nextAt()) {
      // Not by spreading: a hundred thousand leases may run out at the same moment.
      for (const item of this.#at.get(at) as Set<T>) due.push(item);
      this.#pop();
    }
    return due;
  }

  clear(): void {
    this.#at.clear();
    this.#heap.length = 0;
  }

  *[Symbol.iterator](): Generator<T> {
    for (const items of this.#at.values()) yield* items;
  }

  #pop(): void {
    const heap = this.#heap;
    this.#at.delete(heap[0] as number);
    const last = heap.pop() as number;
    if (heap.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && (heap[child + 1] as number) < (heap[child] as number)) child++;
      if ((heap[child] as number) >= last) break;
      heap[i] = heap[child] as number;
      i = child;
    }
    heap[i] = last;
  }
}

/** Rising numbers as base64 of variable-length differences: one or two bytes each. */
export function packNumbers(sorted: Float64Array): string {
  let bytes = Buffer.allocUnsafe(1024);
  let used = 0;
  let last = 0;
  for (const value of sorted) {
    if (used + 8 > bytes.length) bytes = Buffer.concat([bytes], bytes.length * 2);
    let rest = value - last;
    last = value;
    while (rest >= 128) {
      bytes[used++] = (rest % 128) | 128;
      rest = Math.floor(rest / 128);
    }
    bytes[used++] = rest;
  }
  return bytes.toString('base64', 0, used);
}

export function* unpackNumbers(text: string): Generator<number> {
  let last = 0;
  let value = 0;
  let scale = 1;
  for (const byte of Buffer.from(text, 'base64')) {
    value += (byte & 127) * scale;
    scale *= 128;
    if (byte >= 128) continue;
    last += value;
    yield last;
    value = 0;
    scale = 1;
  }
}
