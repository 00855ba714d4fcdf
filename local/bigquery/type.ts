import { Refusal } from './refusal.ts';

/** How a table is cut into partitions. */
export interface TimePartitioning {
  readonly type: 'DAY' | 'MONTH' | 'HOUR' | 'YEAR';
  readonly field: string;
  readonly expirationMs?: string;
}

/** A field of a table or result, in the REST API's own words. */
export interface Field {
  readonly name: string;
  readonly type: string;
  readonly mode?: string;
  readonly description?: string;
  readonly fields?: readonly Field[];
  readonly policyTags?: { readonly names: readonly string[] };
}

export type Scalar =
  | 'STRING'
  | 'INT64'
  | 'FLOAT64'
  | 'NUMERIC'
  | 'BOOL'
  | 'DATE'
  | 'TIMESTAMP'
  | 'BYTES';

/** A type of GoogleSQL. `NULL` is the type of a bare NULL until something gives it one. */
export type Type =
  | Scalar
  | 'NULL'
  | { readonly array: Type }
  | { readonly struct: readonly { readonly name: string; readonly type: Type }[] };

/** In DuckDB a TIMESTAMP is a naive one in UTC, so that no session setting can shift it; fields of a STRUCT are f0, f1, … */
const DUCKDB: Readonly<Record<Scalar, string>> = {
  STRING: 'VARCHAR',
  INT64: 'BIGINT',
  FLOAT64: 'DOUBLE',
  NUMERIC: 'DECIMAL(38,9)',
  BOOL: 'BOOLEAN',
  DATE: 'DATE',
  TIMESTAMP: 'TIMESTAMP',
  BYTES: 'BLOB',
};

const SYNONYMS: Readonly<Record<string, Scalar>> = {
  STRING: 'STRING',
  INT64: 'INT64',
  INTEGER: 'INT64',
  INT: 'INT64',
  SMALLINT: 'INT64',
  BIGINT: 'INT64',
  TINYINT: 'INT64',
  BYTEINT: 'INT64',
  FLOAT64: 'FLOAT64',
  FLOAT: 'FLOAT64',
  NUMERIC: 'NUMERIC',
  DECIMAL: 'NUMERIC',
  BOOL: 'BOOL',
  BOOLEAN: 'BOOL',
  DATE: 'DATE',
  TIMESTAMP: 'TIMESTAMP',
  BYTES: 'BYTES',
};

/** The scalar type behind a name and its synonyms, undefined for what is not supported (DATETIME, JSON, GEOGRAPHY, …). */
export function scalarNamed(name: string): Scalar | undefined {
  return SYNONYMS[name.toUpperCase()];
}

export function duckdbType(type: Type): string {
  if (type === 'NULL') return 'BIGINT';
  if (typeof type === 'string') return DUCKDB[type];
  if ('array' in type) return `${duckdbType(type.array)}[]`;
  return `STRUCT(${type.struct.map(({ type: field }, i) => `f${i} ${duckdbType(field)}`).join(', ')})`;
}

export function typeText(type: Type): string {
  if (typeof type === 'string') return type === 'NULL' ? 'INT64' : type;
  if ('array' in type) return `ARRAY<${typeText(type.array)}>`;
  return `STRUCT<${type.struct.map((field) => `${field.name === '' ? '' : `${field.name} `}${typeText(field.type)}`).join(', ')}>`;
}

export function sameType(a: Type, b: Type): boolean {
  if (typeof a === 'string' || typeof b === 'string') return a === b;
  if ('array' in a) return 'array' in b && sameType(a.array, b.array);
  if ('array' in b || a.struct.length !== b.struct.length) return false;
  return a.struct.every((field, i) => sameType(field.type, b.struct[i]?.type ?? 'NULL'));
}

/** The type of a table's column. Tables hold scalars and arrays of scalars: records are refused. */
export function columnType(field: Field): Type {
  const scalar = scalarNamed(field.type);
  if (scalar === undefined)
    throw new Refusal(
      'invalid',
      `Field ${field.name} has type ${field.type}, which is not supported locally`,
    );
  return field.mode?.toUpperCase() === 'REPEATED' ? { array: scalar } : scalar;
}

const LEGACY: Readonly<Partial<Record<Scalar, string>>> = {
  INT64: 'INTEGER',
  FLOAT64: 'FLOAT',
  BOOL: 'BOOLEAN',
};

/** A result's column as the REST API describes it (it answers with the older names INTEGER, FLOAT, BOOLEAN, RECORD). */
export function resultField(name: string, type: Type): Field {
  if (typeof type === 'object' && 'array' in type)
    return { ...resultField(name, type.array), mode: 'REPEATED' };
  if (typeof type === 'object')
    return {
      name,
      type: 'RECORD',
      mode: 'NULLABLE',
      fields: type.struct.map((field) => resultField(field.name, field.type)),
    };
  const scalar = type === 'NULL' ? 'INT64' : type;
  return { name, type: LEGACY[scalar] ?? scalar, mode: 'NULLABLE' };
}

export function textLiteral(value: string): string {
  // A NUL would end the statement early in DuckDB.
  if (value.includes('\0'))
    throw new Refusal(
      'invalidQuery',
      'A string with a NUL character is not supported locally',
      'query',
    );
  return `'${value.replaceAll("'", "''")}'`;
}

export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** SQL that renders a value as the strings of the REST API: text, lists of text, structs of text. */
export function wireSql(sql: string, type: Type, depth = 0): string {
  if (typeof type === 'object') {
    const item = `w${depth}`;
    if ('array' in type)
      return `list_transform(${sql}, lambda ${item} : ${wireSql(item, type.array, depth + 1)})`;
    const fields = type.struct.map(
      (field, i) => `f${i} := ${wireSql(`(${sql}).f${i}`, field.type, depth + 1)}`,
    );
    return `CASE WHEN ${sql} IS NULL THEN NULL ELSE struct_pack(${fields.join(', ')}) END`;
  }
  switch (type) {
    case 'TIMESTAMP':
      return `CAST(epoch_us(${sql}) AS VARCHAR)`;
    case 'BYTES':
      return `base64(${sql})`;
    case 'NUMERIC':
      return `bq_numeric_text(${sql})`;
    default:
      return `CAST(${sql} AS VARCHAR)`;
  }
}
