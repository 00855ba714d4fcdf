import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { emptyCheckpoint, type Window } from '../../../functions/checkpoint.ts';
import { postgresDatabase } from '../../../functions/clients/postgres.ts';
import { classified, Permanent, type Transient } from '../../../functions/errors.ts';
import {
  fieldsOf,
  gathered,
  type Rows,
  readable,
} from '../../../functions/readers/postgres_rows.ts';
import { postgresTable } from '../../../functions/readers/postgres_table.ts';
import type { Page, ReadContext } from '../../../functions/readers/reader.ts';
import {
  asAdmin,
  READER,
  type RunningPostgres,
  startPostgres,
} from '../../../local/outside/postgres/server.ts';
import type {
  PostgresTableArrival,
  SourceColumn,
  SourceContract,
} from '../../../schemas/contract.ts';
import { catalog } from '../../../schemas/rendered/catalog.ts';
import { memoryObjects, readWindow } from './virtual_world.ts';

const cases = resolve(import.meta.dirname, '../../cases/postgres/every_type');
const iso = (ms: number): string => new Date(ms).toISOString();

let folder: string;
let server: RunningPostgres;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postgres-'));
  server = await startPostgres({ folder });
}, 60_000);
afterAll(async () => {
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});

const sql = (text: string) => asAdmin(server.adminUrl, (admin) => admin.query(text));

type Columns = Readonly<Record<string, Omit<SourceColumn, 'about'>>>;

/** A source that exists only here, with a clock that a test may move. */
function sourceOf(
  table: string,
  columns: Columns,
  settings: Partial<PostgresTableArrival> = {},
  contract: Partial<SourceContract> = {},
) {
  const name = `test.${table.replace(/\W/g, '_').toLowerCase()}`;
  const arrival: PostgresTableArrival = {
    ...{ kind: 'postgres_table', schedule: '*/30 * * * *', database: 'shop', table },
    ...{ primary_key: ['id'], overlap_minutes: 0, full_every_hours: 24, ...settings },
  };
  const whole: SourceContract = {
    ...{ about: 'A table', owner: 'tests', arrives: arrival, records: null, key: ['id'] },
    ...{ version: 'observed_at', bounds: { earliest: '1970-01-01', days_ahead: 2 }, ...contract },
    columns: Object.fromEntries(
      Object.entries(columns).map(([column, read]) => [column, { ...read, about: column }]),
    ),
  };
  (catalog.sources as Record<string, SourceContract>)[name] = whole;
  const clock = { skew: 0, now: () => Date.now() + clock.skew, sleep: async () => undefined };
  const objects = memoryObjects(clock);
  const database = { url: server.url, deadline: Number.MAX_SAFE_INTEGER };
  const world = { clock, objects, postgres: postgresDatabase({ secret: 'shop-database-url' }) };
  const context = (): ReadContext<PostgresTableArrival> => ({
    ...{ world: world as unknown as ReadContext<PostgresTableArrival>['world'], arrival },
    ...{ domain: 'test', source: name.slice('test.'.length), controlBucket: 'control' },
    ...{ baseUrl: '', token: async () => database.url, deadline: database.deadline },
    budget: { take: async () => undefined, learn: () => undefined },
  });
  return { arrival, clock, objects, database, context };
}
type Source = ReturnType<typeof sourceOf>;

const keyed: Columns = {
  id: { type: 'STRING', required: true },
  text: { type: 'STRING' },
  is_deleted: { type: 'BOOL', from: '_deleted' },
};
const withDeletions = { deleted: 'is_deleted' } as const;

let lastInstant = 0;
/** An instant that no window ended at yet. */
const now = (): string => {
  lastInstant = Math.max(lastInstant + 1, Date.now());
  return iso(lastInstant);
};
const full = (to = now()): Window => ({ pass: 'full', from: iso(0), to });
const changed = (from: string, to = now()): Window => ({ pass: 'changed', from, to });

interface Seen {
  readonly key: string;
  readonly deleted: boolean;
  /** The row as COPY wrote it, without the key. */
  readonly rest: string;
  readonly at: number;
}

