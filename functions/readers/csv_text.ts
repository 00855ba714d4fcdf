/**
 * CSV cut into its records, each as a JSON object of header and field text. Fields are neither
 * trimmed nor interpreted: an empty one stays "". Bytes travel through the parser one to one as
 * Latin-1, so that text which is not UTF-8 is noticed and refused instead of replaced.
 */
import { isUtf8 } from 'node:buffer';
import { type Parser, parse } from 'csv-parse';
import {
  type Cutter,
  type Found,
  LARGEST_RECORD,
  linesIn,
  Rest,
  refusedPiece,
} from './cut_text.ts';

const NEWLINE = 0x0a;
const RETURN = 0x0d;
const QUOTE = 0x22;
const NON_ASCII = /[\x80-\xff]/;

/** A record as the parser gives it, and the offset behind its delimiter. */
interface Parsed {
  readonly record: readonly string[];
  readonly info: { readonly bytes: number };
}

/** @param delimiter the sign between fields */
export function csvCutter(delimiter: string): Cutter {
  let parser: Parser | null = null;
  let newline = NEWLINE;
  let names: readonly string[] | null = null;
  /** The names as they stand in JSON, with the colon. */
  let keys: readonly string[] = [];
  let blank = 0;
  let line = 1;
  /** Bytes from the end of the last record on, and their offset in the file. */
  let window: Buffer = Buffer.alloc(0);
  let offset = 0;
  let rest: Rest | null = null;

  const openParser = (first: Buffer): Parser => {
    // Files of one line ending in another are read all the same; a lone return ends lines only
    // where nothing else does.
    const old = first.includes(RETURN) && !first.includes(NEWLINE);
    newline = old ? RETURN : NEWLINE;
    const opened = parse({
      delimiter,
      encoding: 'latin1',
      relax_column_count: true,
      record_delimiter: old ? '\r' : ['\r\n', '\n'],
      // A quote inside an unquoted field (5" pipe) is a sign like any other, as for most readers.
      relax_quotes: true,
      // A quote that is never closed: what it swallowed is refused from the window.
      skip_records_with_error: true,
      info: true,
    });
    // Looked for after every step; without a listener it would end the process.
    opened.on('error', () => {});
    return opened;
  };

  const stop = (why: string): void => {
    rest = new Rest(line, why);
    rest.push(window);
    window = Buffer.alloc(0);
    parser?.destroy();
  };

  /** The record that ends at this offset; null for a header, a blank one and what follows a stop. */
  const taken = ({ record, info }: Parsed): Found | null => {
    const raw = window.subarray(0, info.bytes - offset);
    const lines = linesIn(raw, 0, raw.length, newline);
    const at = line;
    if (record.every((field) => field.trim() === '')) {
      if (names !== null) blank += 1;
    } else if (names === null) {
      const header = record.map(decoded);
      if (header.includes(null)) {
        stop('the header is not UTF-8; save the file as UTF-8 and upload it again');
        return null;
      }
      const other = otherDelimiter(header as readonly string[], delimiter);
      if (other !== null) {
        stop(
          `the header is one column: its fields seem to be separated by ${JSON.stringify(other)}, and the contract says ${JSON.stringify(delimiter)}`,
        );
        return null;
      }
      names = columnNames(header as readonly string[]);
      keys = names.map(asKey);
    } else {
      const found = recordOf(record, names, raw, at);
      pass(raw.length, lines);
      return found;
    }
    pass(raw.length, lines);
    return null;
  };
  const pass = (bytes: number, lines: number): void => {
    window = window.subarray(bytes);
    offset += bytes;
    line += lines;
  };

  const recordOf = (
    record: readonly string[],
    header: readonly string[],
    raw: Buffer,
    at: number,
  ): Found => {
    // A stray quote swallows lines up to the next one, and the fields may even be as many as they
    // should be.
    const spans = record.some((field) => field.includes('\n') || field.includes('\r'));
    if (spans && record.some((field) => field.includes('"')) && !isRightlyQuoted(raw, delimiter)) {
      const why =
        'this and following lines are joined by a quote that is not closed where a field ends';
      return refusedPiece(raw, at, 'unreadable_record', why);
    }
    let text = '{';
    for (const [i, field] of record.entries()) {
      const value = decoded(field);
      if (value === null) {
        // Not by its name: without a header that would be somebody's data.
        const why = `field ${i + 1} is not UTF-8; save the file as UTF-8 and upload it again`;
        return refusedPiece(raw, at, 'unreadable_record', why);
      }
      const key = keys[i] ?? asKey(unused(`column_${i + 1}`, header));
      text += `${i === 0 ? '' : ','}${key}${JSON.stringify(value)}`;
    }
    const payload = Buffer.from(`${text}}`);
    return record.length === header.length
      ? { payload, line: at }
      : { payload, line: at, fields: record.length };
  };

  return {
    push(bytes) {
      if (rest !== null) {
        rest.push(bytes);
        return [];
      }
      parser ??= openParser(bytes);
      window = window.length === 0 ? bytes : Buffer.concat([window, bytes]);
      parser.write(bytes);
      const found: Found[] = [];
      for (;;) {
        const parsed = parser.read() as Parsed | null;
        if (parsed === null || rest !== null) break;
        const record = taken(parsed);
        if (record !== null) found.push(record);
      }
      if (rest === null && parser.errored) throw parser.errored;
      if (window.length > LARGEST_RECORD) {
        stop(`a record of more than ${LARGEST_RECORD} bytes, perhaps a quote that is not closed`);
      }
      return found;
    },
    async end(torn) {
      const found: Found[] = [];
      if (rest === null && torn === null && parser !== null) {
        parser.end();
        for await (const parsed of parser) {
          if (rest !== null) continue;
          const record = taken(parsed as Parsed);
          if (record !== null) found.push(record);
        }
      }
      parser?.destroy();
      // A rest that began meanwhile is one that the compiler cannot know of.
      const begun = rest as Rest | null;
      if (begun !== null) return [...found, begun.found(torn)];
      if (torn !== null) found.push(refusedPiece(window, line, torn.code, torn.message));
      else if (names === null)
        found.push(refusedPiece(window, line, 'torn_file', 'the file holds no header'));
      else if (window.some((byte) => byte !== NEWLINE && byte !== RETURN)) {
        const why = 'a quote is opened and not closed before the file ends';
        found.push(refusedPiece(window, line, 'torn_file', why));
      }
      return found;
    },
    blank: () => blank,
  };
}

