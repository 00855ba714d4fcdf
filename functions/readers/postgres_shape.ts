/**
 * What a table is, before anything of it is copied: whether it can be read, along which key, and
 * whether every column the contract reads is there and fits. Whatever does not is refused by name.
 */
import {
  defaultDecoding,
  type PostgresTableArrival,
  type SourceColumn,
  type SourceContract,
} from '../../schemas/contract.ts';
import { catalog } from '../../schemas/rendered/catalog.ts';
import { Permanent } from '../errors.ts';
import type { PostgresSession } from '../world.ts';
import { feeds, NUMERIC_SCALE, refused, repeats } from './postgres_types.ts';
import type { ReadContext } from './reader.ts';

/** Path of a contract column that is true on the record of an absence. */
export const DELETED = '_deleted';

export interface Shape {
  /** Schema and name, quoted. */
  readonly table: string;
  /** What is selected, in the order of `columns`: the key, the cursor, then what the contract reads. */
  readonly select: readonly string[];
  readonly columns: readonly string[];
  readonly key: readonly KeyColumn[];
  /** Quoted; null = the table has none. */
  readonly cursor: string | null;
  /** Whether the contract shows deletions, so that keys are worth remembering. */
  readonly compared: boolean;
}

export interface KeyColumn {
  /** Quoted. */
  readonly name: string;
  /** As a cast takes it. */
  readonly type: string;
  /** Equal values have equal texts for the contract only if their texts are equal. */
  readonly isText: boolean;
}

interface Column {
  readonly name: string;
  readonly shown: string;
  readonly kind: string;
  readonly element: string | null;
  readonly scale: number | null;
  readonly notNull: boolean;
  readonly readable: boolean;
  readonly cast: string;
  readonly isText: boolean;
}

export const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** A value in SQL, whatever it holds (standard_conforming_strings is on). */
export const literal = (value: string): string => `'${value.replaceAll("'", "''")}'`;

/** @throws Permanent `database_missing`, `database_refused` or `database_shape`, naming what is wrong */
export async function shapeOf(
  session: PostgresSession,
  context: Pick<ReadContext<PostgresTableArrival>, 'arrival' | 'domain' | 'source'>,
): Promise<Shape> {
  const { arrival } = context;
  const source = `${context.domain}.${context.source}`;
  const contract = catalog.sources[source];
  if (contract === undefined) throw fault('shape', `no source is called "${source}"`);
  const schema = arrival.schema ?? 'public';
  const named = `${schema}.${arrival.table}`;
  const table = `${quoted(schema)}.${quoted(arrival.table)}`;
  const oid = await tableOf(session, schema, arrival.table, source);
  const columns = await columnsOf(session, oid);
  const hidden = [...columns.values()].filter(({ readable }) => !readable);
  const column = (name: string, why: string): Column => {
    const found = columns.get(name);
    if (found === undefined) {
      throw fault(
        'missing',
        `the table ${named} has no column ${name}, ${why} of ${source}; it has ${[...columns.keys()].join(', ')}`,
      );
    }
    if (!found.readable) {
      throw fault(
        'refused',
        `the role may not read ${hidden.map(({ name: one }) => one).join(', ')} of ${named}: GRANT SELECT ON ${table} TO the role`,
      );
    }
    return found;
  };
  const key = arrival.primary_key.map((name) => column(name, 'a column of the primary key'));
  await uniqueAlong(session, oid, key, named, source);
  const cursor =
    arrival.cursor === undefined ? null : column(arrival.cursor, 'the cursor of the table');
  if (cursor !== null && !['timestamptz', 'timestamp', 'date'].includes(cursor.kind)) {
    throw fault(
      'shape',
      `the cursor ${cursor.name} of ${named} is ${cursor.shown}; one that tells when a row changed is a timestamptz, timestamp or date; without one leave cursor out of ${source}`,
    );
  }
  const leading = [...key, ...(cursor === null || key.includes(cursor) ? [] : [cursor])];
  const selected = new Map(leading.map(({ name }) => [name, quoted(name)]));
  const faults: string[] = [];
  for (const [name, read] of Object.entries(contract.columns)) {
    const path = pathOf(name, read);
    if (path === null || path === DELETED) continue;
    const [top = ''] = path.split('.');
    const found = column(top, `which column ${name}`);
    const how = reading(found, path === top ? read : 'below');
    if ('fault' in how) faults.push(`${name} (${how.fault})`);
    else if (selected.get(top) === undefined) selected.set(top, how.sql);
    else if (selected.get(top) !== how.sql) faults.push(`${name} (${top} is read in two ways)`);
  }
  if (faults.length > 0) {
    throw fault('shape', `columns of ${source} cannot be read from ${named}: ${faults.join(', ')}`);
  }
  const compared = Object.entries(contract.columns).some(
    ([name, read]) => pathOf(name, read) === DELETED,
  );
  if (compared) keyIsPrimary(contract, arrival, source);
  return {
    table,
    columns: [...selected.keys()],
    select: [...selected.values()],
    key: key.map(({ name, cast, isText }) => ({ name: quoted(name), type: cast, isText })),
    cursor: cursor === null ? null : quoted(cursor.name),
    compared,
  };
}