const seenIn = (pages: readonly Page[]): readonly Seen[] =>
  pages.flatMap((page) => {
    if (page.records === 0) return [];
    expect(page.meta['format']).toBe('copy');
    const columns = page.meta['columns'] as readonly string[];
    const lines = page.payload.toString().split('\n');
    expect(lines.pop()).toBe('');
    expect(lines.length).toBe(page.records);
    return lines.map((line) => {
      const [key = '', ...rest] = line.split('\t');
      if (rest.length !== columns.length - 1) throw new Error(`not ${columns.length}: ${line}`);
      const deleted = columns.includes('_deleted');
      return { key, deleted, rest: rest.join('\t'), at: page.askedAt ?? Number.NaN };
    });
  });

/** Reads a window whole, landing at most `pieces` pages at a time. */
async function read(
  source: Source,
  window: Window,
  options: { readonly pieces?: number; readonly between?: () => Promise<unknown> } = {},
) {
  const pages: Page[] = [];
  let runs = 0;
  for (let left: Window | null = window; left !== null; runs += 1) {
    if (runs > 0) await options.between?.();
    const piece: Awaited<ReturnType<typeof readWindow>> = await readWindow(
      postgresTable,
      left,
      source.context(),
      options.pieces,
    );
    pages.push(...piece.pages);
    expect(piece.remaining).not.toEqual(left);
    left = piece.remaining;
  }
  return { pages, runs, seen: seenIn(pages) };
}

const keys = (seen: readonly Seen[]): readonly string[] =>
  seen.filter(({ deleted }) => !deleted).map(({ key }) => key);
const gone = (seen: readonly Seen[]): readonly string[] =>
  seen.filter(({ deleted }) => deleted).map(({ key }) => key);

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
    const password = new URL(server.url).password;
    const at = async (url: string) => {
      source.database.url = url;
      const error = await failure(source);
      expect(error.message).toContain('the secret shop-database-url');
      expect(error.message).not.toContain(password);
      expect(error.message).not.toContain('wrong-password');
      return [error.name, error.code];
    };
    const { url } = server;
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
    expect(reads.filter((name) => name.includes('/seen/')).length).toBeLessThan(parts.length + 1);
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

describe('rows as they come', () => {
  const collect = async (pieces: readonly Buffer[]): Promise<readonly Rows[]> => {
    const found: Rows[] = [];
    for await (const rows of gathered(
      (async function* () {
        yield* pieces;
      })(),
      null,
    ))
      found.push(rows);
    return found;
  };

  test('are whole, however they are cut on the way', async () => {
    const bytes = Buffer.from('a\t1\nbb\t\\N\n\nlast\té\n');
    for (let size = 1; size <= bytes.length; size += 1) {
      const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, n) =>
        bytes.subarray(n * size, (n + 1) * size),
      );
      const [rows, ...more] = await collect(pieces);
      expect(more).toEqual([]);
      expect(rows).toEqual({ payload: bytes, records: 4, last: Buffer.from('last\té') });
    }
  });

  test('that are not UTF-8 stand alone', async () => {
    const bytes = Buffer.from('1\tok\n2\tbad: \xff\n3\tok\n4\tok\n', 'latin1');
    const [rows] = await collect([bytes]);
    expect(
      [...readable(rows as Rows)].map(({ payload, records }) => [
        payload.toString('latin1'),
        records,
      ]),
    ).toEqual([
      ['1\tok\n', 1],
      ['2\tbad: \xff\n', 1],
      ['3\tok\n4\tok\n', 2],
    ]);
  });

  test('too large to be held are refused before they are held', async () => {
    const pieces = Array.from({ length: 66 }, () => Buffer.alloc(1 << 20, 'x'));
    await expect(collect(pieces)).rejects.toMatchObject({ code: 'database_row_too_large' });
  });
});

