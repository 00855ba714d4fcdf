/** Reading the files of a load job: every column checked against the schema before a value is taken. */
import type { DuckDBConnection } from '@duckdb/node-api';
import { Refusal } from './refusal.ts';
import type { Staging } from './store.ts';
import {
  columnType,
  duckdbType,
  type Field,
  quoteName,
  type Scalar,
  type Type,
  textLiteral,
  typeText,
} from './type.ts';

interface LoadSql {
  readonly fields: readonly Field[];
  /** Yields the columns of the schema in order. */
  readonly select: string;
}

/** `fields` is the table's schema; undefined takes the files' own (Parquet describes itself). */
export async function loadSql(
  connection: DuckDBConnection,
  staging: Staging,
  fields: readonly Field[] | undefined,
  table: string,
): Promise<LoadSql> {
  return staging.format === 'PARQUET'
    ? parquet(connection, staging, fields, table)
    : json(connection, staging, fields ?? [], table);
}

// Partition folders (`_partition=2026-01-01/`) are not columns: BigQuery reads what is in the files.
const PARQUET_OPTIONS = 'hive_partitioning = false, union_by_name = true';

async function parquet(
  connection: DuckDBConnection,
  staging: Staging,
  fields: readonly Field[] | undefined,
  table: string,
): Promise<LoadSql> {
  const list = (paths: readonly string[]): string => `[${paths.map(textLiteral).join(', ')}]`;
  const paths = staging.files.map(({ path }) => path);
  // Files that look alike are described once; BigQuery compares each of them with the schema.
  const kinds = await connection.runAndReadAll(
    `SELECT min(file_name) FROM (SELECT file_name, list(struct_pack(n := name, t := type, l := CAST(logical_type AS VARCHAR), c := converted_type, r := repetition_type, p := precision, s := scale)) AS shape
     FROM parquet_schema(${list(paths)}) GROUP BY file_name) GROUP BY shape ORDER BY 1`,
  );
  const shapes: (readonly Described[])[] = [];
  for (const [path] of kinds.getRowsJS() as [string][]) {
    const described = await connection.runAndReadAll(
      `DESCRIBE SELECT * FROM read_parquet(${textLiteral(path)}, hive_partitioning = false)`,
    );
    shapes.push(
      described.getRowsJS().map((row) => ({
        name: row[0] as string,
        type: row[1] as string,
        uri: uriOf(staging, path),
      })),
    );
  }
  const own = fields ?? (shapes.at(-1) ?? []).map(({ name, type }) => inferred(name, type));
  for (const shape of shapes) for (const column of shape) checkColumn(column, own, staging, table);
  const found = new Set(shapes.flat().map(({ name }) => name.toLowerCase()));
  const items = own.map((field) => {
    const type = columnType(field);
    if (!found.has(field.name.toLowerCase()))
      return typeof type === 'object' ? '[]' : `CAST(NULL AS ${duckdbType(type)})`;
    const value = `CAST(${quoteName(field.name)} AS ${duckdbType(type)})`;
    return typeof type === 'object' ? `coalesce(${value}, [])` : value;
  });
  return {
    fields: own,
    select: `SELECT ${items.length === 0 ? 'NULL' : items.join(', ')} FROM read_parquet(${list(paths)}, ${PARQUET_OPTIONS})`,
  };
}

interface Described {
  readonly name: string;
  readonly type: string;
  readonly uri: string;
}

function uriOf(staging: Staging, path: string): string {
  return staging.files.find((file) => file.path === path)?.uri ?? path;
}

/** The type that BigQuery gives a Parquet column, from DuckDB's name for it. */
function parquetType(type: string): Type | undefined {
  if (type.endsWith('[]')) {
    const element = parquetType(type.slice(0, -2));
    return element && { array: element };
  }
  if (/^U?(TINYINT|SMALLINT|INTEGER)$|^BIGINT$/.test(type)) return 'INT64';
  const decimal = /^DECIMAL\((\d+),(\d+)\)$/.exec(type);
  if (decimal !== null)
    return Number(decimal[2]) <= 9 && Number(decimal[1]) - Number(decimal[2]) <= 29
      ? 'NUMERIC'
      : undefined;
  if (/^TIMESTAMP( WITH TIME ZONE|_NS|_MS|_S)?$/.test(type)) return 'TIMESTAMP';
  const plain: Readonly<Record<string, Scalar>> = {
    VARCHAR: 'STRING',
    BOOLEAN: 'BOOL',
    FLOAT: 'FLOAT64',
    DOUBLE: 'FLOAT64',
    DATE: 'DATE',
    BLOB: 'BYTES',
  };
  return plain[type];
}

function inferred(name: string, type: string): Field {
  const found = parquetType(type);
  if (found === undefined)
    throw new Refusal(
      'invalid',
      `Column ${name} has Parquet type ${type}, which is not supported locally`,
    );
  if (typeof found === 'object' && 'array' in found)
    return { name, type: typeText(found.array), mode: 'REPEATED' };
  return { name, type: typeText(found), mode: 'NULLABLE' };
}

