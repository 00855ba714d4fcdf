import type { Expr, LiteralType, Query, WindowSpec } from '../parse/ast.ts';
import { QueryFault, unsupported } from '../refusal.ts';
import { duckdbType, sameType, type Type, textLiteral, typeText } from '../type.ts';

/** A column of a table as one FROM clause reads it: what partition filters and dry-run bytes are counted on. */
export interface TableUse {
  readonly dataset: string;
  readonly table: string;
  readonly columns: Set<string>;
  readonly partition:
    | { readonly column: string; readonly unit: 'DAY' | 'MONTH' | 'HOUR' | 'YEAR' }
    | undefined;
  readonly requireFilter: boolean;
  readonly at: number;
  /** DuckDB predicates over the partition column alone, joined by AND; `bq_part` stands for the column. */
  readonly filters: string[];
}

export interface Source {
  readonly use: TableUse;
  readonly column: string;
}

/** An expression in DuckDB's SQL with its GoogleSQL type. */
export interface Bound {
  readonly sql: string;
  readonly type: Type;
  /** Set for literals and parameters, which coerce more freely than other expressions. */
  readonly literal?: { readonly type: LiteralType | 'PARAM'; readonly value: string };
  /** The name a select list gives it by itself. */
  readonly name?: string;
  /** The table columns it is an untouched copy of. */
  readonly sources?: readonly Source[];
  /** Contains an aggregate of the query it was bound in. */
  readonly aggregate?: boolean;
}

export interface Column {
  readonly name: string;
  readonly bound: Bound;
}

export interface Relation {
  readonly alias: string | undefined;
  readonly columns: readonly Column[];
  /** UNNEST of an array: the element itself, reached by the alias alone. */
  readonly element?: Bound;
}

export interface Scope {
  readonly relations: readonly Relation[];
  /** Columns merged by USING: unqualified names find them first. */
  readonly merged: readonly Column[];
  readonly parent?: Scope;
  readonly aliases?: ReadonlyMap<string, Bound | 'ambiguous'>;
  /** SQL of the GROUP BY expressions, when this is an aggregated select. */
  readonly grouped?: ReadonlySet<string>;
  readonly inAggregate?: boolean;
  readonly windows?: ReadonlyMap<string, WindowSpec>;
  /** The clause in which aggregates or analytic functions may not stand. */
  readonly noAggregate?: string;
  readonly noWindow?: string;
}

export interface BoundQuery {
  readonly sql: string;
  readonly columns: readonly {
    readonly name: string;
    readonly type: Type;
    readonly sources: readonly Source[];
  }[];
  readonly ordered: boolean;
}

export interface Parameter {
  readonly name: string | undefined;
  readonly bound: Bound;
}

/** What expressions need from the translation: subqueries, parameters and the statement's one clock reading. */
export interface Binder {
  query(query: Query, outer?: Scope): BoundQuery;
  parameter(name: string | number, at: number): Bound;
  /** The time of the statement, in microseconds since the epoch. */
  readonly nowMicros: bigint;
  expr(expr: Expr, scope: Scope): Bound;
}

export function cast(sql: string, type: Type): string {
  return `CAST(${sql} AS ${duckdbType(type)})`;
}

export function isNumber(type: Type): boolean {
  return type === 'INT64' || type === 'FLOAT64' || type === 'NUMERIC';
}

