/**
 * Rows as COPY sends them, gathered into pages without looking into them further than needed: a row
 * is a line, its columns are separated by tabs, and whatever else would be such a sign is escaped.
 */
import { isUtf8 } from 'node:buffer';
import { Permanent } from '../errors.ts';

/** Bytes of rows in a page; the last row may reach beyond it. */
const PAGE_BYTES = 1 << 20;

/** A larger row would not pass through BigQuery either, and must not be gathered in memory. */
const ROW_BYTES = 64 << 20;

const NEWLINE = 10;
const TAB = 9;

export interface Rows {
  /** Whole lines. */
  readonly payload: Buffer;
  readonly records: number;
  /** The last line, without its end. */
  readonly last: Buffer;
}

/** Cuts a stream of rows into pages; `met` sees every row and may ask for an end of the page. */
export async function* gathered(
  bytes: AsyncIterable<Buffer>,
  met: ((block: Buffer, from: number, to: number) => boolean) | null,
): AsyncGenerator<Rows> {
  let page: Buffer[] = [];
  let pageBytes = 0;
  let records = 0;
  let begun: Buffer[] = [];
  let begunBytes = 0;
  let last: Buffer = Buffer.alloc(0);
  const cut = (): Rows => {
    const rows = { payload: Buffer.concat(page, pageBytes), records, last };
    page = [];
    pageBytes = 0;
    records = 0;
    return rows;
  };
  for await (const piece of bytes) {
    const end = piece.lastIndexOf(NEWLINE) + 1;
    if (end === 0) {
      begun.push(piece);
      begunBytes += piece.length;
      if (begunBytes > ROW_BYTES) throw tooLarge();
      continue;
    }
    const whole = piece.subarray(0, end);
    const block = begunBytes === 0 ? whole : Buffer.concat([...begun, whole]);
    begun = end === piece.length ? [] : [piece.subarray(end)];
    begunBytes = piece.length - end;
    let kept = 0;
    for (let at = 0; at < block.length; ) {
      const to = block.indexOf(NEWLINE, at);
      records += 1;
      const ends = met?.(block, at, to) === true;
      const from = at;
      at = to + 1;
      if (ends || pageBytes + at - kept >= PAGE_BYTES || at === block.length) {
        page.push(block.subarray(kept, at));
        pageBytes += at - kept;
        kept = at;
        last = block.subarray(from, to);
        if (ends || pageBytes >= PAGE_BYTES) yield cut();
      }
    }
  }
  if (records > 0) yield cut();
}

const tooLarge = (): Permanent =>
  new Permanent({
    code: 'database_row_too_large',
    message: `a row has more than ${ROW_BYTES >> 20} MB; SELECT ... FROM the table AS t WHERE octet_length(t::text) > ${ROW_BYTES} finds it`,
  });

/** The leading columns of a line as they were before COPY wrote them; a NULL is null. */
export function fieldsOf(line: Buffer, count: number): readonly (string | null)[] {
  const found: (string | null)[] = [];
  let from = 0;
  for (let n = 0; n < count; n += 1) {
    const tab = line.indexOf(TAB, from);
    const to = tab < 0 ? line.length : tab;
    const field = line.subarray(from, to);
    if (!isUtf8(field)) throw notText();
    found.push(unescaped(field.toString()));
    from = to + 1;
  }
  return found;
}

const notText = (): Permanent =>
  new Permanent({
    code: 'database_shape',
    message: 'a key (or cursor) is not UTF-8, so nothing can be read after it',
  });

/** What COPY's text format stands for (PostgreSQL's reference of COPY, "Text Format"). */
export const unescaped = (text: string): string | null => {
  if (text === '\\N') return null;
  if (!text.includes('\\')) return text;
  return text.replace(/\\(.)/gs, (_, sign: string) => escapes[sign] ?? sign);
};

const escapes: Readonly<Record<string, string>> = {
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

/**
 * Rows that are UTF-8 together, each that is not by itself: a database that does not know its own
 * encoding may hold anything, and one row must not take others with it.
 */
export function* readable(rows: Rows): Generator<Rows> {
  if (isUtf8(rows.payload)) {
    yield rows;
    return;
  }
  const { payload, last } = rows;
  let kept = 0;
  let records = 0;
  const upTo = (end: number): Rows => ({ payload: payload.subarray(kept, end), records, last });
  for (let at = 0; at < payload.length; ) {
    const end = payload.indexOf(NEWLINE, at) + 1;
    if (!isUtf8(payload.subarray(at, end))) {
      if (records > 0) yield upTo(at);
      yield { payload: payload.subarray(at, end), records: 1, last };
      kept = end;
      records = 0;
    } else {
      records += 1;
    }
    at = end;
  }
  if (records > 0) yield upTo(payload.length);
}

/** Keys between two cuts, on average: a part of postgres_keys.ts. */
const PART_KEYS = 1 << 17;
const MOST_KEYS = PART_KEYS * 4;
/** Bytes of rows after which a part ends all the same: what a crash may cost. */
const PART_BYTES = 64 << 20;

/** Gathers the leading columns of rows, and says where a part ends. */
export interface KeyParts {
  /** For `gathered`: true where the part ends with this row. */
  met(block: Buffer, from: number, to: number): boolean;
  /** Whether a part has ended, or ends now that a page is whole. */
  readonly isWhole: () => boolean;
  /** The keys so far, and begins the next part. */
  take(): Buffer;
}

/** @param columns how many leading columns are the key */
export function keyParts(columns: number): KeyParts {
  let keys = Buffer.allocUnsafe(1 << 16);
  let used = 0;
  let count = 0;
  let rowBytes = 0;
  let ended = false;
  return {
    met(block, from, to) {
      if (used + (to - from) + 1 > keys.length) {
        const larger = Buffer.allocUnsafe(Math.max(keys.length * 2, used + (to - from) + 1));
        keys.copy(larger, 0, 0, used);
        keys = larger;
      }
      // FNV-1a over the key, as its bytes are copied: a call per row would cost more than this loop.
      let hash = 0x811c9dc5;
      let tabs = 0;
      for (let at = from; at < to; at += 1) {
        const byte = block[at] as number;
        if (byte === TAB && ++tabs === columns) break;
        hash = Math.imul(hash ^ byte, 0x01000193);
        keys[used++] = byte;
      }
      keys[used++] = NEWLINE;
      count += 1;
      rowBytes += to - from;
      hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
      hash ^= hash >>> 13;
      ended = (hash & (PART_KEYS - 1)) === 0 || count >= MOST_KEYS || rowBytes >= PART_BYTES;
      return ended;
    },
    isWhole: () => ended,
    take() {
      const part = Buffer.from(keys.subarray(0, used));
      used = 0;
      count = 0;
      rowBytes = 0;
      ended = false;
      return part;
    },
  };
}
