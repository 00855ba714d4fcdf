/**
 * Uploaded files: bytes as they lie in the inbox -> records. Content decides whether they are
 * gzipped (a `.csv` may be stored with `Content-Encoding: gzip`), the name's ending what they hold.
 * What cannot be read is not left out: it comes as a piece that is refused by name.
 */
import { createGunzip, type Gunzip } from 'node:zlib';
import type { UploadedFilesArrival } from '../../schemas/contract.ts';
import { Transient } from '../errors.ts';
import { csvCutter } from './csv_text.ts';
import { type Cutter, type Found, type Refusal, refusedPiece } from './cut_text.ts';
import { jsonCutter } from './json_text.ts';
import { ndjsonCutter } from './ndjson_text.ts';

const cutters: Readonly<Record<string, (arrives: UploadedFilesArrival) => Cutter>> = {
  csv: ({ delimiter }) => csvCutter(delimiter ?? ','),
  json: jsonCutter,
  ndjson: ndjsonCutter,
  jsonl: ndjsonCutter,
};

/** Endings of the files that are read, each also with `.gz` behind it. */
export const fileEndings: readonly string[] = Object.keys(cutters);

/** What a file holds by its name: `csv`, `json`, `ndjson` or `jsonl`; null for other endings. */
export function endingOf(name: string): string | null {
  const ending = /\.([a-z0-9]+)(?:\.gz)?$/i.exec(name)?.[1]?.toLowerCase();
  return ending !== undefined && fileEndings.includes(ending) ? ending : null;
}

export interface FileReading {
  /** Object name, for its ending. */
  readonly name: string;
  /** Size of the object: fewer bytes are a download that was cut. */
  readonly size: number;
  readonly arrives: UploadedFilesArrival;
  /** Whether there is still time; when not, the rest is refused. */
  readonly inTime: () => boolean;
}

/**
 * Records of a file in their order, some at a time.
 * @returns how many blank records were left out
 * @throws Transient when the object could not be read whole
 */
export async function* fileRecords(
  chunks: AsyncIterable<Buffer>,
  of: FileReading,
): AsyncGenerator<readonly Found[], number> {
  const ending = endingOf(of.name);
  const open = ending === null ? undefined : cutters[ending];
  if (open === undefined) {
    const known = fileEndings.join(', ');
    const message = `the name ends in none of ${known} (each also with .gz): save the file as one of these`;
    yield [refusedPiece(Buffer.alloc(0), 1, 'unreadable_file', message)];
    return 0;
  }
  const cutter = open(of.arrives);
  const text = plainText(wholeObject(chunks, of));
  try {
    let torn: Refusal | null = null;
    let begun = false;
    for (;;) {
      const next = await text.next();
      if (next.done === true) torn = next.value;
      else if (begun && !of.inTime()) torn = outOfTime;
      if (next.done === true || torn !== null) break;
      const fault = begun ? null : notText(next.value);
      if (fault !== null) {
        yield [refusedPiece(next.value, 1, 'unreadable_file', fault)];
        return 0;
      }
      const bytes = begun ? next.value : withoutMark(next.value);
      begun = true;
      const found = await read(bytes, async () => cutter.push(bytes));
      if (found.length > 0) yield found;
      if (found.at(-1)?.refused?.code === 'unforeseen') return cutter.blank();
    }
    const last = await read(Buffer.alloc(0), () => cutter.end(torn));
    if (last.length > 0) yield last;
    return cutter.blank();
  } finally {
    // Also when nobody wants the rest: the download is ended.
    await text.return(null);
  }
}

const outOfTime: Refusal = {
  code: 'torn_file',
  message:
    'reading takes longer than one call may: from here on the file is refused; cut it into smaller ones',
};

/** A fault of ours ends the file's run with a reason: tried again it would only be met again. */
async function read(
  bytes: Buffer,
  act: () => Promise<readonly Found[]>,
): Promise<readonly Found[]> {
  try {
    return await act();
  } catch (fault) {
    const said = fault instanceof Error ? fault.message : String(fault);
    return [refusedPiece(bytes, 1, 'unforeseen', `${said}; the rest of the file is refused`)];
  }
}

/** The object's bytes; fewer than it has are a download that was cut, never a torn file. */
async function* wholeObject(
  chunks: AsyncIterable<Buffer>,
  { name, size }: FileReading,
): AsyncGenerator<Buffer> {
  let bytes = 0;
  try {
    for await (const chunk of chunks) {
      bytes += chunk.length;
      yield chunk;
    }
  } catch (cause) {
    const said = cause instanceof Error ? cause.message : String(cause);
    throw new Transient({ code: 'download_cut', message: `reading ${name}: ${said}`, cause });
  }
  if (bytes !== size) {
    throw new Transient({
      code: 'download_cut',
      message: `${bytes} of the ${size} bytes of ${name} came`,
    });
  }
}

/** Bytes decompressed by one step. Always cut at the same places, so that attempts see the same. */
const STEP_BYTES = 8 << 10;

