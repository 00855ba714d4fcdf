/** Uploaded files through the handler into bronze: what is landed, what is refused, and once. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import type { Config } from '../../../functions/config.ts';
import type { RunManifest } from '../../../functions/manifest.ts';
import type { Message } from '../../../functions/message.ts';
import { handle, uploadRun } from '../../../functions/upload.ts';
import type { World } from '../../../functions/world.ts';
import { memoryObjects, UNTIL, virtualClock } from '../readers/virtual_world.ts';

const config = {
  buckets: {
    bronze: 'bronze',
    control: 'control',
    lake: 'lake',
    rejected: 'rejected',
    inbox: 'inbox',
  },
} as unknown as Config;
const FOLDER = 'commerce/flipkart_products';

interface Line {
  readonly observed_at: string;
  readonly meta: {
    readonly file: string;
    readonly line: number;
    readonly fields?: number;
    readonly refused?: { readonly code: string; readonly message: string };
  };
  readonly payload?: string;
  readonly payload_base64?: string;
}

function upload() {
  const clock = virtualClock(UNTIL);
  const objects = memoryObjects(clock);
  const logged: { severity: string; event: string; fields: Record<string, unknown> }[] = [];
  let ids = 0;
  const world = {
    clock,
    objects,
    random: { next: () => 0.5, id: () => String(++ids).padStart(16, '0') },
    log: (severity: string, event: string, fields: Record<string, unknown>) =>
      void logged.push({ severity, event, fields }),
  } as unknown as World;
  return {
    clock,
    objects,
    world,
    logged,
    events: () => logged.map(({ event }) => event),
    async put(name: string, bytes: Buffer | string): Promise<Message> {
      const there = await objects.stat('inbox', name);
      const written = await objects.write('inbox', name, Buffer.from(bytes), {
        ifGeneration: there?.generation ?? '0',
        contentType: 'application/octet-stream',
      });
      if (written.outcome === 'refused') throw new Error(`${name} was not written`);
      return {
        data: {},
        attributes: {
          eventType: 'OBJECT_FINALIZE',
          bucketId: 'inbox',
          objectId: name,
          objectGeneration: written.generation,
          eventTime: new Date(clock.now()).toISOString(),
        },
      };
    },
    take: (message: Message) => handle(message, world, config),
    tick: () => handle({ data: {}, attributes: {} }, world, config),
    async manifests(): Promise<readonly RunManifest[]> {
      const names = objects.names().filter((one) => one.startsWith('control/runs/'));
      const found = await Promise.all(
        names.map((name) => objects.read('control', name.slice('control/'.length))),
      );
      return found.map((one) => JSON.parse(String(one?.bytes)) as RunManifest);
    },
    async lines(): Promise<readonly Line[]> {
      const lines: Line[] = [];
      for (const manifest of await this.manifests()) {
        for (const file of manifest.files) {
          const part = await objects.read('bronze', file.name);
          const text = gunzipSync(part?.bytes as Buffer).toString();
          for (const line of text.trimEnd().split('\n')) lines.push(JSON.parse(line) as Line);
        }
      }
      return lines;
    },
  };
}

/** What a file becomes: its good records, its refused ones, its run. */
async function landedOf(name: string, bytes: Buffer | string) {
  const inbox = upload();
  await inbox.take(await inbox.put(`${FOLDER}/${name}`, bytes));
  const lines = await inbox.lines();
  const good = lines.filter(({ meta }) => meta.refused === undefined);
  const [manifest] = await inbox.manifests();
  return {
    ...inbox,
    good,
    records: () => good.map(({ payload }) => JSON.parse(payload ?? '') as unknown),
    refused: lines.filter(({ meta }) => meta.refused !== undefined),
    manifest: manifest as RunManifest,
  };
}

const refusals = (lines: readonly Line[]) =>
  lines.map(({ meta }) => `${meta.refused?.code}: ${meta.refused?.message}`);

