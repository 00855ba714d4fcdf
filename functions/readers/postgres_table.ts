/**
 * Tables of a PostgreSQL database, copied through snapshots.
 *
 * A `full` window reads all rows in chunks along the primary key, and tells which earlier keys are
 * gone. Between them, for a table with a cursor, `changed` windows read what moved past it. Rows
 * land as COPY's text format, a megabyte a page: `meta.format` is `copy`, `meta.columns` names the
 * columns in order. A deletion is such a row too, of the key and `_deleted` = `t`: seen by absence
 * (docs/decisions, number 6) and asked for once more in a snapshot of its own, so that neither a
 * row inserted meanwhile nor one that moved behind the reading is taken for deleted.
 *
 * A page's time is that of its snapshot. Of two versions of a row the later snapshot's counts, and
 * so contracts take `observed_at` as their version: a transaction that began earlier may commit
 * last, and then the newer row carries the older time of change.
 *
 * Rights: functions/clients/postgres.ts. Codes that stop every window of a source: `database_url`,
 * `database_tls`, `database_refused`, `database_missing`, `database_shape`, `database_query`.
 */
import type { PostgresTableArrival } from '../../schemas/contract.ts';
import { Permanent } from '../errors.ts';
import type { Window } from '../window.ts';
import type { PostgresSession } from '../world.ts';
import { type Horizon, horizonNow, horizons, writtenSince } from './postgres_horizon.ts';
import { type TableKeys, tableKeys } from './postgres_keys.ts';
import { fieldsOf, gathered, keyParts, type Rows, readable, unescaped } from './postgres_rows.ts';
import { DELETED, literal, type Shape, shapeOf } from './postgres_shape.ts';
import type { Page, ReadContext, Reader } from './reader.ts';

type Context = ReadContext<PostgresTableArrival>;

/**
 * Rows asked for at once: few enough that the key's index is used and one statement does not take
 * minutes, many enough that asking costs nothing.
 */
const FIRST_CHUNK_ROWS = 20_000;
const MOST_CHUNK_ROWS = 200_000;
const CHUNK_BYTES = 64 << 20;

/** Keys asked for by one question. */
const KEYS_AT_ONCE = 5_000;

/** As long as a window may stay open and still begin where another ended. */
const HORIZONS_KEPT_MS = 31 * 24 * 3_600_000;

export const postgresTable: Reader<PostgresTableArrival> = {
  parallel: 2,

  plan(checkpoint, now, arrival) {
    const windows: Window[] = [];
    const edges: Record<string, string> = {};
    const full = checkpoint.edges['full'];
    // Without a cursor there is no other way to see what changed.
    const every = arrival.cursor === undefined ? 1 : arrival.full_every_hours * 3_600_000;
    // One that is still open reads up to the present when its turn comes.
    const running = (pass: string): boolean => checkpoint.open.some((open) => open.pass === pass);
    if (!running('full') && (full === undefined || now - Date.parse(full) >= every)) {
      windows.push({ pass: 'full', from: full ?? iso(0), to: iso(now) });
      edges['full'] = iso(now);
    }
    if (arrival.cursor === undefined) return { windows, edges };
    const changed = checkpoint.edges['changed'];
    // The first full compare holds whatever changed before it.
    if (changed === undefined) edges['changed'] = iso(now);
    else if (!running('changed') && now > Date.parse(changed)) {
      windows.push({ pass: 'changed', from: changed, to: iso(now) });
      edges['changed'] = iso(now);
    }
    return { windows, edges };
  },

  range(from, to, pass) {
    return [{ pass, from: iso(Date.parse(from)), to: iso(Date.parse(to)) }];
  },

  async *pages(window, context) {
    const { shape, horizon } = await look(context);
    if (window.pass === 'full') yield* fullCompare(window, context, shape, horizon);
    else if (shape.cursor === null) yield* wholeTable(window, context, shape);
    else if (window.pass === 'changed') yield* changedRows(window, context, shape, horizon);
    else yield* rowsBetween(window, context, shape);
  },
};

const iso = (ms: number): string => new Date(ms).toISOString();

/** Where a window stands: what it reads now, and after which row or part. */
type Position =
  | { readonly at: 'rows' | 'late'; readonly after: readonly string[] | null }
  | { readonly at: 'absent'; readonly after: string };

const positionOf = (window: Window): Position =>
  window.cursor === undefined
    ? { at: 'rows', after: null }
    : (JSON.parse(window.cursor) as Position);