function checkColumn(
  column: Described,
  fields: readonly Field[],
  staging: Staging,
  table: string,
): void {
  const { name, type, uri } = column;
  const field = fields.find((candidate) => candidate.name.toLowerCase() === name.toLowerCase());
  if (field === undefined) {
    if (staging.ignoreUnknownValues) return;
    throw new Refusal(
      'invalid',
      `Provided Schema does not match Table ${table}. Cannot add fields (field: ${name})`,
      uri,
    );
  }
  const wanted = columnType(field);
  const got = parquetType(type);
  if (got !== undefined && typeText(got) === typeText(wanted)) {
    if (typeof got === 'object' && !staging.listInference)
      throw new Refusal(
        'invalid',
        `Provided Schema does not match Table ${table}. Field ${name} has changed type from ${typeText(wanted)} to RECORD (a Parquet list is an array only with parquetOptions.enableListInference)`,
        uri,
      );
    return;
  }
  throw new Refusal(
    'invalid',
    `Error while reading data, error message: Parquet column '${name}' has type ${type} which does not match the target cpp_type ${typeText(wanted)}. File: ${uri}`,
    uri,
  );
}

async function json(
  connection: DuckDBConnection,
  staging: Staging,
  fields: readonly Field[],
  table: string,
): Promise<LoadSql> {
  const source = `read_ndjson_objects([${staging.files.map(({ path }) => textLiteral(path)).join(', ')}], maximum_object_size = 104857600)`;
  const known = fields.map(({ name }) => textLiteral(name)).join(', ');
  // read_json would leave unknown keys out without a word.
  const odd = await connection.runAndReadAll(
    `SELECT kind, name FROM (SELECT json_type(json) AS kind, unnest(CASE WHEN json_type(json) = 'OBJECT' THEN json_keys(json) ELSE [''] END) AS name FROM ${source})
     WHERE kind <> 'OBJECT'${staging.ignoreUnknownValues ? '' : ` OR name NOT IN (${known || "''"})`} LIMIT 1`,
  );
  const [kind, name] = (odd.getRowsJS()[0] ?? []) as [string?, string?];
  if (kind !== undefined && kind !== 'OBJECT')
    throw new Refusal(
      'invalid',
      `Error while reading data, error message: JSON table encountered too many errors, giving up. Rows: 1; errors: 1. JSON row is not an object`,
      staging.files[0]?.uri,
    );
  if (name !== undefined)
    throw new Refusal(
      'invalid',
      `Error while reading data, error message: JSON processing encountered too many errors, giving up. Rows: 1; errors: 1; max bad: 0; error percent: 0. No such field: ${name} (table ${table})`,
      staging.files[0]?.uri,
    );
  const items = fields.map((field) => {
    const path = textLiteral(`$."${field.name}"`);
    const type = columnType(field);
    const value = `json_extract(json, ${path})`;
    if (typeof type === 'object' && 'array' in type)
      return `CASE WHEN coalesce(json_type(${value}), 'NULL') = 'NULL' THEN [] WHEN json_type(${value}) = 'ARRAY'
        THEN list_transform(CAST(${value} AS JSON[]), lambda e : coalesce(${jsonScalar('e', type.array as Scalar, field.name)}, error(${textLiteral(`Only optional fields can be set to NULL. Field: ${field.name}`)})))
        ELSE error(${textLiteral(`Repeated field must be imported as a JSON array. Field: ${field.name}`)}) END`;
    return jsonScalar(value, type as Scalar, field.name);
  });
  return {
    fields,
    select: `SELECT ${items.length === 0 ? 'NULL' : items.join(', ')} FROM ${source}`,
  };
}

/** One JSON value as a column's type; what does not fit is an error that names field and value. */
function jsonScalar(value: string, type: Scalar, field: string): string {
  const kind = `json_type(${value})`;
  const text = `json_extract_string(${value}, '$')`;
  const number = `${kind} IN ('BIGINT', 'UBIGINT', 'HUGEINT', 'UHUGEINT', 'DOUBLE')`;
  const forms: Readonly<Record<Scalar, readonly (readonly [condition: string, result: string])[]>> =
    {
      STRING: [[`${kind} NOT IN ('OBJECT', 'ARRAY')`, text]],
      INT64: [
        [
          `${kind} IN ('BIGINT', 'UBIGINT') OR (${kind} = 'VARCHAR' AND bq_is_int(${text}))`,
          `CAST(trim(${text}) AS BIGINT)`,
        ],
      ],
      FLOAT64: [
        [`${number} OR (${kind} = 'VARCHAR' AND bq_is_float(${text}))`, `CAST(${text} AS DOUBLE)`],
      ],
      NUMERIC: [
        [
          `(${number} OR ${kind} = 'VARCHAR') AND bq_is_numeric(${text})`,
          `CAST(trim(${text}) AS DECIMAL(38,9))`,
        ],
      ],
      BOOL: [
        [
          `${kind} = 'BOOLEAN' OR lower(${text}) IN ('true', 'false')`,
          `CAST(lower(${text}) AS BOOLEAN)`,
        ],
      ],
      DATE: [[`${kind} = 'VARCHAR' AND bq_is_date(${text})`, `CAST(${text} AS DATE)`]],
      TIMESTAMP: [
        [`${kind} = 'VARCHAR' AND bq_is_timestamp(${text})`, `bq_timestamp_of(${text})`],
        [number, `make_timestamp(CAST(round(CAST(${text} AS DOUBLE) * 1000000) AS BIGINT))`],
      ],
      BYTES: [[`${kind} = 'VARCHAR'`, `from_base64(${text})`]],
    };
  const whens = forms[type].map(([condition, result]) => `WHEN ${condition} THEN ${result}`);
  return `CASE WHEN coalesce(${kind}, 'NULL') = 'NULL' THEN NULL ${whens.join(' ')}
    ELSE error(${textLiteral(`Could not convert value to ${type}. Field: ${field}; Value: `)} || CAST(${value} AS VARCHAR)) END`;
}