test('a CSV file lands record by record, and the original beside, byte for byte', async () => {
  const text = 'pid,name\r\nP1, "x\r\nP2,"a ""b""\r\nc"\r\n';
  const { records, good, manifest, objects, refused } = await landedOf('a.csv', text);
  expect(records()).toEqual([
    { pid: 'P1', name: ' "x' },
    { pid: 'P2', name: 'a "b"\r\nc' },
  ]);
  expect(refused).toEqual([]);
  expect(good.map(({ meta }) => meta)).toEqual([
    { file: `${FOLDER}/a.csv`, line: 2 },
    { file: `${FOLDER}/a.csv`, line: 3 },
  ]);
  expect(good.map(({ observed_at }) => observed_at)).toEqual(
    Array(2).fill(new Date(UNTIL).toISOString()),
  );
  const original = manifest.upload?.original;
  const kept = await objects.read('bronze', original?.name ?? '');
  expect(kept?.bytes.toString()).toBe(text);
  expect(original?.name).toMatch(/\/attempt=[^/]+\/original$/);
  expect(manifest.files.map(({ name }) => name)).not.toContain(original?.name);
  expect(manifest).toMatchObject({
    records: 2,
    window: null,
    upload: { blank: 0, ragged: 0, refused: 0 },
  });
});

test('the fixture with fifteen columns lands as its records say, in any packing', async () => {
  const folder = 'test/cases/commerce/flipkart_products/files';
  const text = readFileSync(`${folder}/fifteen_columns.csv`);
  const expected = readFileSync(`${folder}/fifteen_columns.records.ndjson`, 'utf8');
  for (const [name, bytes] of [
    ['plain.csv', text],
    ['packed.csv.gz', gzipSync(text)],
    ['stored_packed.csv', gzipSync(text)],
    ['named_packed.csv.gz', text],
    ['with_mark.csv', Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), text])],
    ['unix.csv', Buffer.from(text.toString().replaceAll(/(?<!wood)\r\n/g, '\n'))],
  ] as const) {
    const { good, refused, manifest } = await landedOf(name, bytes);
    expect(good.map(({ payload }) => payload).join('\n'), name).toBe(expected.trimEnd());
    expect(refused).toEqual([]);
    expect(manifest.upload).toMatchObject({ blank: 40, ragged: 0, refused: 0 });
  }
});

const given = join(import.meta.dirname, '../../../../shared/material/products/flipkart_20000.csv');

test.skipIf(!existsSync(given))('the given file of twenty thousand lands whole', async () => {
  const { records, refused, manifest } = await landedOf('flipkart.csv', readFileSync(given));
  const rows = records() as readonly Readonly<Record<string, string>>[];
  expect(rows).toHaveLength(20_000);
  expect(new Set(rows.map(({ pid }) => pid)).size).toBe(19_998);
  const sum = (column: string): number =>
    rows.reduce((total, row) => total + Number(row[column]), 0);
  expect([sum('retail_price'), sum('discounted_price')]).toEqual([59_351_744, 39_314_110]);
  expect(rows.filter(({ retail_price }) => retail_price !== '')).toHaveLength(19_922);
  expect(refused).toEqual([]);
  expect(manifest).toMatchObject({ records: 20_000, upload: { blank: 0, ragged: 0 } });
});

test('headers: any order, blanks around, without a name, twice the same', async () => {
  const { records } = await landedOf('a.csv', ' b ,,a,a,column_2\n1,2,3,4,5\n');
  expect(records()).toEqual([{ b: '1', column_2_2: '2', a: '3', a_2: '4', column_2: '5' }]);
});