const standingAt = (window: Window, position: Position): Window => ({
  ...window,
  cursor: JSON.stringify(position),
});

/** The table as it is, and what a snapshot taken from now on may not see. */
function look(context: Context): Promise<{ readonly shape: Shape; readonly horizon: Horizon }> {
  return inOne(context, async (session) => ({
    shape: await shapeOf(session, context),
    horizon: await horizonNow(session),
  }));
}

async function inOne<T>(
  context: Context,
  work: (session: PostgresSession) => Promise<T>,
): Promise<T> {
  return context.world.postgres.session(await context.token(), work);
}

/** What `read` yields out of one session, which ends when the reading does. */
async function* within<T>(
  context: Context,
  read: (session: PostgresSession, askedAt: number) => AsyncIterable<T>,
): AsyncGenerator<T> {
  const opened = Promise.withResolvers<PostgresSession>();
  const left = Promise.withResolvers<void>();
  const ended = inOne(context, async (session) => {
    opened.resolve(session);
    await left.promise;
  });
  ended.catch(opened.reject);
  try {
    const session = await opened.promise;
    // Before the first question, which takes the snapshot.
    yield* read(session, context.world.clock.now());
  } finally {
    left.resolve();
    await ended.catch(() => undefined);
  }
}

/** Every row; what was met before and is there no more is gone, and said so. */
async function* fullCompare(
  window: Window,
  context: Context,
  shape: Shape,
  horizon: Horizon,
): AsyncGenerator<Page> {
  const past = horizons(context.world.objects, context);
  await past.remember(window.to, horizon);
  const keys = shape.compared ? tableKeys(context.world, context) : null;
  const remember = (_: number, part: Buffer): Promise<void> | undefined =>
    keys?.remember({ full: true, instant: window.to }, part);
  let position = positionOf(window);
  if (position.at !== 'absent') {
    yield* within(context, (session, askedAt) =>
      rowsOf(
        {
          ...{ window, context, shape, session, askedAt, remember },
          at: 'rows',
          by: shape.key.map(({ name }) => name),
          where: [],
        },
        position.after as readonly string[] | null,
      ),
    );
    await keys?.complete(window.to);
    position = { at: 'absent', after: '' };
    if (keys !== null) yield { ...nothing, remaining: standingAt(window, position) };
  }
  if (keys !== null) {
    const begun = (await past.recall(window.to)) ?? horizon;
    yield* absentRows({ window, context, shape, keys, begun }, position.after as string);
    await keys.forget(window.to);
  }
  // A window that begins at a horizon may wait for long; without a cursor none begins there.
  const limit = Date.parse(window.to) - (shape.cursor === null ? 0 : HORIZONS_KEPT_MS);
  await past.forget(limit);
  yield { ...nothing, remaining: null };
}

/** Every row of a table that cannot say what changed when, because a person asked for it. */
async function* wholeTable(window: Window, context: Context, shape: Shape): AsyncGenerator<Page> {
  const { after } = positionOf(window);
  yield* within(context, (session, askedAt) =>
    rowsOf(
      {
        ...{ window, context, shape, session, askedAt, remember: met(context, shape) },
        at: 'rows',
        by: shape.key.map(({ name }) => name),
        where: [],
      },
      after as readonly string[] | null,
    ),
  );
  yield { ...nothing, remaining: null };
}

/**
 * Rows whose cursor lies within the window, or within the overlap before it, or after it; then, where
 * nobody can say how long transactions ran, rows of those that were unfinished when it began.
 */
async function* changedRows(
  window: Window,
  context: Context,
  shape: Shape,
  horizon: Horizon,
): AsyncGenerator<Page> {
  const past = horizons(context.world.objects, context);
  await past.remember(window.to, horizon);
  const base = await past.recall(window.from);
  const cursor = shape.cursor as string;
  const overlap = context.arrival.overlap_minutes * 60_000;
  const since = base === null ? null : iso(Math.min(base.at, base.since ?? base.at) - overlap);
  const remember = met(context, shape);
  let position = positionOf(window);
  if (position.at === 'rows') {
    const { after } = position;
    yield* within(context, (session, askedAt) =>
      rowsOf(
        {
          ...{ window, context, shape, session, askedAt, remember },
          at: 'rows',
          by: [cursor, ...shape.key.map(({ name }) => name)],
          where: since === null ? [`${cursor} IS NOT NULL`] : [`${cursor} >= ${literal(since)}`],
        },
        after,
      ),
    );
    position = { at: 'late', after: null };
    yield { ...nothing, remaining: standingAt(window, position) };
  }
  if (base === null || base.since === null) {
    const { after } = position;
    yield* within(context, async function* (session, askedAt) {
      const late =
        base === null
          ? [`${cursor} IS NULL`]
          : [
              `(${cursor} < ${literal(since as string)} OR ${cursor} IS NULL)`,
              await writtenSince(session, base, shape.table),
            ];
      yield* rowsOf(
        {
          ...{ window, context, shape, session, askedAt, remember },
          at: 'late',
          by: shape.key.map(({ name }) => name),
          where: late,
        },
        after as readonly string[] | null,
      );
    });
  }
  yield { ...nothing, remaining: null };
}

