/**
 * CRC32C (Castagnoli), the checksum Cloud Storage gives every object. Node has only the other
 * CRC32 natively, so this is slicing-by-8: eight table look-ups per eight bytes.
 */
import { createHash } from 'node:crypto';

const POLYNOMIAL = 0x82f63b78;
const SLICES = 8;

const table = new Int32Array(SLICES * 256);
for (let byte = 0; byte < 256; byte++) {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ POLYNOMIAL : value >>> 1;
  table[byte] = value;
}
for (let slice = 1; slice < SLICES; slice++) {
  for (let byte = 0; byte < 256; byte++) {
    const before = table[(slice - 1) * 256 + byte] as number;
    table[slice * 256 + byte] = (before >>> 8) ^ (table[before & 255] as number);
  }
}

/** Continues a CRC32C over more bytes; start with 0. Returns an unsigned 32-bit number. */
export function crc32c(bytes: Uint8Array, start = 0): number {
  const t = table as unknown as readonly number[] & Int32Array;
  const end = bytes.length;
  let crc = ~start;
  let i = 0;
  for (; i + 8 <= end; i += 8) {
    crc ^=
      (bytes[i] as number) |
      ((bytes[i + 1] as number) << 8) |
      ((bytes[i + 2] as number) << 16) |
      ((bytes[i + 3] as number) << 24);
    crc =
      (t[1792 + (crc & 255)] as number) ^
      (t[1536 + ((crc >>> 8) & 255)] as number) ^
      (t[1280 + ((crc >>> 16) & 255)] as number) ^
      (t[1024 + (crc >>> 24)] as number) ^
      (t[768 + (bytes[i + 4] as number)] as number) ^
      (t[512 + (bytes[i + 5] as number)] as number) ^
      (t[256 + (bytes[i + 6] as number)] as number) ^
      (t[bytes[i + 7] as number] as number);
  }
  for (; i < end; i++) crc = (crc >>> 8) ^ (t[(crc ^ (bytes[i] as number)) & 255] as number);
  return ~crc >>> 0;
}

/** The four bytes, big-endian, in base64: how the API writes a CRC32C. */
function crc32cText(value: number): string {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes.toString('base64');
}

export interface Checksums {
  readonly size: number;
  /** Base64 of the big-endian CRC32C. */
  readonly crc32c: string;
  /** Base64 of the MD5. */
  readonly md5: string;
}

/** Size, CRC32C and MD5 of bytes that arrive in pieces. */
export class ChecksumStream {
  #size = 0;
  #crc = 0;
  readonly #md5 = createHash('md5');

  add(bytes: Uint8Array): void {
    this.#size += bytes.length;
    this.#crc = crc32c(bytes, this.#crc);
    this.#md5.update(bytes);
  }

  /** Ends the stream: call once. */
  end(): Checksums {
    return { size: this.#size, crc32c: crc32cText(this.#crc), md5: this.#md5.digest('base64') };
  }
}

export function checksums(bytes: Uint8Array): Checksums {
  const stream = new ChecksumStream();
  stream.add(bytes);
  return stream.end();
}
