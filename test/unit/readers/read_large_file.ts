/** `read_large_file.ts ENDING MEGABYTES`: reads a packed file that is made as it is read; its peak. */
import { gzipSync } from 'node:zlib';
import { fileRecords } from '../../../functions/readers/uploaded_files.ts';

const [ending = '', megabytes = ''] = process.argv.slice(2);
const wanted = Number(megabytes) << 20;
const text = 'Key features:\nsolid wood, fits ""most"" rooms '.repeat(8);
const row = (i: number): string =>
  ending === 'csv'
    ? `P${i},"${text}",${i * 3}\n`
    : `${JSON.stringify({ pid: `P${i}`, text, price: i * 3 })}${ending === 'json' ? ',' : ''}\n`;
const [opening = '', closing = ''] = { csv: ['pid,text,price\n', ''], json: ['[', '0]'] }[
  ending
] ?? ['', ''];

// Made beforehand, so that what grows is what the reader holds: members of one gzip, one by one.
const member = gzipSync(Array.from({ length: 4_000 }, (_, i) => row(i)).join(''));
const unpacked = Buffer.byteLength(row(1_000)) * 4_000;
const members = Math.ceil(wanted / unpacked) + 1;
const ends = [gzipSync(opening), gzipSync(closing)] as const;
async function* file(): AsyncGenerator<Buffer> {
  yield ends[0];
  for (let i = 0; i < members; i += 1) yield member;
  yield ends[1];
}

let records = 0;
let bytes = 0;
let peak = 0;
const begun = held();
const all = fileRecords(file(), {
  name: `a.${ending}.gz`,
  size: members * member.length + ends[0].length + ends[1].length,
  arrives: { kind: 'uploaded_files' },
  inTime: () => true,
});
for await (const found of all) {
  for (const { payload, refused } of found) {
    if (refused !== undefined) throw new Error(refused.message);
    bytes += payload.length;
  }
  const before = Math.floor(records / 20_000);
  records += found.length;
  if (Math.floor(records / 20_000) > before) peak = Math.max(peak, held() - begun);
}

/** Live bytes, on the heap and beside it. */
function held(): number {
  (globalThis as { gc?: () => void }).gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

process.stdout.write(JSON.stringify({ records, bytes, peak }));