test('rows of another width are landed with what they have, and flagged', async () => {
  const { records, good, manifest, logged } = await landedOf('a.csv', 'a,b\n1\n2,3,4\n5,6\n');
  expect(records()).toEqual([{ a: '1' }, { a: '2', b: '3', column_3: '4' }, { a: '5', b: '6' }]);
  expect(good.map(({ meta }) => meta.fields)).toEqual([1, 3, undefined]);
  expect(manifest.upload).toMatchObject({ ragged: 2 });
  expect(logged.find(({ event }) => event === 'upload_landed')?.fields).toMatchObject({
    ragged: 2,
  });
});

test('blank records are left out and counted, line numbers stay true', async () => {
  const { good, manifest } = await landedOf('a.csv', '\n\na,b\n\n1,"x\ny"\n,\n  , \n2,\n,,,\n\n');
  expect(good.map(({ payload, meta }) => [meta.line, payload])).toEqual([
    [5, '{"a":"1","b":"x\\ny"}'],
    [9, '{"a":"2","b":""}'],
  ]);
  expect(manifest.upload).toMatchObject({ blank: 5 });
});

test.each([
  ['a quote inside an unquoted field', 'a,b\n5" pipe,x\n', [{ a: '5" pipe', b: 'x' }]],
  [
    'mixed line ends',
    'a,b\r\n1,2\n3,4\r\n',
    [
      { a: '1', b: '2' },
      { a: '3', b: '4' },
    ],
  ],
  ['old line ends', 'a,b\r1,2\r', [{ a: '1', b: '2' }]],
  ['no line end at the end', 'a,b\n1,2', [{ a: '1', b: '2' }]],
  [
    'names that objects know',
    'a,__proto__\n1,2\n',
    [JSON.parse('{"a":"1","__proto__":"2"}') as unknown],
  ],
  ['nothing but a header', 'a,b\n', []],
] as const)('CSV with %s is read', async (_what, text, expected) => {
  const { records, refused, manifest } = await landedOf('a.csv', text);
  expect(records()).toEqual(expected);
  expect(refused).toEqual([]);
  expect(manifest.records).toBe(expected.length);
});

test('a stray quote refuses the lines it swallowed, and only those', async () => {
  const text = 'a,b,c\n1,2,3\n4,"5 6\n7,8\n9,"10",11\n12,13,14\n';
  const { records, refused } = await landedOf('a.csv', text);
  expect(records()).toEqual([
    { a: '1', b: '2', c: '3' },
    { a: '12', b: '13', c: '14' },
  ]);
  expect(refused.map(({ payload }) => payload)).toEqual(['4,"5 6\n7,8\n9,"10",11\n']);
  expect(refusals(refused)).toEqual([
    'unreadable_record: line 3: this and following lines are joined by a quote that is not closed where a field ends',
  ]);
});

test('a quote that is never closed refuses what it swallowed', async () => {
  const { records, refused } = await landedOf('a.csv', 'a,b\n1,2\n3,"4\n5,6\n');
  expect(records()).toEqual([{ a: '1', b: '2' }]);
  expect(refused.map(({ payload }) => payload)).toEqual(['3,"4\n5,6\n']);
  expect(refusals(refused)).toEqual([
    'torn_file: line 3: a quote is opened and not closed before the file ends',
  ]);
});

test('a record that is not UTF-8 is refused with its bytes, the others land', async () => {
  const text = Buffer.from('a,b\n1,caf\u00e9\n2,tea\n', 'latin1');
  const { records, refused, logged } = await landedOf('a.csv', text);
  expect(records()).toEqual([{ a: '2', b: 'tea' }]);
  const bytes = Buffer.from(refused[0]?.payload_base64 ?? '', 'base64');
  expect(bytes).toEqual(Buffer.from('1,caf\u00e9\n', 'latin1'));
  expect(refusals(refused)).toEqual([
    'unreadable_record: line 2: field 2 is not UTF-8; save the file as UTF-8 and upload it again',
  ]);
  expect(logged.find(({ event }) => event === 'upload_refused')).toMatchObject({
    severity: 'WARNING',
    fields: { refused: 1, reason: expect.stringContaining('field 2 is not UTF-8') },
  });
});

