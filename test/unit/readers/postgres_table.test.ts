import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { classified, Permanent, type Transient } from '../../../functions/errors.ts';
import { fieldsOf } from '../../../functions/readers/postgres_rows.ts';
import { postgresTable } from '../../../functions/readers/postgres_table.ts';
import type { Page } from '../../../functions/readers/reader.ts';
import type { Window } from '../../../functions/window.ts';
import { READER } from '../../../local/outside/postgres/server.ts';
import type { PostgresTableArrival, SourceContract } from '../../../schemas/contract.ts';
import {
  type Columns,
  full,
  gone,
  keyed,
  postgresWorld,
  read,
  type Source,
  withDeletions,
} from './postgres_world.ts';

const cases = resolve(import.meta.dirname, '../../cases/postgres/every_type');
const world = postgresWorld();
const { sql, sourceOf } = world;

const failure = async (source: Source, window = full()): Promise<Permanent | Transient> =>
  read(source, window).then(
    () => expect.unreachable('it was read'),
    (error: unknown) => classified(error),
  );

test('a row of every type comes as the text that Spark reads', async () => {
  await sql(await readFile(join(cases, 'table.sql'), 'utf8'));
  const contract = JSON.parse(await readFile(join(cases, 'source.json'), 'utf8')) as SourceContract;
  const arrival = contract.arrives as PostgresTableArrival;
  const source = sourceOf(arrival.table, contract.columns, arrival, contract);
  const { pages } = await read(source, full());
  const [page] = pages;
  expect(page?.payload.toString()).toBe(await readFile(join(cases, 'page.txt'), 'utf8'));
  expect(page?.meta['columns']).toEqual(
    JSON.parse(await readFile(join(cases, 'columns.json'), 'utf8')),
  );
});