describe('deletions', () => {
  const make = (table: string, cursor = false) =>
    sql(`CREATE TABLE ${table} (id text PRIMARY KEY, text text
    ${cursor ? ', updated_at timestamptz NOT NULL DEFAULT clock_timestamp()' : ''});
    INSERT INTO ${table} SELECT 'k' || lpad(n::text, 4, '0'), 'a' FROM generate_series(1, 1000) n`);

  test('are told once, again when a compare is repeated, and never of rows that moved or came meanwhile', async () => {
    await make('shrinking');
    const source = sourceOf('shrinking', keyed, {}, withDeletions);
    expect(gone((await read(source, full())).seen)).toEqual([]);
    await sql("DELETE FROM shrinking WHERE id IN ('k0001', 'k0500', 'k1000')");
    const window = full();
    // The deadline has passed: a piece is a page.
    source.database.deadline = 0;
    let step = 0;
    const second = await read(source, window, {
      pieces: 1,
      between: async () => {
        step += 1;
        if (step === 1) {
          await sql(`INSERT INTO shrinking VALUES ('k0001', 'again'), ('a new one', 'b');
            UPDATE shrinking SET id = 'a moved one' WHERE id = 'k0700'`);
        }
      },
    });
    expect(second.runs).toBeGreaterThan(1);
    // The moved one's old key is gone; its new one lies behind what had been read.
    expect([...gone(second.seen)].sort()).toEqual(['k0500', 'k0700', 'k1000']);
    const repeated = await read(source, window);
    expect([...gone(repeated.seen)].sort()).toEqual(['k0500', 'k0700', 'k1000']);
    const third = await read(source, full());
    // The second compare had met this one before it went.
    expect(gone(third.seen)).toEqual(['k0700']);
    expect(keys(third.seen)).toContain('a moved one');
    expect(keys(third.seen).length).toBe(999);
    await sql('TRUNCATE shrinking');
    expect(gone((await read(source, full())).seen).length).toBe(999);
  });

  test('of rows that were only ever met between two compares are told too', async () => {
    await make('between', true);
    const source = sourceOf('between', keyed, { cursor: 'updated_at' }, withDeletions);
    const first = full();
    await read(source, first);
    await sql("INSERT INTO between VALUES ('short-lived\\n', 'x')");
    const next = changed(first.to);
    expect(keys((await read(source, next)).seen)).toEqual(['short-lived\\\\n']);
    await sql("DELETE FROM between WHERE id LIKE 'short%'");
    const second = await read(source, full());
    expect(gone(second.seen)).toEqual(['short-lived\\\\n']);
    expect(gone((await read(source, full())).seen)).toEqual([]);
  });

  test('what compares kept does not pile up', async () => {
    await make('kept');
    const source = sourceOf('kept', keyed, {}, withDeletions);
    for (let n = 0; n < 6; n += 1) {
      await sql(`DELETE FROM kept WHERE id = 'k000${n + 1}'`);
      expect(gone((await read(source, full())).seen).length).toBe(n === 0 ? 0 : 1);
    }
    // Three compares, the keys of each, and since when others ran during the last one.
    expect(source.objects.names().length).toBe(7);
  });
});