const UTF16 = Buffer.from('pid,name\nP1,x\n', 'utf16le');

test.each([
  ['UTF-16', 'a.csv', Buffer.concat([Buffer.from([0xff, 0xfe]), UTF16]), /is UTF-16; save it as/],
  ['UTF-16 without a mark', 'a.ndjson', UTF16, /is UTF-16; save it as/],
  ['packed UTF-16', 'a.csv.gz', gzipSync(UTF16), /is UTF-16; save it as/],
  ['a workbook', 'a.csv', Buffer.from('PK\u0003\u0004rest'), /zip or an Excel workbook/],
  ['binary', 'a.json', Buffer.from('[1,\u0000 and a text that is long enough]'), /is no text/],
  [
    'binary with zeros',
    'a.json',
    Buffer.concat([Buffer.from('SQL'), Buffer.alloc(900)]),
    /is no text/,
  ],
  ['another ending', 'a.xlsx', Buffer.from('PK'), /ends in none of csv, json, ndjson, jsonl/],
  ['no ending', 'README', Buffer.from('hello'), /ends in none of/],
  ['an empty CSV', 'a.csv', Buffer.from(''), /holds no header/],
  ['a blank CSV', 'a.csv', Buffer.from('\n,,\n'), /holds no header/],
  [
    'a header that is not UTF-8',
    'a.csv',
    Buffer.from('pr\u00e9nom\nx\n', 'latin1'),
    /the header is not UTF-8/,
  ],
  [
    'another delimiter',
    'a.csv',
    Buffer.from('pid;name\nA;x\n'),
    /the header is one column: its fields seem to be separated by ";", and the contract says ","/,
  ],
  ['an empty JSON file', 'a.json', Buffer.from(' \n'), /line 2: the file is empty/],
  ['text for JSON', 'a.json', Buffer.from('"just text"'), /neither a JSON array nor JSON objects/],
])('%s ends as one refused line that says why', async (_what, name, bytes, why) => {
  const { good, refused, manifest, objects } = await landedOf(name, bytes);
  expect(good).toEqual([]);
  expect(refusals(refused)).toEqual([expect.stringMatching(why)]);
  expect(manifest).toMatchObject({ records: 1, upload: { refused: 1 } });
  const original = await objects.read('bronze', manifest.upload?.original.name ?? '');
  expect(original?.bytes).toEqual(Buffer.from(bytes));
});

test('a JSON array is cut into the texts of its elements, byte for byte', async () => {
  const elements = [
    '{"pid":"A","price":1.10,"big":12345678901234567890}',
    '{ "pid" : "\\u0042]}\\"[{",\n "list":[1, [2,3], {"x":"}"}] }',
    '12e-3',
    '"text, ] \\\\"',
    'null',
    '[]',
  ];
  const { good, refused } = await landedOf('a.json', `\n [${elements.join(' ,\n')}\n]\n`);
  expect(good.map(({ payload }) => payload)).toEqual(elements);
  expect(good.map(({ meta }) => meta.line)).toEqual([2, 3, 5, 6, 7, 8]);
  expect(refused).toEqual([]);
});

test('a JSON file without an array is read as its objects one after another', async () => {
  const { good, refused } = await landedOf('a.json', '{\n "pid": "A"\n}\n{"pid":"B"}{"pid":"C"}');
  expect(good.map(({ payload }) => payload)).toEqual([
    '{\n "pid": "A"\n}',
    '{"pid":"B"}',
    '{"pid":"C"}',
  ]);
  expect(refused).toEqual([]);
});