const fault = (code: 'missing' | 'refused' | 'shape', message: string): Permanent =>
  new Permanent({ code: `database_${code}`, message });

const pathOf = (name: string, column: SourceColumn): string | null =>
  column.sql !== undefined || column.hash_of !== undefined ? null : (column.from ?? name);

/** How a column is selected for what the contract wants of it, or why it cannot be. */
function reading(
  column: Column,
  wanted: SourceColumn | 'below',
): { readonly sql: string } | { readonly fault: string } {
  const { kind, element, shown } = column;
  const sql = quoted(column.name);
  const why = refused[element ?? kind];
  if (why !== undefined) return { fault: `${shown}: ${why}` };
  if (wanted === 'below') {
    if (kind === 'json' || kind === 'jsonb') return { sql };
    return { fault: `${shown} has nothing below it` };
  }
  const decoding = wanted.as ?? defaultDecoding[wanted.type];
  if (element === null) {
    if (feeds[kind]?.includes(decoding) === true) return { sql };
    return { fault: `${shown} does not become ${wanted.type} as ${decoding} without loss` };
  }
  if (decoding === 'text') return { sql };
  if (decoding !== 'json_array') {
    return { fault: `${shown} is an array: repeated, as json_array, or a STRING` };
  }
  // As texts: a number's digits would not all survive in a list of STRING.
  if (wanted.type === 'STRING') return { sql: `pg_catalog.array_to_json(${sql}::text[])` };
  const exact = element !== 'numeric' || (column.scale !== null && column.scale <= NUMERIC_SCALE);
  if (exact && repeats[element]?.includes(wanted.type) === true) {
    return { sql: `pg_catalog.array_to_json(${sql})` };
  }
  return { fault: `${shown} does not become repeated ${wanted.type} without loss` };
}

/** A deletion is told by the primary key alone: the contract's key must be found in it. */
function keyIsPrimary(
  contract: SourceContract,
  arrival: PostgresTableArrival,
  source: string,
): void {
  const other = contract.key.filter((name) => {
    const column = contract.columns[name];
    const path = column === undefined ? null : pathOf(name, column);
    return path !== null && !arrival.primary_key.includes(path);
  });
  if (other.length === 0) return;
  throw fault(
    'shape',
    `${source} shows deletions, which are known by the primary key (${arrival.primary_key.join(', ')}), but its key reads ${other.join(', ')}`,
  );
}

async function tableOf(
  session: PostgresSession,
  schema: string,
  table: string,
  source: string,
): Promise<string> {
  const [found] = await session.query(
    `SELECT c.oid::text AS oid, c.relkind, current_user AS role,
       pg_catalog.has_schema_privilege(n.oid, 'USAGE') AS inside,
       pg_catalog.has_any_column_privilege(c.oid, 'SELECT') AS readable
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = $1 AND c.relname = $2`,
    [schema, table],
  );
  const named = `${schema}.${table}`;
  if (found === undefined) {
    throw fault('missing', `the database has no table ${named}, which ${source} names`);
  }
  const role = found['role'] ?? '';
  if (found['inside'] !== 't') {
    throw fault(
      'refused',
      `the role ${role} may not look into the schema ${schema}: GRANT USAGE ON SCHEMA ${quoted(schema)} TO ${quoted(role)}`,
    );
  }
  if (found['readable'] !== 't') {
    throw fault(
      'refused',
      `the role ${role} may not read ${named}: GRANT SELECT ON ${quoted(schema)}.${quoted(table)} TO ${quoted(role)}`,
    );
  }
  if (!['r', 'p'].includes(found['relkind'] ?? '')) {
    throw fault(
      'shape',
      `${named} is no table (relkind ${found['relkind']}): nothing says that a view's rows have a key, so rows could be lost unnoticed`,
    );
  }
  return found['oid'] ?? '';
}

