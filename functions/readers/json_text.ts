/**
 * A JSON array cut into the texts of its elements, byte for byte: numbers keep their digits and
 * strings their escapes, for nothing is parsed. A file that begins with an object instead is read
 * as JSON texts one after another (RFC 7464 without its separators), which is also what a single
 * object is. Only the structure between elements is judged here; Spark judges the elements.
 */
import {
  type Cutter,
  type Found,
  LARGEST_RECORD,
  Rest,
  refusedPiece,
  tooLarge,
} from './cut_text.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const NEWLINE = 0x0a;
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];

const isSpace = (byte: number): boolean =>
  byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;

type Expects =
  | 'begin' // the bracket, or the first object
  | 'first' // an element or the end of the array
  | 'element' // an element, after a comma
  | 'comma' // a comma or the end of the array
  | 'more' // another text, in a file without an array
  | 'container' // inside an object or a list
  | 'string' // inside a string that is an element
  | 'scalar' // inside a number, true, false, null
  | 'nothing'; // white space, after the array

export function jsonCutter(): Cutter {
  let expects: Expects = 'begin';
  let list = true;
  let depth = 0;
  let quoted = false;
  let escaped = false;
  let line = 1;
  let begun = 1;
  let held: Buffer[] = [];
  let size = 0;
  let rest: Rest | null = null;

  const hold = (bytes: Buffer): void => {
    if (size <= LARGEST_RECORD) held.push(Buffer.from(bytes));
    size += bytes.length;
  };
  const whole = (): Found => {
    const payload = Buffer.concat(held);
    const bytes = size;
    held = [];
    size = 0;
    expects = list ? 'comma' : 'more';
    return bytes > LARGEST_RECORD ? tooLarge(payload, begun, bytes) : { payload, line: begun };
  };
  /** Begins the element whose first byte this is; false when no element can begin so. */
  const begins = (byte: number): boolean => {
    if (byte === COMMA || byte === COLON || byte === CLOSE_OBJECT || byte === CLOSE_LIST) {
      return false;
    }
    begun = line;
    if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
      expects = 'container';
      depth = 1;
      quoted = false;
    } else {
      expects = byte === QUOTE ? 'string' : 'scalar';
    }
    escaped = false;
    return true;
  };
  /** What a byte between elements means; a sentence when it has no place there. */
  const between = (byte: number): string | null => {
    if (isSpace(byte)) return null;
    switch (expects) {
      case 'begin':
        if (byte === OPEN_LIST) {
          expects = 'first';
          return null;
        }
        list = false;
        return byte === OPEN_OBJECT && begins(byte)
          ? null
          : 'the file is neither a JSON array nor JSON objects';
      case 'first':
      case 'comma':
        if (byte === CLOSE_LIST) {
          expects = 'nothing';
          return null;
        }
        if (expects === 'first') return begins(byte) ? null : 'an element was expected';
        if (byte !== COMMA) return 'a comma or the end of the array was expected';
        expects = 'element';
        return null;
      case 'element':
        return begins(byte) ? null : 'an element was expected';
      case 'more':
        return begins(byte) ? null : 'another JSON text was expected';
      default:
        return 'nothing was expected behind the array';
    }
  };
  /** Whether the element ends with this byte (`true`) or before it (`before`). */
  const ends = (byte: number): boolean | 'before' => {
    if (expects === 'scalar') {
      const over = isSpace(byte) || byte === COMMA || byte === CLOSE_LIST || byte === CLOSE_OBJECT;
      return over ? 'before' : false;
    }
    if (escaped) {
      escaped = false;
    } else if (quoted || expects === 'string') {
      if (byte === BACKSLASH) escaped = true;
      else if (byte === QUOTE) {
        if (expects === 'string') return true;
        quoted = false;
      }
    } else if (byte === QUOTE) {
      quoted = true;
    } else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
      depth += 1;
    } else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) {
      depth -= 1;
      return depth === 0;
    }
    return false;
  };

  return {
    push(bytes) {
      if (rest !== null) {
        rest.push(bytes);
        return [];
      }
      const found: Found[] = [];
      let from = 0;
      for (let at = 0; at < bytes.length; at += 1) {
        const byte = bytes[at] as number;
        let inside = expects === 'container' || expects === 'string' || expects === 'scalar';
        if (inside) {
          const over = ends(byte);
          if (over !== false) {
            hold(bytes.subarray(from, over === 'before' ? at : at + 1));
            found.push(whole());
            inside = over !== 'before';
          }
        }
        if (!inside) {
          const fault = between(byte);
          if (fault !== null) {
            rest = new Rest(line, fault);
            rest.push(bytes.subarray(at));
            return found;
          }
          from = at;
        }
        if (byte === NEWLINE) line += 1;
      }
      if (expects === 'container' || expects === 'string' || expects === 'scalar') {
        hold(bytes.subarray(from));
      }
      return found;
    },
    async end(torn) {
      if (rest !== null) return [rest.found(torn)];
      const found: Found[] = [];
      // Without an array nothing but the end tells that a number is whole.
      if (expects === 'scalar' && !list && torn === null) found.push(whole());
      const unfinished = size > 0;
      const over = expects === 'nothing' || (expects === 'more' && !unfinished);
      if (over && torn === null) return found;
      const why = unfinished
        ? `the file ends inside the element that begins here`
        : expects === 'begin'
          ? 'the file is empty'
          : 'the file ends before its array does';
      const message = torn === null ? why : torn.message;
      const at = unfinished ? begun : line;
      found.push(refusedPiece(Buffer.concat(held), at, torn?.code ?? 'torn_file', message));
      return found;
    },
    blank: () => 0,
  };
}