test.each([
  [
    'cut in an element',
    '[{"a":1},{"a":',
    1,
    'line 1: the file ends inside the element that begins here',
  ],
  ['cut after a comma', '[{"a":1},\n', 1, 'line 2: the file ends before its array does'],
  ['cut in a number', '[1,2', 1, 'line 1: the file ends inside the element that begins here'],
  [
    'without a comma',
    '[{"a":1} {"a":2}]',
    1,
    'line 1: a comma or the end of the array was expected; the 8 bytes from there on are refused',
  ],
  [
    'with two commas',
    '[1,,2]',
    1,
    'line 1: an element was expected; the 3 bytes from there on are refused',
  ],
  [
    'with text behind it',
    '[1]\nx',
    1,
    'line 2: nothing was expected behind the array; the 1 bytes from there on are refused',
  ],
])(
  'a JSON array %s: what stands before is landed, the rest is refused',
  async (_how, text, whole, why) => {
    const { good, refused } = await landedOf('a.json', text);
    expect(good).toHaveLength(whole);
    expect(refusals(refused)).toEqual([`torn_file: ${why}`]);
  },
);

test('NDJSON: lines as they are, blank ones left out', async () => {
  const { good, manifest } = await landedOf(
    'a.jsonl',
    '{"a":1.0}\r\n\n  \n{"a": "x\\n"}\nnot json',
  );
  expect(good.map(({ payload, meta }) => [meta.line, payload])).toEqual([
    [1, '{"a":1.0}'],
    [4, '{"a": "x\\n"}'],
    // Not judged here: Spark refuses it by name.
    [5, 'not json'],
  ]);
  expect(manifest.upload).toMatchObject({ blank: 2 });
});

test('a file told of twice, or by the tick as well, is one run', async () => {
  const inbox = upload();
  const message = await inbox.put(`${FOLDER}/a.ndjson`, '{"pid":"A"}\n');
  await Promise.all([inbox.take(message), inbox.take(message)]);
  const before = inbox.objects.names().filter((name) => name.startsWith('control/'));
  await inbox.take(message);
  inbox.clock.advance(60 * 60_000);
  await inbox.tick();
  expect(await inbox.lines()).toHaveLength(1);
  const [manifest, ...others] = await inbox.manifests();
  expect(others).toEqual([]);
  expect(manifest?.run).toMatch(/^upload-\d+-[0-9a-f]{16}$/);
  expect(before).toHaveLength(2);
});

test('attempts at one file land the same bytes, whenever they run', async () => {
  const inbox = upload();
  const message = await inbox.put(`${FOLDER}/a.csv`, 'pid\nA\nB\n');
  await inbox.take(message);
  const first = await inbox.lines();
  const [run] = await inbox.manifests();
  const stored = await inbox.objects.stat('control', `runs/${FOLDER}/${run?.run}.json`);
  await inbox.objects.remove('control', stored?.name ?? '', {
    ifGeneration: stored?.generation ?? '',
  });
  inbox.clock.advance(3_600_000);
  await inbox.take(message);
  expect(await inbox.lines()).toEqual(first);
});

test('the same name with other content is another run; an old generation that is gone is none', async () => {
  const inbox = upload();
  const first = await inbox.put(`${FOLDER}/a.csv`, 'pid\nA\n');
  await inbox.take(first);
  const second = await inbox.put(`${FOLDER}/a.csv`, 'pid\nB\n');
  const third = await inbox.put(`${FOLDER}/a.csv`, 'pid\nC\n');
  await inbox.take(second);
  await inbox.take(third);
  expect((await inbox.lines()).map(({ payload }) => payload)).toEqual([
    '{"pid":"A"}',
    '{"pid":"C"}',
  ]);
  expect(inbox.events()).toContain('upload_gone');
});

test('a file that was overwritten before it was read is observed when it came', async () => {
  const inbox = upload();
  const name = `${FOLDER}/a.csv`;
  const message = await inbox.put(name, 'pid\nA\n');
  const came = inbox.clock.now();
  const { stat } = inbox.objects;
  // Another generation is there now; the versioned bucket still has the one that is spoken of.
  Object.assign(inbox.objects, {
    stat: async (bucket: string, of: string) => {
      const there = await stat(bucket, of);
      const other = bucket === 'inbox' && there !== null;
      return other ? { ...there, generation: '999', updated: came + 5_000 } : there;
    },
  });
  inbox.clock.advance(60_000);
  await inbox.take(message);
  expect((await inbox.lines()).map(({ observed_at }) => observed_at)).toEqual([
    new Date(came).toISOString(),
  ]);
});