async function columnsOf(
  session: PostgresSession,
  oid: string,
): Promise<ReadonlyMap<string, Column>> {
  const rows = await session.query(
    `WITH RECURSIVE c AS (
       SELECT a.attname, a.attnum, a.attnotnull, a.atttypid AS type, a.atttypmod AS modifier,
         pg_catalog.format_type(a.atttypid, a.atttypmod) AS shown,
         pg_catalog.format_type(a.atttypid, -1) AS "cast",
         pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT') AS readable
       FROM pg_catalog.pg_attribute a
       WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped
       UNION ALL
       SELECT c.attname, c.attnum, c.attnotnull, t.typbasetype, t.typtypmod, c.shown, c."cast", c.readable
       FROM c JOIN pg_catalog.pg_type t ON t.oid = c.type WHERE t.typtype = 'd')
     SELECT c.attname AS name, c.shown, c."cast", c.attnotnull AS not_null, c.readable,
       ${kindOf('t')} AS kind,
       CASE WHEN t.typcategory = 'A' AND t.typelem <> 0 THEN ${kindOf('e')} END AS element,
       CASE WHEN c.modifier >= 4 AND 'numeric' IN (t.typname, e.typname)
         THEN (((c.modifier - 4) & 2047) # 1024) - 1024 END AS scale,
       t.typcategory = 'S' AND t.typname <> 'bpchar' AS is_text
     FROM c JOIN pg_catalog.pg_type t ON t.oid = c.type AND t.typtype <> 'd'
     LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem
     ORDER BY c.attnum`,
    [oid],
  );
  return new Map(
    rows.map((row) => [
      row['name'] ?? '',
      {
        name: row['name'] ?? '',
        shown: row['shown'] ?? '',
        kind: row['kind'] ?? '',
        element: row['element'] ?? null,
        scale: row['scale'] == null ? null : Number(row['scale']),
        notNull: row['not_null'] === 't',
        readable: row['readable'] === 't',
        cast: row['cast'] ?? '',
        isText: row['is_text'] === 't',
      },
    ]),
  );
}

/** A name of `postgres_types.ts`: of the type itself, or of its family. */
const kindOf = (type: string): string => `CASE
  WHEN ${type}.typtype = 'e' THEN 'enum' WHEN ${type}.typtype = 'c' THEN 'composite'
  WHEN ${type}.typtype = 'r' THEN 'range' WHEN ${type}.typtype = 'm' THEN 'multirange'
  WHEN ${type}.typtype = 'd' THEN 'domain'
  WHEN ${type}.typnamespace = 'pg_catalog'::regnamespace THEN ${type}.typname::text
  ELSE 'extension' END`;

/**
 * Chunks go along the key, each from the last row of the one before: of rows with an equal key, or
 * none, some would never be read.
 */
async function uniqueAlong(
  session: PostgresSession,
  oid: string,
  key: readonly Column[],
  named: string,
  source: string,
): Promise<void> {
  const nullable = key.filter(({ notNull }) => !notNull).map(({ name }) => name);
  const indexes = await session.query(
    `SELECT i.indisprimary AS main, (SELECT pg_catalog.string_agg(a.attname, ',' ORDER BY k.at)
       FROM pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, at)
       JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
       WHERE k.at <= i.indnkeyatts) AS names
     FROM pg_catalog.pg_index i
     WHERE i.indrelid = $1::oid AND i.indisunique AND i.indisvalid
       AND i.indpred IS NULL AND i.indexprs IS NULL`,
    [oid],
  );
  const names = key.map(({ name }) => name);
  const unique = indexes.some((index) =>
    (index['names'] ?? '').split(',').every((name) => names.includes(name)),
  );
  if (unique && nullable.length === 0) return;
  const main = indexes.find((index) => index['main'] === 't')?.['names'] ?? null;
  throw fault(
    'shape',
    `${source} goes along (${names.join(', ')}), which is no key of ${named}: ${
      unique ? `${nullable.join(', ')} may be NULL` : 'it is not unique'
    }; the table's primary key is ${main === null ? 'none' : `(${main})`}`,
  );
}
