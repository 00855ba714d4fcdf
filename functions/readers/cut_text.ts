/** Cutting the text of an uploaded file into its records, piece by piece as the bytes come. */

/** Why something is landed only to be refused: Spark takes both words over into `ops.rejected`. */
export interface Refusal {
  /** Stable, lower snake case. */
  readonly code:
    | 'torn_file'
    | 'unreadable_file'
    | 'unreadable_record'
    | 'record_too_large'
    | 'unforeseen';
  /** What is wrong, where, and what to do. */
  readonly message: string;
}

/** One record, or a piece that is none. */
export interface Found {
  /** The record as JSON text; of a refused piece its bytes as they came, at most `SHOWN_BYTES`. */
  readonly payload: Buffer;
  /** The line it begins in, from 1. */
  readonly line: number;
  /** CSV: how many fields the record has, where the header has another number. */
  readonly fields?: number;
  readonly refused?: Refusal;
}

/** Cuts one file; used once. */
export interface Cutter {
  /** Takes the next bytes. @returns what has become whole with them */
  push(bytes: Buffer): readonly Found[];
  /**
   * The file is over.
   * @param torn why its bytes end early: what is not whole then is refused with this reason
   */
  end(torn: Refusal | null): Promise<readonly Found[]>;
  /** Records without any value so far: left out, and counted. */
  blank(): number;
}

/** A record above this is refused: what holds several files at once must hold each one's record. */
export const LARGEST_RECORD = 16 << 20;

/** Of a refused piece so much is landed; all of it lies in the original beside. */
export const SHOWN_BYTES = 64 << 10;

/** What follows the place from which a file cannot be read: counted, its beginning kept. */
export class Rest {
  readonly line: number;
  readonly #why: string;
  #shown: Buffer = Buffer.alloc(0);
  #bytes = 0;

  constructor(line: number, why: string) {
    this.line = line;
    this.#why = why;
  }

  push(bytes: Buffer): void {
    this.#bytes += bytes.length;
    const room = SHOWN_BYTES - this.#shown.length;
    if (room > 0) this.#shown = Buffer.concat([this.#shown, bytes.subarray(0, room)]);
  }

  found(torn: Refusal | null): Found {
    const left = `line ${this.line}: ${this.#why}; the ${this.#bytes} bytes from there on are refused`;
    const { code, message } = torn ?? { code: 'torn_file', message: '' };
    return {
      payload: this.#shown,
      line: this.line,
      refused: { code, message: message === '' ? left : `${message}; ${left}` },
    };
  }
}

/** A piece that was read and is no record. */
export const refusedPiece = (
  bytes: Buffer,
  line: number,
  code: Refusal['code'],
  message: string,
): Found => ({
  payload: Buffer.from(bytes.subarray(0, SHOWN_BYTES)),
  line,
  refused: { code, message: `line ${line}: ${message}` },
});

export const tooLarge = (bytes: Buffer, line: number, size: number): Found =>
  refusedPiece(
    bytes,
    line,
    'record_too_large',
    `a record of ${size} bytes; at most ${LARGEST_RECORD} are read`,
  );

const NEWLINE = 0x0a;

/** How many lines end in these bytes. */
export function linesIn(bytes: Buffer, from = 0, to = bytes.length, newline = NEWLINE): number {
  let lines = 0;
  for (let at = bytes.indexOf(newline, from); at >= 0 && at < to; ) {
    lines += 1;
    at = bytes.indexOf(newline, at + 1);
  }
  return lines;
}