test.each([
  `${FOLDER}/`,
  'commerce/',
  `${FOLDER}/_done/a.csv`,
  `${FOLDER}/.DS_Store`,
  '_tmp/a.csv',
])('%s is nobody’s file and left alone', async (name) => {
  const inbox = upload();
  await inbox.take(await inbox.put(name, 'pid\nA\n'));
  inbox.clock.advance(3_600_000);
  await inbox.tick();
  expect(inbox.logged).toEqual([]);
  expect(inbox.objects.names()).toEqual([`inbox/${name}`, 'control/uploads/edge.json'].sort());
});

test('a notification of another kind is left alone', async () => {
  const inbox = upload();
  const message = await inbox.put(`${FOLDER}/a.csv`, 'pid\nA\n');
  await inbox.take({
    ...message,
    attributes: { ...message.attributes, eventType: 'OBJECT_DELETE' },
  });
  expect(inbox.objects.names()).toHaveLength(1);
});

test.each([
  'a.csv',
  'commerce/a.csv',
  'commerce/unknown/a.csv',
  'email/contacts/a.csv',
  'x/constructor/a.csv',
])('%s names no source that takes files: written down and said once', async (name) => {
  const inbox = upload();
  const message = await inbox.put(name, 'pid\nA\n');
  await inbox.take(message);
  await inbox.take(message);
  inbox.clock.advance(3_600_000);
  await inbox.tick();
  expect(await inbox.manifests()).toEqual([]);
  expect(inbox.events()).toEqual(['upload_misplaced']);
  const run = uploadRun('inbox', name, message.attributes['objectGeneration'] ?? '');
  const note = await inbox.objects.read('control', `uploads/misplaced/${run}.json`);
  expect(JSON.parse(String(note?.bytes))).toMatchObject({
    file: name,
    reason: expect.stringMatching(/put it under .*commerce\/flipkart_products\//),
  });
});

test('the tick takes in what nobody was told of, when it is old enough, and then looks no further back', async () => {
  const inbox = upload();
  await inbox.put(`${FOLDER}/old.csv`, 'pid\nA\n');
  inbox.clock.advance(11 * 60_000);
  await inbox.put(`${FOLDER}/young.csv`, 'pid\nB\n');
  // Younger than the edge that this tick moves to: it must be found again all the same.
  inbox.clock.advance(60_000);
  await inbox.tick();
  expect((await inbox.lines()).map(({ payload }) => payload)).toEqual(['{"pid":"A"}']);
  inbox.clock.advance(11 * 60_000);
  await inbox.tick();
  expect(await inbox.lines()).toHaveLength(2);

  inbox.clock.advance(3 * 3_600_000);
  await inbox.tick();
  const looked: string[] = [];
  const { stat } = inbox.objects;
  Object.assign(inbox.objects, {
    stat: (bucket: string, name: string) => {
      looked.push(name);
      return stat(bucket, name);
    },
  });
  await inbox.put(`${FOLDER}/late.csv`, 'pid\nC\n');
  looked.length = 0;
  inbox.clock.advance(11 * 60_000);
  await inbox.tick();
  expect(await inbox.lines()).toHaveLength(3);
  expect(looked.filter((name) => name.startsWith('runs/'))).toHaveLength(1);
});

test('a tick gets on with a flood of files even where it has no time for all of them', async () => {
  const inbox = upload();
  for (let n = 0; n < 130; n += 1) {
    await inbox.put(`${FOLDER}/${String(n).padStart(3, '0')}.csv`, `pid\n${n}\n`);
    inbox.clock.advance(1_000);
  }
  inbox.clock.advance(4 * 3_600_000);
  // Each look takes two seconds, so that a tick's minute is over before fifty files are looked up.
  const { stat } = inbox.objects;
  Object.assign(inbox.objects, {
    stat: (bucket: string, name: string) => {
      if (name.startsWith('runs/')) inbox.clock.advance(2_000);
      return stat(bucket, name);
    },
  });
  const edges: string[] = [];
  for (let tick = 0; tick < 200 && (await inbox.lines()).length < 130; tick += 1) {
    await inbox.tick();
    const edge = await inbox.objects.read('control', 'uploads/edge.json');
    edges.push(String(edge?.bytes));
  }
  expect(await inbox.lines()).toHaveLength(130);
  expect([...edges].sort()).toEqual(edges);
});

test('a file whose reading fails keeps the edge where it is, and the others are taken in', async () => {
  const inbox = upload();
  await inbox.put(`${FOLDER}/a.csv`, 'pid\nA\n');
  await inbox.put(`${FOLDER}/b.csv`, 'pid\nB\n');
  inbox.clock.advance(3 * 3_600_000);
  const { stream } = inbox.objects;
  Object.assign(inbox.objects, {
    stream: async (bucket: string, name: string, generation: string) => {
      const pieces = await stream(bucket, name, generation);
      if (!name.endsWith('a.csv')) return pieces;
      return (async function* () {
        yield Buffer.from('pid\n');
        throw new Error('socket hang up');
      })();
    },
  });
  await inbox.tick();
  expect(inbox.events()).toEqual([
    'upload_resumed',
    'upload_stopped',
    'upload_resumed',
    'upload_landed',
  ]);
  Object.assign(inbox.objects, { stream });
  inbox.clock.advance(3 * 3_600_000);
  await inbox.tick();
  expect((await inbox.lines()).map(({ payload }) => payload).sort()).toEqual([
    '{"pid":"A"}',
    '{"pid":"B"}',
  ]);
});

test.each([
  ['fails', new Error('socket hang up')],
  ['ends early', null],
])('a download that %s is tried again, never taken for a torn file', async (_how, failure) => {
  const inbox = upload();
  const message = await inbox.put(`${FOLDER}/a.csv.gz`, gzipSync('pid\nA\nB\n'));
  const { stream } = inbox.objects;
  Object.assign(inbox.objects, {
    stream: async () =>
      (async function* () {
        yield gzipSync('pid\nA\nB\n').subarray(0, 20);
        if (failure !== null) throw failure;
      })(),
  });
  await expect(inbox.take(message)).rejects.toMatchObject({
    name: 'Transient',
    code: 'download_cut',
  });
  expect(await inbox.manifests()).toEqual([]);
  Object.assign(inbox.objects, { stream });
  await inbox.take(message);
  expect(await inbox.lines()).toHaveLength(2);
});

test('a file that takes longer than a call may ends with its rest refused, not in a retry', async () => {
  const inbox = upload();
  let ended = false;
  const rows = Array.from({ length: 2_000 }, (_, i) => `P${i},x\n`).join('');
  const message = await inbox.put(`${FOLDER}/a.csv`, `pid,a\n${rows}`);
  const { stream } = inbox.objects;
  Object.assign(inbox.objects, {
    stream: async (bucket: string, name: string, generation: string) => {
      const pieces = (await stream(bucket, name, generation)) ?? [];
      return (async function* () {
        try {
          for await (const piece of pieces) {
            inbox.clock.advance(60_000);
            yield piece;
          }
        } finally {
          ended = true;
        }
      })();
    },
  });
  await inbox.take(message);
  const lines = await inbox.lines();
  expect(refusals(lines.slice(-1))).toEqual([expect.stringContaining('cut it into smaller ones')]);
  expect(ended).toBe(true);
  expect(lines.length).toBeGreaterThan(500);
  expect(lines.length).toBeLessThan(1_500);
});