/** Rows whose cursor lies within a range that a person asked for. */
async function* rowsBetween(window: Window, context: Context, shape: Shape): AsyncGenerator<Page> {
  const cursor = shape.cursor as string;
  const { after } = positionOf(window);
  yield* within(context, (session, askedAt) =>
    rowsOf(
      {
        ...{ window, context, shape, session, askedAt, remember: met(context, shape) },
        at: 'rows',
        by: [cursor, ...shape.key.map(({ name }) => name)],
        where: [`${cursor} >= ${literal(window.from)}`, `${cursor} < ${literal(window.to)}`],
      },
      after as readonly string[] | null,
    ),
  );
  yield { ...nothing, remaining: null };
}

const nothing = { payload: Buffer.alloc(0), records: 0, meta: {} } as const;

type Remember = (askedAt: number, part: Buffer) => Promise<void> | undefined;

/** Keys met beside full compares: the next one asks for them too. */
function met(context: Context, shape: Shape): Remember {
  if (!shape.compared) return () => undefined;
  const keys = tableKeys(context.world, context);
  return (askedAt, part) => keys.remember({ full: false, instant: iso(askedAt) }, part);
}

interface Reading {
  readonly window: Window;
  readonly context: Context;
  readonly shape: Shape;
  readonly session: PostgresSession;
  readonly askedAt: number;
  readonly remember: Remember;
  readonly at: 'rows' | 'late';
  /** Quoted columns, unique together, that the rows are read along. */
  readonly by: readonly string[];
  /** Conditions that all hold. */
  readonly where: readonly string[];
}

/** Rows in chunks along columns, each chunk from where the one before ended. */
async function* rowsOf(reading: Reading, from: readonly string[] | null): AsyncGenerator<Page> {
  const { window, context, shape, session, askedAt, remember, at, by } = reading;
  const meta = { format: 'copy', columns: shape.columns, table: context.arrival.table };
  const parts = shape.compared ? keyParts(shape.key.length) : null;
  const leading = shape.select.slice(0, new Set([...by, ...shape.key.map((k) => k.name)]).size);
  let after = from;
  let unsaved = false;
  let limit = FIRST_CHUNK_ROWS;
  for (let more = true; more; ) {
    let found = 0;
    let size = 0;
    const bytes = session.copy(selection(reading, after, limit));
    for await (const rows of gathered(bytes, parts?.met ?? null)) {
      found += rows.records;
      size += rows.payload.length;
      const fields = fieldsOf(rows.last, leading.length);
      after = by.map((column) => fields[leading.indexOf(column)] as string);
      unsaved = true;
      const late = context.world.clock.now() >= context.deadline;
      const stands = parts === null || parts.isWhole() || late;
      if (stands && parts !== null) await remember(askedAt, parts.take());
      if (stands) unsaved = false;
      const pages = [...readable(rows)];
      for (const [n, page] of pages.entries()) {
        yield {
          ...pageOf(page, meta, askedAt),
          ...(stands && n === pages.length - 1
            ? { remaining: standingAt(window, { at, after }) }
            : {}),
        };
      }
    }
    more = found === limit;
    limit = Math.max(1, Math.min(MOST_CHUNK_ROWS, Math.floor((found * CHUNK_BYTES) / size)));
  }
  if (unsaved && parts !== null) await remember(askedAt, parts.take());
}

const pageOf = (rows: Rows, meta: Page['meta'], askedAt: number): Page => ({
  payload: rows.payload,
  records: rows.records,
  askedAt,
  meta,
});