/** Bytes that tell what a file is. */
const HEAD_BYTES = 4 << 10;

/** The text; @returns why it ends early, null when it is whole. Its first piece holds the head. */
async function* plainText(bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer, Refusal | null> {
  const source = headFirst(bytes, 2);
  try {
    const first = await source.next();
    if (first.done === true) return null;
    const all = (async function* () {
      yield first.value;
      yield* source;
    })();
    if (first.value[0] !== 0x1f || first.value[1] !== 0x8b) {
      yield* headFirst(all, HEAD_BYTES);
      return null;
    }
    let torn: Refusal | null = null;
    const unpacked = (async function* () {
      torn = yield* gunzipped(all);
    })();
    yield* headFirst(unpacked, HEAD_BYTES);
    return torn;
  } finally {
    await source.return(null);
  }
}

/** The same bytes, the first piece with at least so many of them, if there are. */
async function* headFirst(pieces: AsyncIterable<Buffer>, bytes: number): AsyncGenerator<Buffer> {
  let head: Buffer | null = Buffer.alloc(0);
  for await (const piece of pieces) {
    if (head === null) {
      yield piece;
      continue;
    }
    head = Buffer.concat([head, piece]);
    if (head.length < bytes) continue;
    yield head;
    head = null;
  }
  if (head !== null && head.length > 0) yield head;
}

/** Everything that can be unpacked; @returns why there is not more of it. */
async function* gunzipped(bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer, Refusal | null> {
  const gunzip = createGunzip();
  let out: Buffer[] = [];
  let failure: Error | null = null;
  gunzip.on('data', (piece: Buffer) => void out.push(piece));
  gunzip.on('error', (error) => {
    failure = error;
  });
  const taken = (): readonly Buffer[] => {
    const pieces = out;
    out = [];
    return pieces;
  };
  try {
    for await (const step of steps(bytes)) {
      await unpack(gunzip, step);
      yield* taken();
      if (failure !== null) break;
    }
    // Zeros behind its end, as blocks are filled up with, have ended it before.
    if (failure === null && !gunzip.readableEnded) {
      const over = new Promise<void>((resolve) => {
        for (const event of ['end', 'error', 'close']) gunzip.once(event, () => resolve());
      });
      gunzip.end();
      await over;
    }
    yield* taken();
  } finally {
    gunzip.destroy();
  }
  const error = failure as Error | null;
  if (error === null) return null;
  return {
    code: 'torn_file',
    message: `the gzip is torn or damaged (${error.message}); what comes from here on is refused`,
  };
}

/** A step that fails has its error told to the listener that keeps it, and its callback dropped. */
const unpack = (gunzip: Gunzip, step: Buffer): Promise<void> =>
  new Promise((resolve) => {
    const over = (): void => {
      gunzip.off('error', over);
      resolve();
    };
    gunzip.once('error', over);
    gunzip.write(step, over);
  });

/** A gzip's last bytes, its checksum and length: a false one must not cost the step before. */
const TRAILER_BYTES = 8;

/** Pieces of one size, whatever the download's were; the trailer is one of its own. */
async function* steps(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let held: Buffer = Buffer.alloc(0);
  for await (const piece of pieces) {
    held = held.length === 0 ? piece : Buffer.concat([held, piece]);
    let at = 0;
    for (; held.length - at >= STEP_BYTES + TRAILER_BYTES; at += STEP_BYTES) {
      yield held.subarray(at, at + STEP_BYTES);
    }
    held = held.subarray(at);
  }
  const trailer = Math.max(0, held.length - TRAILER_BYTES);
  if (trailer > 0) yield held.subarray(0, trailer);
  if (held.length > 0) yield held.subarray(trailer);
}

/** What a file's head says against reading it as text; null = nothing. */
function notText(head: Buffer): string | null {
  const [first, second] = head;
  const marked = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
  // Western text in UTF-16 has a zero in every second byte, and hardly one in the others.
  const zeros = [0, 0];
  for (const [i, byte] of head.subarray(0, HEAD_BYTES).entries()) {
    if (byte === 0) zeros[i % 2] = (zeros[i % 2] ?? 0) + 1;
  }
  const [few = 0, many = 0] = zeros.sort((a, b) => a - b);
  const half = Math.min(head.length, HEAD_BYTES) / 2;
  if (marked || (many > half / 2 && few < half / 20)) {
    return 'the file is UTF-16; save it as UTF-8 and upload it again';
  }
  if (head.subarray(0, 4).equals(Buffer.from('PK\u0003\u0004'))) {
    return 'the file is a zip or an Excel workbook; save it as CSV (UTF-8) and upload it again';
  }
  return many > 0 ? 'the file is no text' : null;
}

const MARK = Buffer.from([0xef, 0xbb, 0xbf]);

/** Without the byte order mark that some programs put before UTF-8. */
const withoutMark = (head: Buffer): Buffer =>
  head.subarray(0, 3).equals(MARK) ? head.subarray(3) : head;