/** Whether every quote in a record opens a field, closes it or is doubled inside (RFC 4180). */
function isRightlyQuoted(raw: Buffer, delimiter: string): boolean {
  const between = delimiter.charCodeAt(0);
  const ends = (byte: number | undefined): boolean =>
    byte === between || byte === NEWLINE || byte === RETURN || byte === undefined;
  let begins = true;
  for (let at = 0; at < raw.length; at += 1) {
    const byte = raw[at];
    if (byte !== QUOTE) {
      begins = ends(byte);
      continue;
    }
    if (!begins) return false;
    // To the quote that closes: the first one that is not doubled.
    for (at = raw.indexOf(QUOTE, at + 1); raw[at + 1] === QUOTE && at >= 0; ) {
      at = raw.indexOf(QUOTE, at + 2);
    }
    if (at < 0 || !ends(raw[at + 1])) return false;
    begins = false;
  }
  return true;
}

/** A field's text, null when its bytes are not UTF-8. */
function decoded(field: string): string | null {
  if (!NON_ASCII.test(field)) return field;
  const bytes = Buffer.from(field, 'latin1');
  return isUtf8(bytes) ? bytes.toString('utf8') : null;
}

const asKey = (name: string): string => `${JSON.stringify(name)}:`;

/** What a header of one column shows to be the delimiter instead; null = nothing. */
function otherDelimiter(header: readonly string[], delimiter: string): string | null {
  const [only = '', ...others] = header;
  if (others.length > 0) return null;
  return [',', ';', '\t', '|'].find((sign) => sign !== delimiter && only.includes(sign)) ?? null;
}

/** Names without white space around; one without a name is `column_<place>`, a second `x` is `x_2`. */
export function columnNames(header: readonly string[]): readonly string[] {
  const names: string[] = [];
  for (const [i, text] of header.entries()) {
    const name = text.trim();
    const own = name === '' ? `column_${i + 1}` : name;
    // Later columns keep their own names: what is made up gives way.
    const taken = [...names, ...header.slice(i + 1).map((later) => later.trim())];
    names.push(names.includes(own) || name === '' ? unused(own, taken) : own);
  }
  return names;
}

/** The name, or the name with the first number from 2 on that is free. */
function unused(name: string, taken: readonly string[]): string {
  if (!taken.includes(name)) return name;
  for (let n = 2; ; n += 1) {
    const numbered = `${name}_${n}`;
    if (!taken.includes(numbered)) return numbered;
  }
}