function selection(
  { shape, by, where }: Reading,
  after: readonly string[] | null,
  limit: number,
): string {
  const conditions =
    after === null ? where : [...where, `${tuple(by)} > ${tuple(after.map(literal))}`];
  return `COPY (SELECT ${shape.select.join(', ')} FROM ${shape.table}${
    conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`
  } ORDER BY ${by.join(', ')} LIMIT ${limit}) TO STDOUT`;
}

/** A row of one is the value itself, for which any index serves. */
const tuple = (values: readonly string[]): string =>
  values.length === 1 ? (values[0] as string) : `(${values.join(', ')})`;

/**
 * Earlier keys that are in no row any more, in the form of rows. A key that is there, but perhaps
 * was not when the rows around it were read, stays known: it may go again before anyone meets it.
 */
async function* absentRows(
  of: {
    readonly window: Window;
    readonly context: Context;
    readonly shape: Shape;
    readonly keys: TableKeys;
    /** From before the first row was read. */
    readonly begun: Horizon;
  },
  from: string,
): AsyncGenerator<Page> {
  const { window, context, shape, keys } = of;
  const parts = (await keys.toCheck(window.to)).filter((part) => part > from);
  if (parts.length === 0) return;
  const meta = {
    format: 'copy',
    columns: [...shape.columns.slice(0, shape.key.length), DELETED],
    table: context.arrival.table,
    observed: 'absent_from_full_compare',
  };
  // A snapshot of its own, younger than any in which one of these keys was met.
  yield* within(context, async function* (session, askedAt) {
    // Each key by the key's index: by default the planner reads the whole table for every question.
    await session.query('SET LOCAL enable_hashjoin = off');
    await session.query('SET LOCAL enable_mergejoin = off');
    const young = await writtenSince(session, of.begun, 't');
    for (const part of parts) {
      const still: Buffer[] = [];
      const lines = (await keys.read(part)).toString().split('\n').slice(0, -1);
      for (let at = 0; at < lines.length; at += KEYS_AT_ONCE) {
        const question = goneOrYoung(shape, lines.slice(at, at + KEYS_AT_ONCE), young);
        for await (const rows of gathered(session.copy(question), null)) {
          const { gone, there } = apart(rows.payload);
          if (gone.records > 0) yield { ...gone, askedAt, meta };
          still.push(there);
        }
      }
      await keys.remember({ full: false, instant: window.to }, Buffer.concat(still));
      yield { ...nothing, remaining: standingAt(window, { at: 'absent', after: part }) };
    }
  });
}

/**
 * Asks which of these keys no row has (`t` behind the key), and which are in a row of which
 * something holds (`f`).
 */
function goneOrYoung({ key, table }: Shape, lines: readonly string[], holds: string): string {
  const names = key.map((_, n) => `k.k${n + 1}`);
  const values = lines.map((line) => {
    const fields = line.split('\t').map((field) => unescaped(field));
    if (fields.length !== key.length || fields.includes(null)) {
      throw new Permanent({
        code: 'database_shape',
        message: `the keys kept of ${table} have not the ${key.length} columns of its key`,
      });
    }
    return `(${fields.map((field) => literal(field as string)).join(',')})`;
  });
  // Of texts that count as equal in the database, each is another one for the contract.
  const same = key.flatMap(({ name, type, isText }, n) => [
    `t.${name} = ${names[n]}::${type}`,
    ...(isText ? [`t.${name}::text COLLATE "C" = ${names[n]}`] : []),
  ]);
  const given = `(VALUES ${values.join(',')}) AS k(${key.map((_, n) => `k${n + 1}`).join(', ')})`;
  const none = `t.${key[0]?.name} IS NULL`;
  return `COPY (SELECT ${names.join(', ')}, ${none} FROM ${given} LEFT JOIN ${table} AS t ON ${same.join(
    ' AND ',
  )} WHERE ${none} OR ${holds}) TO STDOUT`;
}

/** Rows that end in `t`, as they are, and those that end in `f`, without it. */
function apart(payload: Buffer): {
  readonly gone: { readonly payload: Buffer; readonly records: number };
  readonly there: Buffer;
} {
  const gone: Buffer[] = [];
  const there: Buffer[] = [];
  for (let at = 0; at < payload.length; ) {
    const next = payload.indexOf('\n', at) + 1;
    if (payload[next - 2] === 't'.charCodeAt(0)) gone.push(payload.subarray(at, next));
    else there.push(payload.subarray(at, next - '\tf\n'.length), Buffer.from('\n'));
    at = next;
  }
  return {
    gone: { payload: Buffer.concat(gone), records: gone.length },
    there: Buffer.concat(there),
  };
}
