/** A PostgreSQL table that others write all the time: what they do to it, and its checksum. */
import { asAdmin } from '../../local/outside/postgres/server.ts';

/** Rows that writers make, change and delete; those of a writer are a third of them. */
const ROWS = 600;

/** A number and a checksum over all rows, in the order of their keys. */
export interface Sum {
  readonly count: string;
  /** MD5 over `id|name|microseconds` lines, hexadecimal. */
  readonly sum: string;
}

export async function createAgents(url: string): Promise<void> {
  await asAdmin(url, (database) =>
    database.query(`CREATE TABLE agents
      (id text PRIMARY KEY, name text, updated_at timestamptz DEFAULT now());
      INSERT INTO agents VALUES ('a1', 'Ann'), ('a2', 'Ben'), ('a3', 'Cem'), ('gone', 'Dan');
      INSERT INTO agents SELECT 'row ' || n, 'first' FROM generate_series(0, ${ROWS - 1}, 2) n`),
  );
}

/** What the table holds now. */
export async function agentsSum(url: string): Promise<Sum> {
  const { rows } = await asAdmin(url, (database) =>
    database.query<Sum>(`SELECT count(*)::text AS count,
      md5(string_agg(id || '|' || coalesce(name, 'none') || '|'
        || (extract(epoch FROM updated_at) * 1000000)::bigint, E'\\n' ORDER BY id COLLATE "C")) AS sum
      FROM agents`),
  );
  return rows[0] as Sum;
}

/** The same of the warehouse's table, in GoogleSQL. */
export const ourSum = `SELECT CAST(count(*) AS STRING) AS count,
  TO_HEX(MD5(STRING_AGG(CONCAT(id, '|', COALESCE(name, 'none'), '|',
    CAST(UNIX_MICROS(changed_at) AS STRING)), '\\n' ORDER BY id))) AS sum
  FROM support.newest WHERE kind = 'agent' AND NOT is_gone`;

export interface Writers {
  /** Transactions that have ended. */
  ended(): number;
  /** Lets those go that have been kept open since the last call. */
  letGo(): void;
  /** Ends what is open and waits for it. */
  stop(): Promise<void>;
}

/**
 * Writers that insert, update and delete rows in transactions, some of which are taken back. The
 * last one keeps each open until it is let go: it commits late, with a time of change long past.
 */
export function startWriters(url: string): Writers {
  let writing = true;
  let ended = 0;
  let kept = Promise.withResolvers<void>();
  const writer = (own: number): Promise<void> =>
    asAdmin(url, async (database) => {
      const draw = draws(own);
      while (writing) {
        const held = kept.promise;
        await database.query('BEGIN');
        for (let n = draw(12); n >= 0; n -= 1) {
          // Each keeps to rows of its own, so that none waits for another.
          const id = `row ${draw(ROWS / 3) * 3 + own}`;
          const name = [null, 'Zoë', `tab\t${draw(1e6)}`, `line\n${draw(1e6)}`, `\\N${draw(9)}`];
          if (draw(4) === 0) await database.query('DELETE FROM agents WHERE id = $1', [id]);
          else {
            await database.query(
              `INSERT INTO agents VALUES ($1, $2) ON CONFLICT (id) DO UPDATE
               SET name = excluded.name, updated_at = now()`,
              [id, name[draw(name.length)]],
            );
          }
        }
        if (own === 2 && writing) await held;
        await database.query(draw(6) === 0 ? 'ROLLBACK' : 'COMMIT');
        ended += 1;
      }
    });
  const letGo = (): void => {
    kept.resolve();
    kept = Promise.withResolvers<void>();
  };
  const all = Promise.all([0, 1, 2].map(writer));
  all.catch(() => undefined);
  return {
    ended: () => ended,
    letGo,
    stop: async () => {
      writing = false;
      letGo();
      await all;
    },
  };
}

/** Small, seeded, repeatable. */
function draws(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}