describe('changes', () => {
  const columns: Columns = { id: { type: 'STRING' }, text: { type: 'STRING' } };
  const settings = { cursor: 'updated_at' };
  const make = (table: string) =>
    sql(`CREATE TABLE ${table} (id text PRIMARY KEY, text text,
      updated_at timestamptz DEFAULT now());
    INSERT INTO ${table} VALUES ('old', 'a', now() - interval '1 hour')`);

  test.each([
    ['the role may see since when others run', `GRANT pg_read_all_stats TO ${READER}`, 'stats'],
    ['the role may only SELECT', `REVOKE pg_read_all_stats FROM ${READER}`, 'plain'],
  ])('of transactions longer than any overlap are found: %s', async (_, right, name) => {
    await sql(right);
    const table = `late_${name}`;
    await make(table);
    const source = sourceOf(table, columns, settings);
    const [wrote, onlyBegan] = [new Client(server.adminUrl), new Client(server.adminUrl)];
    await Promise.all([wrote.connect(), onlyBegan.connect()]);
    try {
      await wrote.query(`BEGIN; INSERT INTO ${table} VALUES ('uncommitted', 'b')`);
      // Has no transaction number yet, but its time of change is already decided.
      await onlyBegan.query('BEGIN; SELECT now()');
      const first = full();
      expect(keys((await read(source, first)).seen)).toEqual(['old']);
      await sql(`INSERT INTO ${table} VALUES ('new', 'c')`);
      const second = changed(first.to);
      expect(keys((await read(source, second)).seen)).toEqual(['new']);
      await onlyBegan.query(
        `UPDATE ${table} SET text = 'd', updated_at = now() WHERE id = 'old'; COMMIT`,
      );
      await wrote.query('COMMIT');
      const third = changed(second.to);
      expect([...keys((await read(source, third)).seen)].sort()).toEqual(
        expect.arrayContaining(['old', 'uncommitted']),
      );
      const fourth = changed(third.to);
      expect(keys((await read(source, fourth)).seen)).toEqual([]);
    } finally {
      await Promise.all([wrote.end(), onlyBegan.end()]);
      await sql(`REVOKE pg_read_all_stats FROM ${READER}`);
    }
  });

  test('a row without a time of change is found by its transaction, or by the next compare', async () => {
    await make('timeless');
    const source = sourceOf('timeless', columns, settings);
    const first = full();
    await read(source, first);
    await sql("INSERT INTO timeless VALUES ('when?', 'b', NULL)");
    expect(keys((await read(source, changed(first.to))).seen)).toEqual(['when?']);
  });

  test('of a partitioned table are found in every partition', async () => {
    await sql(`CREATE TABLE parted (id text, text text, updated_at timestamptz DEFAULT now(), PRIMARY KEY (id))
        PARTITION BY RANGE (id);
      CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM ('a') TO ('m');
      CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM ('m') TO ('z');
      INSERT INTO parted VALUES ('b', ''), ('n', '')`);
    const source = sourceOf('parted', keyed, settings, withDeletions);
    const first = full();
    expect(keys((await read(source, first)).seen)).toEqual(['b', 'n']);
    await sql(
      "UPDATE parted SET text = 'x', updated_at = '2020-01-01' WHERE id = 'n'; DELETE FROM parted WHERE id = 'b'",
    );
    expect(keys((await read(source, changed(first.to))).seen)).toEqual(['n']);
    expect(gone((await read(source, full())).seen)).toEqual(['b']);
  });

  test('a window whose beginning nobody wrote down reads everything', async () => {
    await make('forgotten');
    await sql("INSERT INTO forgotten VALUES ('when?', 'b', NULL)");
    const source = sourceOf('forgotten', columns, settings);
    const first = changed(now());
    expect(keys((await read(source, first)).seen)).toEqual(['old', 'when?']);
    // Between two beginnings that were written down, the earlier one counts.
    await sql("INSERT INTO forgotten VALUES ('new', 'b')");
    expect(keys((await read(source, changed(now()))).seen)).toEqual(['new']);
  });

  test.each(['timestamp', 'date'])('are found by a cursor that is a %s, in UTC', async (type) => {
    const table = `by_${type}`;
    await sql(`CREATE TABLE ${table} (id text PRIMARY KEY, text text, at ${type} NOT NULL);
      INSERT INTO ${table} VALUES ('old', 'a', '2026-01-01')`);
    const source = sourceOf(table, columns, { cursor: 'at', overlap_minutes: 5 });
    const first = full();
    await read(source, first);
    await sql(`INSERT INTO ${table} VALUES ('new', 'b', now() AT TIME ZONE 'UTC')`);
    expect(keys((await read(source, changed(first.to))).seen)).toEqual(['new']);
    await sql(`GRANT pg_read_all_stats TO ${READER}`);
    const third = changed(now());
    await read(source, third);
    await sql(`INSERT INTO ${table} VALUES ('newer', 'b', now() AT TIME ZONE 'UTC')`);
    expect(keys((await read(source, changed(third.to))).seen)).toContain('newer');
    await sql(`REVOKE pg_read_all_stats FROM ${READER}`);
  });

  test('a range that a person asks for is read by the time of change', async () => {
    await make('ranged');
    const source = sourceOf('ranged', columns, settings);
    await sql(
      "INSERT INTO ranged VALUES ('then', 'b', '2020-01-01 00:00:00+00'), ('end', 'b', '2020-01-02 00:00:00+00')",
    );
    const [window] = postgresTable.range('2020-01-01', '2020-01-02', 'backfill-1', source.arrival);
    expect(keys((await read(source, window as Window)).seen)).toEqual(['then']);
  });

  test('windows follow one another; without a cursor each is a full compare, one at a time', () => {
    const source = sourceOf('planned', columns, settings);
    const at = Date.parse('2026-11-20T12:00:00.000Z');
    const HOUR = 3_600_000;
    const empty = emptyCheckpoint('test', 'planned');
    const plan = (
      edges: Readonly<Record<string, string>>,
      time: number,
      open: readonly Window[] = [],
    ) => postgresTable.plan({ ...empty, edges, open }, time, source.arrival);
    const first = plan({}, at);
    expect(first.windows).toEqual([{ pass: 'full', from: iso(0), to: iso(at) }]);
    expect(first.edges).toEqual({ full: iso(at), changed: iso(at) });
    expect(plan(first.edges, at + HOUR).windows).toEqual([
      { pass: 'changed', from: iso(at), to: iso(at + HOUR) },
    ]);
    const day = at + 24 * HOUR;
    expect(plan(first.edges, day).windows.map(({ pass }) => pass)).toEqual(['full', 'changed']);
    expect(plan(first.edges, day, first.windows).windows.map(({ pass }) => pass)).toEqual([
      'changed',
    ]);
    const behind = [...first.windows, changed(iso(at), iso(at + HOUR))];
    expect(plan(first.edges, day, behind)).toEqual({ windows: [], edges: {} });
    const { cursor: _, ...without } = source.arrival;
    const next = postgresTable.plan({ ...empty, edges: { full: iso(at) } }, at + 1_000, without);
    expect(next).toEqual({
      windows: [{ pass: 'full', from: iso(at), to: iso(at + 1_000) }],
      edges: { full: iso(at + 1_000) },
    });
  });
});

