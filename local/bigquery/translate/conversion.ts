/** What CAST makes of a value. */
import type { TypeName } from '../parse/ast.ts';
import { QueryFault, unsupported } from '../refusal.ts';
import { duckdbType, sameType, scalarNamed, type Type, typeText } from '../type.ts';
import { type Bound, cast, coerced } from './bound.ts';

/** The type that a statement names. */
export function typeOf(name: TypeName): Type {
  if (name.base === 'ARRAY') return { array: typeOf(name.element as TypeName) };
  if (name.base === 'STRUCT')
    return {
      struct: (name.fields ?? []).map((field) => ({ name: field.name, type: typeOf(field.type) })),
    };
  const scalar = scalarNamed(name.base);
  if (scalar === undefined) throw unsupported(`Type ${name.base}`, name.at);
  return scalar;
}

/** What CAST does, and what SAFE_CAST makes NULL. Text is checked first: DuckDB reads more than BigQuery does. */
export function conversion(value: Bound, type: Type, safe: boolean, at: number): Bound {
  if (sameType(value.type, type)) return { sql: value.sql, type };
  if (value.type === 'NULL') return { sql: cast('NULL', type), type };
  const from = value.type;
  const { sql } = value;
  const impossible = (): QueryFault =>
    new QueryFault(`Invalid cast from ${typeText(from)} to ${typeText(type)}`, at);
  if (typeof from === 'object' || typeof type === 'object') {
    const bound =
      typeof from === 'object' && typeof type === 'object'
        ? coerced({ sql, type: from }, type)
        : undefined;
    if (bound === undefined) throw impossible();
    return bound;
  }
  const checked = (macro: string, result: string, name: string): Bound => ({
    sql: safe
      ? `(CASE WHEN ${macro}(${sql}) THEN TRY_CAST(${result} AS ${duckdbType(type)}) END)`
      : `(CASE WHEN ${sql} IS NULL THEN NULL WHEN ${macro}(${sql}) THEN ${cast(result, type)} ELSE error('Bad ${name} value: ' || ${sql}) END)`,
    type,
  });
  const plain = (result: string): Bound => ({
    sql: safe ? `TRY_CAST(${result} AS ${duckdbType(type)})` : cast(result, type),
    type,
  });
  switch (type) {
    case 'STRING':
      return { sql: toText(value), type };
    case 'INT64':
      if (from === 'STRING') return checked('bq_is_int', `trim(${sql})`, 'int64');
      if (from === 'FLOAT64' || from === 'NUMERIC') return plain(`round(${sql})`);
      if (from === 'BOOL') return plain(sql);
      throw impossible();
    case 'FLOAT64':
      if (from === 'STRING') return checked('bq_is_float', sql, 'double');
      if (from === 'INT64' || from === 'NUMERIC') return plain(sql);
      throw impossible();
    case 'NUMERIC':
      if (from === 'STRING') return checked('bq_is_numeric', `trim(${sql})`, 'NUMERIC');
      if (from === 'INT64' || from === 'FLOAT64') return plain(sql);
      throw impossible();
    case 'BOOL':
      if (from === 'STRING')
        return {
          sql: `(CASE lower(${sql}) WHEN 'true' THEN TRUE WHEN 'false' THEN FALSE ${safe ? '' : `ELSE CASE WHEN ${sql} IS NOT NULL THEN error('Bad bool value: ' || ${sql}) END `}END)`,
          type,
        };
      if (from === 'INT64') return { sql: `(${sql} <> 0)`, type };
      throw impossible();
    case 'DATE':
      if (from === 'STRING') return checked('bq_is_date', sql, 'date');
      if (from === 'TIMESTAMP') return plain(sql);
      throw impossible();
    case 'TIMESTAMP':
      if (from === 'STRING') {
        const parsed = `bq_timestamp_of(${sql})`;
        if (safe) throw unsupported('SAFE_CAST to TIMESTAMP (use SAFE.PARSE_TIMESTAMP)', at);
        return {
          sql: `(CASE WHEN ${sql} IS NULL THEN NULL WHEN bq_is_timestamp(${sql}) THEN ${parsed} ELSE error('Invalid timestamp: ' || ${sql}) END)`,
          type,
        };
      }
      if (from === 'DATE') return plain(sql);
      throw impossible();
    case 'BYTES':
      if (from === 'STRING') return { sql: `encode(${sql})`, type };
      throw impossible();
    default:
      throw impossible();
  }
}

/** A value as BigQuery writes it in a cast to STRING. */
export function toText(bound: Bound): string {
  switch (bound.type) {
    case 'FLOAT64':
      return `bq_float_text(${bound.sql})`;
    case 'NUMERIC':
      return `bq_numeric_text(${bound.sql})`;
    case 'TIMESTAMP':
      return `bq_timestamp_text(${bound.sql})`;
    case 'BYTES':
      return `decode(${bound.sql})`;
    default:
      return cast(bound.sql, 'STRING');
  }
}