/** Gives an expression another type where GoogleSQL does so by itself; undefined where it does not. */
export function coerced(bound: Bound, type: Type): Bound | undefined {
  if (sameType(bound.type, type)) return bound;
  const { literal, ...rest } = bound;
  const as = (sql: string): Bound => ({ ...rest, sql, type });
  if (bound.type === 'NULL') return as(cast('NULL', type));
  if (bound.type === 'INT64' && (type === 'FLOAT64' || type === 'NUMERIC'))
    return as(cast(bound.sql, type));
  if (bound.type === 'NUMERIC' && type === 'FLOAT64') return as(cast(bound.sql, type));
  if (bound.type === 'FLOAT64' && type === 'NUMERIC' && literal?.type === 'FLOAT64')
    return as(cast(textLiteral(literal.value), type));
  if (bound.type === 'STRING' && literal !== undefined) {
    if (type === 'DATE' && isDate(literal.value)) return as(`DATE ${textLiteral(literal.value)}`);
    if (type === 'TIMESTAMP') return as(`bq_timestamp_of(${textLiteral(literal.value)})`);
  }
  if (typeof bound.type === 'object' && typeof type === 'object') {
    if ('array' in bound.type && 'array' in type) {
      const element = coerced({ sql: 'e', type: bound.type.array }, type.array);
      return element && as(`list_transform(${bound.sql}, lambda e : ${element.sql})`);
    }
    if (
      'struct' in bound.type &&
      'struct' in type &&
      bound.type.struct.length === type.struct.length
    ) {
      const to = type.struct;
      const fields = bound.type.struct.map((field, i) =>
        coerced({ sql: `(${bound.sql}).f${i}`, type: field.type }, to[i]?.type ?? 'NULL'),
      );
      if (fields.every((field) => field !== undefined))
        return as(`struct_pack(${fields.map((field, i) => `f${i} := ${field?.sql}`).join(', ')})`);
    }
  }
  return undefined;
}

function isDate(text: string): boolean {
  const match = /^(\d{4})-(\d{1,2})-(\d{1,2})$/.exec(text);
  if (match === null) return false;
  const [year, month, day] = match.slice(1).map(Number) as [number, number, number];
  const date = new Date(Date.UTC(year, month - 1, day));
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day && year > 0;
}

/** The one type that all can take, or undefined. */
export function commonType(items: readonly Bound[]): Type | undefined {
  const firm = items.filter(
    ({ type, literal }) => type !== 'NULL' && !(type === 'STRING' && literal),
  );
  const candidates = firm.length > 0 ? firm : items.filter(({ type }) => type !== 'NULL');
  const order = ['INT64', 'NUMERIC', 'FLOAT64'];
  let best: Type = candidates[0]?.type ?? 'NULL';
  for (const { type, literal } of candidates) {
    // A literal 0.5 beside a NUMERIC is a NUMERIC.
    if (type === 'FLOAT64' && literal?.type === 'FLOAT64' && best === 'NUMERIC') continue;
    if (isNumber(type) && isNumber(best)) {
      if (order.indexOf(type as string) > order.indexOf(best as string)) best = type;
    } else if (typeof best === 'object' && typeof type === 'object' && !sameType(best, type)) {
      if (coerced({ sql: '', type }, best) === undefined) best = type;
    }
  }
  if (
    best === 'FLOAT64' &&
    candidates.some(({ type }) => type === 'NUMERIC') &&
    candidates.every(({ type, literal }) => type !== 'FLOAT64' || literal?.type === 'FLOAT64')
  )
    best = 'NUMERIC';
  return items.every((item) => coerced(item, best) !== undefined) ? best : undefined;
}

export function coerce(bound: Bound, type: Type, what: string, at: number): Bound {
  const result = coerced(bound, type);
  if (result !== undefined) return result;
  if (bound.literal?.type === 'STRING' && type === 'DATE')
    throw new QueryFault(`Could not cast literal "${bound.literal.value}" to type DATE`, at);
  throw new QueryFault(
    `No matching signature for ${what} for argument types: ${typeText(bound.type)}`,
    at,
  );
}

/** Brings all to one type. */
export function unify(
  items: readonly Bound[],
  what: string,
  at: number,
): { readonly type: Type; readonly items: readonly Bound[] } {
  const type = commonType(items);
  if (type === undefined)
    throw new QueryFault(
      `No matching signature for ${what} for argument types: ${items.map((item) => typeText(item.type)).join(', ')}`,
      at,
    );
  return { type, items: items.map((item) => coerced(item, type) as Bound) };
}

export function literalText(bound: Bound | undefined, what: string, at: number): string {
  if (bound?.literal !== undefined && bound.type === 'STRING') return bound.literal.value;
  throw unsupported(`${what} that is not a literal or parameter`, at);
}

/** A NULL that nothing gave a type is an INT64. */
export function settled(type: Type): Type {
  return type === 'NULL' ? 'INT64' : type;
}
