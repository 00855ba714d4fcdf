/** Files cut into records: the same wherever the bytes are cut, and what of a torn one is left. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import type { Found } from '../../../functions/readers/cut_text.ts';
import { endingOf, fileRecords } from '../../../functions/readers/uploaded_files.ts';

const arrives = { kind: 'uploaded_files' } as const;

async function* cutAt(bytes: Buffer, places: readonly number[]): AsyncGenerator<Buffer> {
  let from = 0;
  for (const place of [...places, bytes.length]) {
    if (place > from) yield Buffer.from(bytes.subarray(from, place));
    from = place;
  }
}

async function read(name: string, bytes: Buffer, places: readonly number[] = []) {
  const found: Found[] = [];
  const records = fileRecords(cutAt(bytes, places), {
    name,
    size: bytes.length,
    arrives,
    inTime: () => true,
  });
  let next = await records.next();
  for (; next.done !== true; next = await records.next()) found.push(...next.value);
  const shown = found.map(({ payload, line, fields, refused }) => [
    payload.toString('latin1'),
    line,
    fields,
    refused,
  ]);
  return { found, shown, blank: next.value };
}

/** The same digits in every run. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return state / 4_294_967_296;
  };
}

const texts = {
  'a.csv':
    'pid,name,"de""sc"\r\nA,"x\r\n""y"", z",\r\n\r\n,,\nB,5" x,é陶\nC,"1 2\n3,4\n5,"6",7\nD,"",€,more\nE,"open\n',
  'a.json': ' [ {"a":"\\"]}é","b":[1,{"c":2}]},\n-1.50e+3 ,"x\\\\",null,[ ] ] \n',
  'b.json': '{"a":1}\n{"b":"}"} 12 {"c":[]}',
  'c.json': '[{"a":1},{"b":2} {"c":3}]',
  'a.ndjson': '{"a":"é"}\r\n\n  {"b":1}  \nnot json\n{"c":',
  'old.csv': 'pid,name\rA,"x\ry"\rB,z\r',
};

test.each(Object.entries(texts))(
  '%s gives the same records wherever its bytes are cut',
  async (name, text) => {
    const bytes = Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from(text)]);
    const whole = await read(name, bytes);
    expect(whole.found.length).toBeGreaterThan(1);
    for (let at = 1; at < bytes.length; at += 1) {
      expect((await read(name, bytes, [at])).shown, `cut at ${at}`).toEqual(whole.shown);
    }
    const each = Array.from(bytes, (_, i) => i);
    expect((await read(name, bytes, each)).shown).toEqual(whole.shown);
    expect(whole.blank).toBe((await read(name, bytes, each)).blank);
  },
);

test('elements of any JSON array come back byte for byte, however it is written and cut', async () => {
  const next = random(11);
  const pick = <T>(all: readonly T[]): T => all[Math.floor(next() * all.length)] as T;
  const value = (depth: number): string => {
    const kind = depth > 3 ? Math.floor(next() * 4) : Math.floor(next() * 6);
    const gap = (): string => pick(['', ' ', '\n', '\t ']);
    if (kind === 0) return pick(['0', '-1.50', '1e+09', '12345678901234567890.123', '-0']);
    if (kind === 1) return pick(['true', 'false', 'null']);
    if (kind <= 3) {
      const piece = (): string =>
        pick(['a', '\\"', '\\\\', '[', ']', '{', '}', ',', '\\u0041', 'é', ' ']);
      return `"${Array.from({ length: Math.floor(next() * 6) }, piece).join('')}"`;
    }
    const parts = Array.from({ length: Math.floor(next() * 4) }, () => value(depth + 1));
    if (kind === 4) return `[${gap()}${parts.join(`${gap()},${gap()}`)}${gap()}]`;
    return `{${parts.map((part, i) => `${gap()}"k${i}"${gap()}:${gap()}${part}`).join(',')}${gap()}}`;
  };
  for (let round = 0; round < 400; round += 1) {
    const elements = Array.from({ length: Math.floor(next() * 6) }, () => value(0));
    const text = `${pick(['', ' \n'])}[${elements.map((one) => `${pick(['', '\n'])}${one}${pick(['', ' '])}`).join(',')}]`;
    expect(JSON.parse(text)).toHaveLength(elements.length);
    const bytes = Buffer.from(text);
    const places = Array.from({ length: 3 }, () => Math.floor(next() * bytes.length)).sort(
      (a, b) => a - b,
    );
    const { found } = await read('a.json', bytes, places);
    expect(found.map(({ payload, refused }) => refused ?? payload.toString())).toEqual(elements);
  }
});

/** Lines that hardly compress, so that tears fall everywhere. */
function noise(lines: number): readonly string[] {
  const next = random(5);
  return Array.from({ length: lines }, (_, i) => `{"i":${i},"x":"${next().toString(36)}"}`);
}

test('a gzip cut anywhere: every whole line before the tear lands, the rest is one refused piece', async () => {
  const lines = noise(3_000);
  const packed = gzipSync(`${lines.join('\n')}\n`);
  for (let at = 30; at < packed.length; at += 997) {
    const { found } = await read('a.ndjson.gz', packed.subarray(0, at), [at >> 1]);
    const good = found.filter(({ refused }) => refused === undefined);
    expect(good.map(({ payload }) => payload.toString())).toEqual(lines.slice(0, good.length));
    expect(found.length).toBe(good.length + 1);
    expect(found.at(-1)?.refused).toMatchObject({
      code: 'torn_file',
      message: expect.stringMatching(
        /^line \d+: the gzip is torn or damaged \(unexpected end of file\)/,
      ),
    });
    // As much as the compressed bytes can say, but for the block that is not whole.
    expect(good.length).toBeGreaterThan((lines.length * (at - 1_000)) / packed.length - 40);
  }
});