describe('what cannot be read is refused by name, and nothing is copied', () => {
  test('columns whose values would change on the way', async () => {
    await sql(`CREATE TABLE prices (id int PRIMARY KEY, m money, n numeric, b bigint, t timestamp,
      a numeric[], r regclass, ms money[], ok text)`);
    const source = sourceOf('prices', {
      id: { type: 'INT64', required: true },
      m: { type: 'STRING' },
      n: { type: 'FLOAT64' },
      b: { type: 'FLOAT64' },
      day: { type: 'DATE', from: 't' },
      a: { type: 'NUMERIC', repeated: true, as: 'json_array' },
      r: { type: 'STRING' },
      ms: { type: 'STRING', repeated: true, as: 'json_array' },
      below: { type: 'STRING', from: 'ok.below' },
      ok: { type: 'STRING' },
    });
    const error = await failure(source);
    expect(error).toBeInstanceOf(Permanent);
    expect(error.code).toBe('database_shape');
    expect(error.message).toMatch(
      /^columns of test\.prices cannot be read from public\.prices: m \(money: .*make it numeric\), n \(numeric does not become FLOAT64 as float without loss\), b \(bigint .*\), day \(timestamp without time zone .*\), a \(numeric\[\] .*\), r \(regclass: .*\), ms \(money\[\]: .*\), below \(text has nothing below it\)$/,
    );
    expect(source.objects.names()).toEqual([]);
  });

  test('a column, a table, a key or a cursor that is not what the contract says', async () => {
    await sql(`CREATE TABLE loose (id int, text text, updated_at text);
      CREATE UNIQUE INDEX ON loose (id);
      CREATE TABLE sound (a int, b int, text text, id int GENERATED ALWAYS AS (a) STORED, PRIMARY KEY (a, b));
      CREATE VIEW seen AS SELECT * FROM sound`);
    expect(await failure(sourceOf('absent', keyed))).toMatchObject({
      code: 'database_missing',
      message: 'the database has no table public.absent, which test.absent names',
    });
    expect(
      await failure(sourceOf('sound', { ...keyed, colour: { type: 'STRING' } })),
    ).toMatchObject({
      code: 'database_shape',
      message:
        "test.sound goes along (id), which is no key of public.sound: it is not unique; the table's primary key is (a,b)",
    });
    expect(
      await failure(
        sourceOf('sound', { ...keyed, colour: { type: 'STRING' } }, { primary_key: ['a', 'b'] }),
      ),
    ).toMatchObject({
      code: 'database_missing',
      message: expect.stringMatching(/has no column colour, .* it has a, b, text, id$/),
    });
    expect(
      await failure(sourceOf('sound', keyed, { primary_key: ['a', 'b'] }, withDeletions)),
    ).toMatchObject({
      code: 'database_shape',
      message: expect.stringMatching(/its key reads id$/),
    });
    expect(await failure(sourceOf('loose', keyed))).toMatchObject({
      code: 'database_shape',
      message: expect.stringMatching(/id may be NULL; the table's primary key is none$/),
    });
    expect(await failure(sourceOf('seen', keyed, { primary_key: ['a'] }))).toMatchObject({
      code: 'database_shape',
      message: expect.stringMatching(/is no table/),
    });
    await sql('ALTER TABLE loose ADD PRIMARY KEY (id)');
    expect(await failure(sourceOf('loose', keyed, { cursor: 'updated_at' }))).toMatchObject({
      code: 'database_shape',
      message: expect.stringMatching(/^the cursor updated_at of public\.loose is text;/),
    });
  });

  test('missing rights name the grant that is missing', async () => {
    await sql(`CREATE TABLE secret (id text PRIMARY KEY, text text);
      REVOKE ALL ON secret FROM ${READER};
      CREATE SCHEMA closed; CREATE TABLE closed.secret (id text PRIMARY KEY, text text);
      CREATE TABLE guarded (id text PRIMARY KEY, text text);
      ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;`);
    expect(await failure(sourceOf('secret', keyed))).toMatchObject({
      code: 'database_refused',
      message: `the role ${READER} may not read public.secret: GRANT SELECT ON "public"."secret" TO "${READER}"`,
    });
    await sql(`GRANT SELECT (id) ON secret TO ${READER}`);
    expect(await failure(sourceOf('secret', keyed))).toMatchObject({
      code: 'database_refused',
      message: expect.stringMatching(/^the role may not read text of public\.secret: GRANT SELECT/),
    });
    expect(await failure(sourceOf('secret', keyed, { schema: 'closed' }))).toMatchObject({
      code: 'database_refused',
      message: expect.stringMatching(/GRANT USAGE ON SCHEMA "closed"/),
    });
    // Rows that a policy hides would look deleted.
    expect(await failure(sourceOf('guarded', keyed))).toMatchObject({
      code: 'database_refused',
      message: expect.stringMatching(/row-level security/),
    });
  });

  test('a secret that does not fit is named; neither it nor its password is told', async () => {
    const source = sourceOf('secret', keyed);
    const password = new URL(world.server.url).password;
    const at = async (url: string) => {
      source.database.url = url;
      const error = await failure(source);
      expect(error.message).toContain('the secret shop-database-url');
      expect(error.message).not.toContain(password);
      expect(error.message).not.toContain('wrong-password');
      return [error.name, error.code];
    };
    const { url } = world.server;
    expect(await at(url.replace(password, 'wrong-password'))).toEqual([
      'Permanent',
      'database_refused',
    ]);
    expect(await at(url.replace('/shop?', '/nowhere?'))).toEqual(['Permanent', 'database_missing']);
    expect(await at(`mysql://a:wrong-password@127.0.0.1/x`)).toEqual(['Permanent', 'database_url']);
    expect(await at(`postgres://a:wrong-password@db.example.com/x`)).toEqual([
      'Permanent',
      'database_url',
    ]);
    // A password that is not encoded; a certificate that is not there; and neither tells the URL.
    for (const odd of ['postgres://a:p#ss/word@127.0.0.1/x', `${url}&sslrootcert=/nowhere.pem`]) {
      expect(await at(odd)).toEqual(['Permanent', 'database_url']);
    }
    expect(await at(url.replace('disable', 'prefer'))).toEqual(['Permanent', 'database_url']);
    expect(await at(url.replace('disable', 'require'))).toEqual(['Permanent', 'database_tls']);
    expect(await at(url.replace(/:\d+\//, ':1/'))).toEqual(['Transient', 'database_unreachable']);
  });
});

describe('all rows', () => {
  const ROWS = 430_000;
  const sum = (seen: readonly string[]) => seen.reduce((total, key) => total + Number(key), 0);
  beforeAll(async () => {
    await sql(`CREATE TABLE many (id int, place text, text text, PRIMARY KEY (place, id));
      INSERT INTO many SELECT n, 'place ' || n % 3, repeat('x', n % 60) FROM generate_series(1, ${ROWS}) n`);
  }, 60_000);
  const columns: Columns = {
    id: { type: 'INT64' },
    place: { type: 'STRING' },
    text: { type: 'STRING' },
  };
  const settings = { primary_key: ['place', 'id'] };

  test('in pages of a megabyte, in chunks, resumed after every page, each once', async () => {
    const source = sourceOf('many', columns, settings, { key: ['place', 'id'] });
    const { pages, runs } = await read(source, full(), { pieces: 1 });
    expect(runs).toBeGreaterThan(10);
    const sizes = pages.filter(({ records }) => records > 0).map(({ payload }) => payload.length);
    expect(Math.max(...sizes)).toBeLessThan(1_100_000);
    const rows = pages.flatMap(({ payload }) =>
      payload
        .toString()
        .split('\n')
        .slice(0, -1)
        .map((line) => fieldsOf(Buffer.from(line), 2)),
    );
    expect(rows.length).toBe(ROWS);
    expect(new Set(rows.map((row) => row.join('/'))).size).toBe(ROWS);
    expect(sum(rows.map(([, id]) => id as string))).toBe((ROWS * (ROWS + 1)) / 2);
  }, 60_000);

  test('with their keys remembered in parts, of which the next compare looks only at changed ones', async () => {
    const source = sourceOf(
      'many',
      { ...columns, is_deleted: { type: 'BOOL', from: '_deleted' } },
      settings,
      { ...withDeletions, key: ['place', 'id'] },
    );
    const first = await read(source, full());
    expect(gone(first.seen)).toEqual([]);
    const parts = source.objects.names().filter((name) => name.includes('/seen/'));
    expect(parts.length).toBeGreaterThan(1);
    await sql("DELETE FROM many WHERE place = 'place 1' AND id IN (4, 400000)");
    const reads: string[] = [];
    const { read: readObject } = source.objects;
    source.objects.read = (bucket, name) => {
      reads.push(name);
      return readObject(bucket, name);
    };
    const second = await read(source, full(), { pieces: 3 });
    const told = second.pages.filter(({ meta }) => meta['observed'] !== undefined);
    expect(told.map(({ meta }) => meta['columns'])).toEqual(
      told.map(() => ['place', 'id', '_deleted']),
    );
    expect(told.map(({ payload }) => payload.toString()).join('')).toBe(
      'place 1\t4\tt\nplace 1\t400000\tt\n',
    );
    // Two of the many keys have gone, from two parts at most.
    const asked = new Set(reads.filter((name) => name.includes('/seen/')));
    expect(asked.size).toBeGreaterThan(0);
    expect(asked.size).toBeLessThan(parts.length);
    expect(asked.size).toBeLessThanOrEqual(2);
  }, 60_000);

  test('what a lost connection leaves unread is read later', async () => {
    const source = sourceOf('many', columns, settings, { key: ['place', 'id'] });
    const pages: Page[] = [];
    let left: Window | null | undefined = full();
    const cut = async (): Promise<void> => {
      for await (const page of postgresTable.pages(left as Window, source.context())) {
        pages.push(page);
        left = page.remaining === undefined ? left : page.remaining;
        if (pages.length === 3) {
          await sql(
            `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '${READER}'`,
          );
        }
      }
    };
    await expect(cut()).rejects.toMatchObject({ name: 'Transient' });
    const before = pages.reduce((total, { records }) => total + records, 0);
    expect(before).toBeLessThan(ROWS - 2);
    const rest = await read(source, left as unknown as Window);
    expect(before + rest.seen.length).toBe(ROWS - 2);
  }, 60_000);
});
