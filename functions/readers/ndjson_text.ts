/** NDJSON: one JSON text a line. Blank lines are left out; Spark judges what is on the others. */
import { type Cutter, type Found, LARGEST_RECORD, refusedPiece, tooLarge } from './cut_text.ts';

const NEWLINE = 0x0a;

export function ndjsonCutter(): Cutter {
  let line = 1;
  let blank = 0;
  let held: Buffer[] = [];
  /** Bytes of the line so far, also those of a line too large to be held. */
  let size = 0;

  const hold = (bytes: Buffer): void => {
    if (size <= LARGEST_RECORD) held.push(bytes);
    size += bytes.length;
  };
  const whole = (): Found | null => {
    const text = trimmed(Buffer.concat(held));
    const at = line;
    const bytes = size;
    held = [];
    size = 0;
    if (bytes > LARGEST_RECORD) return tooLarge(text, at, bytes);
    if (text.length > 0) return { payload: text, line: at };
    blank += 1;
    return null;
  };

  return {
    push(bytes) {
      const found: Found[] = [];
      let from = 0;
      for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, from)) {
        hold(bytes.subarray(from, at));
        const record = whole();
        if (record !== null) found.push(record);
        line += 1;
        from = at + 1;
      }
      if (from < bytes.length) hold(bytes.subarray(from));
      return found;
    },
    async end(torn) {
      if (torn !== null) {
        return [refusedPiece(Buffer.concat(held), line, torn.code, torn.message)];
      }
      if (size === 0) return [];
      const last = whole();
      return last === null ? [] : [last];
    },
    blank: () => blank,
  };
}

const isSpace = (byte: number | undefined): boolean =>
  byte === 0x20 || byte === 0x09 || byte === 0x0d;

/** Without the white space around, which is no part of a JSON text. */
function trimmed(bytes: Buffer): Buffer {
  let from = 0;
  let to = bytes.length;
  while (from < to && isSpace(bytes[from])) from += 1;
  while (to > from && isSpace(bytes[to - 1])) to -= 1;
  return bytes.subarray(from, to);
}
