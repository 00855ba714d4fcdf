/**
 * What a snapshot cannot see: rows of transactions that were running when it was taken. They commit
 * later, with a time of change from before it, and the next window must find them all the same.
 *
 * Every full and changed window writes down, before its first snapshot, since when the oldest
 * running transaction runs; the window that begins there goes back that far. Where the database
 * does not say (the role may not read others' activity, a prepared transaction waits, a standby
 * cannot know), the next window also looks at every row for one that is younger than the oldest
 * transaction that was unfinished then, by the transaction number each row carries.
 */
import type { Objects, PostgresSession } from '../world.ts';
import { digits } from './postgres_keys.ts';

export interface Horizon {
  /** The database's clock, epoch ms: whatever began later is seen by its time of change. */
  readonly at: number;
  /** When the oldest transaction running then began, epoch ms; null = the database does not say. */
  readonly since: number | null;
  /** Every transaction with a smaller number (64 bits, decimal) was finished. */
  readonly xmin: string;
}

/** Where transactions wrap around: beyond half of it, numbers say nothing about the order. */
const HALF = 2n ** 31n;

/** Asked before the snapshot that it is about: one that ends in between is then only read twice. */
export async function horizonNow(session: PostgresSession): Promise<Horizon> {
  const [row] = await session.query(
    `SELECT pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::text AS xmin,
       ${ms('pg_catalog.clock_timestamp()')} AS at,
       CASE WHEN pg_catalog.pg_is_in_recovery()
           OR NOT pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')
           OR EXISTS (SELECT FROM pg_catalog.pg_prepared_xacts WHERE database = current_database())
         THEN NULL
         ELSE coalesce((SELECT ${ms('min(xact_start)')} FROM pg_catalog.pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_catalog.pg_backend_pid()),
           ${ms('pg_catalog.clock_timestamp()')}) END AS since`,
  );
  const since = row?.['since'] ?? null;
  return {
    at: Number(row?.['at']),
    since: since === null ? null : Number(since),
    xmin: row?.['xmin'] ?? '0',
  };
}

const ms = (instant: string): string =>
  `pg_catalog.floor(extract(epoch FROM ${instant}) * 1000)::bigint`;

/**
 * SQL that is true for rows written by transactions that were unfinished at the horizon, or begun
 * after it.
 * @param alias the table's, in the question that this becomes part of
 */
export async function writtenSince(
  session: PostgresSession,
  horizon: Horizon,
  alias: string,
): Promise<string> {
  const [row] = await session.query(
    'SELECT pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text AS xmax',
  );
  const xmin = BigInt(horizon.xmin);
  // Numbers that came around again: any row may be younger.
  if (BigInt(row?.['xmax'] ?? '0') - xmin >= HALF) return 'true';
  return `pg_catalog.age(${alias}.xmin) <= pg_catalog.age('${xmin % 2n ** 32n}'::xid)`;
}

export interface Horizons {
  /** The first one written for an instant stays: it reaches back the furthest. */
  remember(instant: string, horizon: Horizon): Promise<void>;
  /** That of an instant, else the newest before it; null = there is none. */
  recall(instant: string): Promise<Horizon | null>;
  /** Removes those of instants before this one, epoch ms. */
  forget(before: number): Promise<void>;
}

export function horizons(
  objects: Objects,
  of: { readonly controlBucket: string; readonly domain: string; readonly source: string },
): Horizons {
  const bucket = of.controlBucket;
  const folder = `keys/${of.domain}/${of.source}/horizon/`;
  const place = (instant: string): string => `${folder}${digits(instant)}.json`;
  return {
    async remember(instant, horizon) {
      await objects.write(bucket, place(instant), Buffer.from(JSON.stringify(horizon)), {
        ifGeneration: '0',
        contentType: 'application/json',
      });
    },
    async recall(instant) {
      let found = await objects.read(bucket, place(instant));
      if (found === null) {
        const earlier = (await objects.list(bucket, folder))
          .map(({ name }) => name)
          .filter((name) => name < place(instant));
        const newest = earlier.at(-1);
        if (newest !== undefined) found = await objects.read(bucket, newest);
      }
      return found === null ? null : (JSON.parse(found.bytes.toString()) as Horizon);
    },
    async forget(before) {
      const limit = place(new Date(before).toISOString());
      for (const { name, generation } of await objects.list(bucket, folder)) {
        if (name < limit) await objects.remove(bucket, name, { ifGeneration: generation });
      }
    },
  };
}