test('while others insert, update and delete all the time, both sides are equal once they rest', async () => {
  await sql(`CREATE TABLE busy (id int PRIMARY KEY, text text, updated_at timestamptz DEFAULT now());
    INSERT INTO busy SELECT n, 'first' FROM generate_series(1, 3000) n`);
  const source = sourceOf('busy', keyed, { cursor: 'updated_at' }, withDeletions);
  const newest = new Map<string, Seen>();
  const take = (seen: readonly Seen[]): void => {
    for (const one of seen) if (one.at >= (newest.get(one.key)?.at ?? 0)) newest.set(one.key, one);
  };
  let writing = true;
  let statements = 0;
  const writer = async (seed: number): Promise<void> => {
    let state = seed;
    const below = (end: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return Math.floor((state / 2 ** 32) * end);
    };
    await asAdmin(server.adminUrl, async (admin) => {
      while (writing) {
        // Writers keep to rows of their own rest, so that none waits for the other; they overlap.
        await admin.query('BEGIN');
        for (let n = below(12); n >= 0; n -= 1) {
          const id = below(2_000) * 3 + seed;
          const kind = below(4);
          if (kind === 0) await admin.query('DELETE FROM busy WHERE id = $1', [id]);
          else {
            await admin.query(
              `INSERT INTO busy VALUES ($1, $2) ON CONFLICT (id) DO UPDATE
               SET text = excluded.text, updated_at = now()`,
              [id, `t\t${below(1e9)}\n`],
            );
          }
          statements += 1;
        }
        await admin.query(below(5) === 0 ? 'ROLLBACK' : 'COMMIT');
      }
    });
  };
  const writers = [0, 1, 2].map(writer);
  const windows = [full()];
  const beginnings = [windows[0] as Window];
  for (let pull = 0; pull < 12; pull += 1) {
    take((await read(source, windows.shift() as Window)).seen);
    const next = changed((beginnings.at(-1) as Window).to);
    beginnings.push(next);
    windows.push(next);
    if (pull % 5 === 4) take((await read(source, full(), { pieces: 1 })).seen);
  }
  writing = false;
  await Promise.all(writers);
  expect(statements).toBeGreaterThan(300);
  take((await read(source, windows.shift() as Window)).seen);
  const theirs = await sql(`SELECT count(*)::int AS count,
      md5(string_agg(id || ' ' || updated_at || ' ' || text, '' ORDER BY id)) AS sum FROM busy`);
  const { rows } = await sql('SELECT id::text FROM busy');
  const alive = new Set(rows.map((row: { id: string }) => row.id));
  const ours = (only: (key: string) => boolean) => {
    const live = [...newest.values()].filter(({ key, deleted }) => !deleted && only(key));
    live.sort((a, b) => Number(a.key) - Number(b.key));
    const sum = createHash('md5');
    for (const { key, rest } of live) {
      const [changedAt, text] = fieldsOf(Buffer.from(rest), 2);
      sum.update(`${key} ${changedAt} ${text}`);
    }
    return { count: live.length, sum: sum.digest('hex') };
  };
  // The changes alone have brought every row that is there, as it is; what is gone takes a compare.
  expect(ours((key) => alive.has(key))).toEqual(theirs.rows[0]);
  take((await read(source, full())).seen);
  expect(ours(() => true)).toEqual(theirs.rows[0]);
}, 60_000);
