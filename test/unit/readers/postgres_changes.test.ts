/** What changed and what is gone in a table, told whatever else goes on in it. */
import { createHash } from 'node:crypto';
import { Client } from 'pg';
import { describe, expect, test } from 'vitest';
import { emptyCheckpoint } from '../../../functions/checkpoint.ts';
import { fieldsOf } from '../../../functions/readers/postgres_rows.ts';
import { postgresTable } from '../../../functions/readers/postgres_table.ts';
import type { Window } from '../../../functions/window.ts';
import { asAdmin, READER } from '../../../local/outside/postgres/server.ts';
import {
  type Columns,
  changed,
  full,
  gone,
  keyed,
  keys,
  now,
  postgresWorld,
  read,
  type Seen,
  withDeletions,
} from './postgres_world.ts';
import { iso } from './virtual_world.ts';

const world = postgresWorld();
const { sql, sourceOf } = world;

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

  test('of a row that came back and went again, each time unseen, are told by the next compare', async () => {
    await make('come_back');
    const source = sourceOf('come_back', keyed, {}, withDeletions);
    await read(source, full());
    await sql("DELETE FROM come_back WHERE id = 'k0001'");
    source.database.deadline = 0;
    let came = false;
    const second = await read(source, full(), {
      pieces: 1,
      between: async () => {
        // Behind the reading, and before it is asked what has gone.
        if (!came) await sql("INSERT INTO come_back VALUES ('k0001', 'again')");
        came = true;
      },
    });
    expect(came).toBe(true);
    expect(gone(second.seen)).toEqual([]);
    expect(keys(second.seen)).not.toContain('k0001');
    await sql("DELETE FROM come_back WHERE id = 'k0001'");
    expect(gone((await read(source, full())).seen)).toEqual(['k0001']);
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
    const [wrote, onlyBegan] = [
      new Client(world.server.adminUrl),
      new Client(world.server.adminUrl),
    ];
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
    await asAdmin(world.server.adminUrl, async (admin) => {
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
