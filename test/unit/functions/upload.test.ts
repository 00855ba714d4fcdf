/** Uploaded files through the handler into bronze: what is landed, what is refused, and once. */
import { readFileSync } from 'node:fs';
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
    records: good.map(({ payload }) => JSON.parse(payload ?? 'null') as unknown),
    refused: lines.filter(({ meta }) => meta.refused !== undefined),
    manifest: manifest as RunManifest,
  };
}

const refusals = (lines: readonly Line[]) =>
  lines.map(({ meta }) => `${meta.refused?.code}: ${meta.refused?.message}`);

test('a CSV file lands record by record, and the original beside, byte for byte', async () => {
  const text = 'pid,name\r\nP1, "x\r\nP2,"a ""b""\r\nc"\r\n';
  const { records, good, manifest, objects, refused } = await landedOf('a.csv', text);
  expect(records).toEqual([
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