test('a damaged gzip: what stands before lands, the same in every attempt', async () => {
  const lines = noise(8_000);
  const packed = gzipSync(`${lines.join('\n')}\n`);
  const damaged = Buffer.from(packed);
  damaged.fill(0xff, 60_000, 60_040);
  const first = await read('a.ndjson.gz', damaged, [1, 2, 3]);
  const again = await read('a.ndjson.gz', damaged, [12_345, 60_010]);
  expect(again.shown).toEqual(first.shown);
  expect(first.found.at(-1)?.refused?.code).toBe('torn_file');
  const good = first.found.filter(({ refused }) => refused === undefined);
  expect(good.length).toBeGreaterThan((lines.length * 40_000) / packed.length);
});

test('a false checksum at the end of a gzip is told, after everything has landed', async () => {
  const packed = gzipSync('[{"a":1},{"a":2}]');
  packed.writeUInt32LE(1, packed.length - 8);
  const { shown } = await read('a.json.gz', packed);
  expect(shown.slice(0, 2).map(([text]) => text)).toEqual(['{"a":1}', '{"a":2}']);
  expect(shown[2]?.[3]).toMatchObject({ message: expect.stringContaining('incorrect data check') });
});

test.each([1, 7, 8, 9, 512, 100_000])(
  'zeros behind a gzip are no part of it: %d',
  async (zeros) => {
    const packed = Buffer.concat([gzipSync('{"a":1}\n{"a":2}\n'), Buffer.alloc(zeros)]);
    const { shown } = await read('a.ndjson.gz', packed, [10, packed.length - zeros]);
    expect(shown.map(([text]) => text)).toEqual(['{"a":1}', '{"a":2}']);
  },
);

test('a gzip of several members is read to its end', async () => {
  const packed = Buffer.concat([gzipSync('{"a":1}\n{"a"'), gzipSync(':2}\n')]);
  expect((await read('a.ndjson.gz', packed)).shown.map(([text]) => text)).toEqual([
    '{"a":1}',
    '{"a":2}',
  ]);
});

test('a record beyond the limit is refused by its size, the ones around it land', async () => {
  const large = Buffer.alloc((16 << 20) + 10, 'x');
  const files = {
    'a.ndjson': ['{"a":1}\n"', '"\n{"a":2}\n'],
    'a.json': ['[{"a":1},"', '",{"a":2}]'],
  };
  for (const [name, [before = '', after = '']] of Object.entries(files)) {
    const bytes = Buffer.concat([Buffer.from(before), large, Buffer.from(after)]);
    const places = Array.from({ length: bytes.length >> 18 }, (_, i) => (i + 1) << 18);
    const { found } = await read(name, bytes, places);
    expect(found.map(({ refused }) => refused?.code)).toEqual([
      undefined,
      'record_too_large',
      undefined,
    ]);
    expect(found[1]?.payload.length).toBe(64 << 10);
  }
});

test('an unclosed quote does not hold the rest of a large CSV file', async () => {
  const bytes = Buffer.concat([Buffer.from('a,b\n1,2\n3,"'), Buffer.alloc(40 << 20, 'x,y\n')]);
  const places = Array.from({ length: bytes.length >> 20 }, (_, i) => (i + 1) << 20);
  const { found } = await read('a.csv', bytes, places);
  expect(found).toHaveLength(2);
  expect(found[1]?.refused).toMatchObject({
    code: 'torn_file',
    message: `line 3: a record of more than 16777216 bytes, perhaps a quote that is not closed; the ${bytes.length - 8} bytes from there on are refused`,
  });
});

test.each([
  ['a.csv', 'csv'],
  ['x/A.CSV.GZ', 'csv'],
  ['a.b.jsonl', 'jsonl'],
  ['a.ndjson.gz', 'ndjson'],
  ['a.csv.zip', null],
  ['a.gz', null],
  ['csv', null],
  ['a.csv/', null],
])('the ending of %s is %s', (name, ending) => {
  expect(endingOf(name)).toBe(ending);
});

test.each(['csv', 'ndjson', 'json'])(
  'the memory that a packed %s file takes does not grow with it',
  (ending) => {
    const child = join(import.meta.dirname, 'read_large_file.ts');
    const grown = (megabytes: number): number => {
      const ran = spawnSync(process.execPath, ['--expose-gc', child, ending, String(megabytes)], {
        encoding: 'utf8',
      });
      expect(ran.stderr).toBe('');
      const told = JSON.parse(ran.stdout) as { records: number; bytes: number; peak: number };
      expect(told.bytes).toBeGreaterThan(megabytes << 20);
      expect(told.records).toBeGreaterThan(megabytes * 1_000);
      return told.peak;
    };
    expect(grown(32)).toBeLessThan(grown(8) + (24 << 20));
  },
);

test('a fault of the reader itself ends the file with a reason instead of a retry', async () => {
  const records = fileRecords(cutAt(Buffer.from('a\n1\n'), []), {
    name: 'a.csv',
    size: 4,
    arrives: { ...arrives, delimiter: '' as ',' },
    inTime: () => true,
  });
  const found: Found[] = [];
  for await (const some of records) found.push(...some);
  expect(found.map(({ refused }) => refused?.code)).toEqual(['unforeseen']);
  expect(found[0]?.refused?.message).toContain('the rest of the file is refused');
});
