/** Expressions of GoogleSQL to DuckDB's SQL, typed on the way; what has no rule here is refused. */

import type { Call, Expr, TypeName } from '../parse/ast.ts';
import { QueryFault, unsupported } from '../refusal.ts';
import { duckdbType, sameType, scalarNamed, type Type, textLiteral, typeText } from '../type.ts';
import { aggregateOrAnalytic, needsAggregateOrOver } from './aggregates.ts';
import {
  type Binder,
  type Bound,
  type Column,
  cast,
  coerce,
  coerced,
  isNumber,
  type Scope,
  unify,
} from './bound.ts';
import { extractPart } from './dates.ts';
import { FUNCTION_NAMES, quotient, scalarFunction, shifted, toText } from './functions.ts';

const COMPARISONS = new Set(['=', '<>', '<', '>', '<=', '>=']);

export function bindExpr(expr: Expr, scope: Scope, binder: Binder): Bound {
  const bind = (inner: Expr): Bound => binder.expr(inner, scope);
  const { at } = expr;
  if (scope.grouped !== undefined && !scope.inAggregate && groupable(expr)) {
    // An expression that repeats one of GROUP BY is that group's value.
    const { grouped, ...rows } = scope;
    const plain = attempt(() => binder.expr(expr, rows));
    if (plain !== undefined && grouped.has(plain.sql)) return plain;
  }
  switch (expr.kind) {
    case 'literal':
      return literal(expr.type, expr.value, at);
    case 'param':
      return binder.parameter(expr.name, at);
    case 'path':
      return path(expr.names, scope, at);
    case 'call':
      return call(expr, scope, binder);
    case 'unary': {
      const inner = bind(expr.expr);
      if (expr.op === 'NOT')
        return { sql: `(NOT ${coerce(inner, 'BOOL', 'operator NOT', at).sql})`, type: 'BOOL' };
      if (expr.op === '~')
        return { sql: `(~${coerce(inner, 'INT64', 'operator ~', at).sql})`, type: 'INT64' };
      const number = isNumber(inner.type)
        ? inner
        : coerce(inner, 'INT64', `operator ${expr.op}`, at);
      return { sql: expr.op === '-' ? `(-${number.sql})` : number.sql, type: number.type };
    }
    case 'binary':
      return binary(expr.op, expr.left, expr.right, scope, binder, at);
    case 'between': {
      const [value, low, high] = comparable(
        [bind(expr.expr), bind(expr.low), bind(expr.high)],
        'BETWEEN',
        at,
      );
      return {
        sql: `(${value} ${expr.not ? 'NOT ' : ''}BETWEEN ${low} AND ${high})`,
        type: 'BOOL',
      };
    }
    case 'distinct': {
      const [left, right] = comparable([bind(expr.left), bind(expr.right)], 'IS DISTINCT FROM', at);
      return { sql: `(${left} IS ${expr.not ? 'NOT ' : ''}DISTINCT FROM ${right})`, type: 'BOOL' };
    }
    case 'is': {
      const inner =
        expr.what === 'NULL'
          ? bind(expr.expr)
          : coerce(bind(expr.expr), 'BOOL', `IS ${expr.what}`, at);
      // DuckDB compares a STRUCT field by field.
      return { sql: `(${inner.sql} IS ${expr.not ? 'NOT ' : ''}${expr.what})`, type: 'BOOL' };
    }
    case 'like': {
      const text = coerce(bind(expr.expr), 'STRING', 'operator LIKE', at).sql;
      const pattern = coerce(bind(expr.pattern), 'STRING', 'operator LIKE', at).sql;
      return {
        sql: `(${text} ${expr.not ? 'NOT ' : ''}LIKE ${pattern} ESCAPE '\\')`,
        type: 'BOOL',
      };
    }
    case 'in':
      return membership(expr, scope, binder);
    case 'case': {
      const results = unify(
        [
          ...expr.whens.map(({ result }) => bind(result)),
          ...(expr.otherwise ? [bind(expr.otherwise)] : []),
        ],
        'CASE',
        at,
      );
      const whens = expr.whens.map(({ when }, i) => {
        const condition =
          expr.operand === undefined
            ? coerce(bind(when), 'BOOL', 'WHEN', when.at).sql
            : comparable([bind(expr.operand), bind(when)], 'CASE', when.at).join(' = ');
        return `WHEN ${condition} THEN ${results.items[i]?.sql}`;
      });
      const otherwise = expr.otherwise ? ` ELSE ${results.items.at(-1)?.sql}` : '';
      return { sql: `(CASE ${whens.join(' ')}${otherwise} END)`, type: results.type };
    }
    case 'cast':
      return conversion(bind(expr.expr), typeOf(expr.type), expr.safe, at);
    case 'extract': {
      const value = bind(expr.expr);
      const time = value.type === 'DATE' ? value : coerce(value, 'TIMESTAMP', 'EXTRACT', at);
      if (time.type === 'DATE' && expr.zone)
        throw new QueryFault('EXTRACT from a DATE takes no time zone', at);
      const local =
        expr.zone === undefined
          ? time.sql
          : `bq_local(${time.sql}, ${coerce(bind(expr.zone), 'STRING', 'AT TIME ZONE', at).sql})`;
      if (expr.part === 'DATE') return { sql: cast(local, 'DATE'), type: 'DATE' };
      return { sql: `(${extractPart(local, expr.part, time.type !== 'DATE', at)})`, type: 'INT64' };
    }
    case 'interval':
      throw unsupported('INTERVAL outside of date arithmetic', at);
    case 'array': {
      const wanted = expr.type && typeOf(expr.type);
      if (typeof wanted === 'object' && 'array' in wanted)
        throw new QueryFault('Cannot construct array with element type ARRAY', at);
      const items = expr.items.map(bind);
      const { type, items: unified } =
        wanted === undefined
          ? unify(items, 'array', at)
          : { type: wanted, items: items.map((item) => coerce(item, wanted, 'array', at)) };
      return {
        sql: `CAST([${unified.map(({ sql }) => sql).join(', ')}] AS ${duckdbType({ array: type })})`,
        type: { array: type },
      };
    }
    case 'struct': {
      const wanted = expr.type && typeOf(expr.type);
      const bounds = expr.fields.map(({ expr: field }) => bind(field));
      if (wanted !== undefined) {
        if (
          typeof wanted !== 'object' ||
          !('struct' in wanted) ||
          wanted.struct.length !== bounds.length
        )
          throw new QueryFault('STRUCT type and its values differ in the number of fields', at);
        const fields = wanted.struct.map(
          (field, i) => `f${i} := ${coerce(bounds[i] as Bound, field.type, 'STRUCT', at).sql}`,
        );
        return { sql: `struct_pack(${fields.join(', ')})`, type: wanted };
      }
      if (bounds.length === 0) throw unsupported('An empty STRUCT', at);
      const named = expr.fields.map(({ name, expr: field }, i) => ({
        name: name ?? (field.kind === 'path' ? (bounds[i]?.name ?? '') : ''),
        type: (bounds[i] as Bound).type,
      }));
      return {
        sql: `struct_pack(${bounds.map(({ sql }, i) => `f${i} := ${sql}`).join(', ')})`,
        type: { struct: named },
      };
    }
    case 'subscript': {
      const array = bind(expr.expr);
      if (typeof array.type !== 'object' || !('array' in array.type))
        throw new QueryFault(
          `Subscript access using [INT64] on value of type ${typeText(array.type)}`,
          at,
        );
      const index = coerce(bind(expr.index), 'INT64', 'array subscript', at).sql;
      const zero = expr.mode.endsWith('ORDINAL') ? `(${index} - 1)` : index;
      return {
        sql: `${expr.mode.startsWith('SAFE') ? 'bq_safe_element' : 'bq_element'}(${array.sql}, ${zero})`,
        type: array.type.array,
      };
    }
    case 'field':
      return field(bind(expr.expr), expr.name, at);
    case 'subquery': {
      const query = binder.query(expr.query, scope);
      if (expr.how === 'exists') return { sql: `EXISTS (${query.sql})`, type: 'BOOL' };
      const column = query.columns[0];
      if (column === undefined || query.columns.length > 1)
        throw new QueryFault(
          `${expr.how === 'array' ? 'ARRAY' : 'Scalar'} subquery cannot have more than one column unless using SELECT AS STRUCT to build STRUCT values`,
          at,
        );
      if (expr.how === 'scalar') return { sql: `(${query.sql})`, type: column.type };
      if (typeof column.type === 'object' && 'array' in column.type)
        throw new QueryFault('Cannot use array subquery with column of type ARRAY', at);
      return { sql: `ARRAY(${query.sql})`, type: { array: settled(column.type) } };
    }
  }
}

/** A NULL that nothing gave a type is an INT64. */
export function settled(type: Type): Type {
  return type === 'NULL' ? 'INT64' : type;
}

/** Whether an expression as a whole could be one of GROUP BY. A subquery is bound once only: it counts the tables it reads. */
function groupable(expr: Expr): boolean {
  return (
    expr.kind !== 'path' &&
    expr.kind !== 'literal' &&
    !containsAggregate(expr) &&
    !containsSubquery(expr)
  );
}

function attempt(work: () => Bound): Bound | undefined {
  try {
    return work();
  } catch (error) {
    if (error instanceof QueryFault) return undefined;
    throw error;
  }
}

export function literal(type: string, value: string, at: number): Bound {
  switch (type) {
    case 'NULL':
      return { sql: 'NULL', type: 'NULL' };
    case 'BOOL':
      return { sql: value, type: 'BOOL', literal: { type: 'BOOL', value } };
    case 'INT64': {
      const number = BigInt(value);
      if (number > 9223372036854775807n || number < -9223372036854775808n)
        throw new QueryFault(`Invalid integer literal: ${value}`, at);
      return { sql: `CAST(${value} AS BIGINT)`, type: 'INT64', literal: { type: 'INT64', value } };
    }
    case 'FLOAT64':
      // Without an exponent DuckDB would read a DECIMAL.
      return {
        sql: `CAST('${value}' AS DOUBLE)`,
        type: 'FLOAT64',
        literal: { type: 'FLOAT64', value },
      };
    case 'STRING':
      return { sql: textLiteral(value), type: 'STRING', literal: { type: 'STRING', value } };
    case 'BYTES':
      return { sql: `encode(${textLiteral(value)})`, type: 'BYTES' };
    case 'NUMERIC':
      if (!/^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$/.test(value))
        throw new QueryFault(`Invalid NUMERIC literal: ${value}`, at);
      return { sql: cast(textLiteral(value), 'NUMERIC'), type: 'NUMERIC' };
    default: {
      const bound = coerced(
        { sql: '', type: 'STRING', literal: { type: 'STRING', value } },
        type as Type,
      );
      if (bound === undefined || (type === 'TIMESTAMP' && !/^\d{4}-\d{1,2}-\d{1,2}/.test(value)))
        throw new QueryFault(`Invalid ${type} literal`, at);
      return bound;
    }
  }
}

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

/** All of one type that can be compared, as SQL. */
function comparable(items: readonly Bound[], what: string, at: number): string[] {
  const { type, items: unified } = unify(items, `operator ${what}`, at);
  if (typeof type === 'object' && 'array' in type)
    throw new QueryFault(`${what} is not defined for arguments of type ${typeText(type)}`, at);
  return unified.map(({ sql }) => sql);
}

function binary(
  op: string,
  leftExpr: Expr,
  rightExpr: Expr,
  scope: Scope,
  binder: Binder,
  at: number,
): Bound {
  const left = binder.expr(leftExpr, scope);
  // A date and an interval: the one place where INTERVAL is a value.
  if (rightExpr.kind === 'interval' && (op === '+' || op === '-')) {
    const amount = coerce(
      binder.expr(rightExpr.amount, scope),
      'INT64',
      'INTERVAL',
      rightExpr.at,
    ).sql;
    if (left.type === 'DATE')
      throw unsupported(
        'DATE with INTERVAL and an operator (a DATETIME; use DATE_ADD or DATE_SUB)',
        at,
      );
    return shifted(
      coerce(left, 'TIMESTAMP', `operator ${op}`, at),
      op === '-' ? `(-(${amount}))` : amount,
      rightExpr.part,
      at,
    );
  }
  const right = binder.expr(rightExpr, scope);
  if (op === 'AND' || op === 'OR')
    return {
      sql: `(${coerce(left, 'BOOL', `operator ${op}`, at).sql} ${op} ${coerce(right, 'BOOL', `operator ${op}`, at).sql})`,
      type: 'BOOL',
    };
  if (COMPARISONS.has(op)) {
    const [l, r] = comparable([left, right], op, at);
    return { sql: `(${l} ${op} ${r})`, type: 'BOOL' };
  }
  if (op === '||') {
    const { type, items } = unify([left, right], 'operator ||', at);
    if (type === 'STRING' || type === 'BYTES')
      return { sql: `(${items[0]?.sql} || ${items[1]?.sql})`, type };
    if (typeof type === 'object' && 'array' in type)
      return {
        sql: `(CASE WHEN ${items[0]?.sql} IS NOT NULL AND ${items[1]?.sql} IS NOT NULL THEN list_concat(${items[0]?.sql}, ${items[1]?.sql}) END)`,
        type,
      };
    throw new QueryFault(
      `No matching signature for operator || for argument types: ${typeText(left.type)}, ${typeText(right.type)}`,
      at,
    );
  }
  if (['&', '|', '^', '<<', '>>'].includes(op)) {
    const [l, r] = [left, right].map((side) => coerce(side, 'INT64', `operator ${op}`, at).sql);
    return { sql: op === '^' ? `xor(${l}, ${r})` : `(${l} ${op} ${r})`, type: 'INT64' };
  }
  if ((op === '+' || op === '-') && left.type === 'DATE' && right.type === 'INT64')
    return {
      sql: `bq_add_days(${left.sql}, ${op === '-' ? `-(${right.sql})` : right.sql})`,
      type: 'DATE',
    };
  if (op === '+' && left.type === 'INT64' && right.type === 'DATE')
    return { sql: `bq_add_days(${right.sql}, ${left.sql})`, type: 'DATE' };
  if (op === '-' && left.type === right.type && (left.type === 'DATE' || left.type === 'TIMESTAMP'))
    throw unsupported(`${left.type} minus ${left.type} (an INTERVAL; use ${left.type}_DIFF)`, at);
  for (const side of [left, right])
    if (!isNumber(side.type) && side.type !== 'NULL')
      throw new QueryFault(
        `No matching signature for operator ${op} for argument types: ${typeText(left.type)}, ${typeText(right.type)}`,
        at,
      );
  if (op === '/') return quotient(left, right, at);
  const { type, items } = unify([left, right], `operator ${op}`, at);
  const [l, r] = items.map(({ sql }) => sql);
  const result = settled(type);
  if (op === '*' && type === 'NUMERIC') return { sql: `bq_numeric_multiply(${l}, ${r})`, type };
  return {
    sql: type === 'NUMERIC' ? cast(`${l} ${op} ${r}`, type) : `(${l} ${op} ${r})`,
    type: result,
  };
}

function membership(expr: Extract<Expr, { kind: 'in' }>, scope: Scope, binder: Binder): Bound {
  const { at } = expr;
  const value = binder.expr(expr.expr, scope);
  const not = expr.not ? 'NOT ' : '';
  if (expr.list !== undefined) {
    const [subject, ...items] = comparable(
      [value, ...expr.list.map((item) => binder.expr(item, scope))],
      'IN',
      at,
    );
    return { sql: `(${subject} ${not}IN (${items.join(', ')}))`, type: 'BOOL' };
  }
  if (expr.unnest !== undefined) {
    const array = binder.expr(expr.unnest, scope);
    if (typeof array.type !== 'object' || !('array' in array.type))
      throw new QueryFault(
        `Operand of IN UNNEST must be an array but was ${typeText(array.type)}`,
        at,
      );
    const element = array.type.array;
    const subject = coerce(value, element, 'operator IN UNNEST', at).sql;
    return { sql: `(${subject} ${not}IN (SELECT unnest(${array.sql})))`, type: 'BOOL' };
  }
  const query = binder.query(expr.query as NonNullable<typeof expr.query>, scope);
  const column = query.columns[0];
  if (column === undefined || query.columns.length > 1)
    throw new QueryFault('Subquery of type IN must have only one output column', at);
  const { items } = unify([value, { sql: 'q.o0', type: column.type }], 'operator IN', at);
  return {
    sql: `(${items[0]?.sql} ${not}IN (SELECT ${items[1]?.sql} FROM (${query.sql}) AS q(o0)))`,
    type: 'BOOL',
  };
}

function call(expr: Call, scope: Scope, binder: Binder): Bound {
  if (expr.over !== undefined || needsAggregateOrOver(expr))
    return aggregateOrAnalytic(expr, binder, scope);
  try {
    return scalarFunction(expr, binder, scope);
  } catch (error) {
    if (
      error instanceof QueryFault &&
      error.message === `Function ${expr.name} is not supported locally`
    ) {
      const near = nearest(expr.name, FUNCTION_NAMES);
      if (near !== undefined)
        throw new QueryFault(
          `Function not found: ${expr.name}; Did you mean ${near.toLowerCase()}?`,
          expr.at,
        );
    }
    throw error;
  }
}

/** What CAST does, and what SAFE_CAST makes NULL. Text is checked first: DuckDB reads more than BigQuery does. */
function conversion(value: Bound, type: Type, safe: boolean, at: number): Bound {
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

function field(value: Bound, name: string, at: number): Bound {
  if (typeof value.type !== 'object' || !('struct' in value.type))
    throw new QueryFault(
      `Cannot access field ${name} on a value with type ${typeText(value.type)}`,
      at,
    );
  const fields = value.type.struct;
  const index = fields.findIndex(
    (candidate) => candidate.name.toLowerCase() === name.toLowerCase(),
  );
  if (index < 0)
    throw new QueryFault(`Field name ${name} does not exist in ${typeText(value.type)}`, at);
  return {
    sql: `(${value.sql}).f${index}`,
    type: fields[index]?.type as Type,
    name: fields[index]?.name ?? name,
    ...(value.aggregate && { aggregate: true }),
  };
}

function find(columns: readonly Column[], name: string): readonly Column[] {
  return columns.filter((column) => column.name.toLowerCase() === name.toLowerCase());
}

/** A name, qualified or not, looked up from the inside out. */
function path(names: readonly string[], scope: Scope, at: number): Bound {
  const [first, ...rest] = names as [string, ...string[]];
  for (let level: Scope | undefined = scope; level !== undefined; level = level.parent) {
    const found = lookUp(first, rest, level, at);
    if (found !== undefined) {
      const { bound, used } = found;
      if (
        level.grouped !== undefined &&
        !level.inAggregate &&
        !bound.aggregate &&
        !found.alias &&
        !level.grouped.has(bound.sql)
      )
        throw new QueryFault(
          `Expression references column ${names[used - 1]} which is neither grouped nor aggregated`,
          at,
        );
      for (const source of bound.sources ?? []) source.use.columns.add(source.column);
      return rest.slice(used - 1).reduce((value, name) => field(value, name, at), bound);
    }
  }
  const visible = scope.relations.flatMap(({ columns, alias }) => [
    ...columns.map(({ name }) => name),
    ...(alias ? [alias] : []),
  ]);
  const near = nearest(first, visible);
  throw new QueryFault(
    `Unrecognized name: ${names.join('.')}${near === undefined ? '' : `; Did you mean ${near}?`}`,
    at,
  );
}

/** `used` counts the names that are spent. */
function lookUp(
  first: string,
  rest: readonly string[],
  scope: Scope,
  at: number,
): { bound: Bound; used: number; alias?: true } | undefined {
  const alias = scope.aliases?.get(first.toLowerCase());
  if (alias === 'ambiguous') throw new QueryFault(`Name ${first} is ambiguous`, at);
  if (alias !== undefined) {
    if (alias.aggregate && scope.inAggregate)
      throw new QueryFault('Aggregations of aggregations are not allowed', at);
    return { bound: alias, used: 1, alias: true };
  }
  const merged = find(scope.merged, first)[0];
  if (merged !== undefined) return { bound: { ...merged.bound, name: merged.name }, used: 1 };
  const columns = scope.relations.flatMap((relation) => find(relation.columns, first));
  if (columns.length > 1) throw new QueryFault(`Column name ${first} is ambiguous`, at);
  const column = columns[0];
  if (column !== undefined) return { bound: { ...column.bound, name: column.name }, used: 1 };
  const relation = scope.relations.find(
    (candidate) => candidate.alias?.toLowerCase() === first.toLowerCase(),
  );
  if (relation === undefined) return undefined;
  const name = rest[0];
  if (name === undefined) {
    if (relation.element !== undefined)
      return { bound: { ...relation.element, name: first }, used: 1 };
    throw unsupported(`A whole row (${first}) as a value`, at);
  }
  const inner = find(relation.columns, name)[0];
  if (inner === undefined) {
    const near = nearest(
      name,
      relation.columns.map((candidate) => candidate.name),
    );
    throw new QueryFault(
      `Name ${name} not found inside ${first}${near === undefined ? '' : `; Did you mean ${near}?`}`,
      at,
    );
  }
  return { bound: { ...inner.bound, name: inner.name }, used: 2 };
}

/** The name at most two edits away, as BigQuery hints. */
function nearest(name: string, candidates: readonly string[]): string | undefined {
  const limit = name.length <= 3 ? 1 : 2;
  return candidates
    .map((candidate) => ({
      candidate,
      distance: edits(name.toLowerCase(), candidate.toLowerCase()),
    }))
    .filter(({ distance }) => distance > 0 && distance <= limit)
    .sort((a, b) => a.distance - b.distance)[0]?.candidate;
}

function edits(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1)
      next.push(
        Math.min(
          (next[j - 1] as number) + 1,
          (row[j] as number) + 1,
          (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1),
        ),
      );
    row = next;
  }
  return row[b.length] as number;
}

/** Whether an aggregate of this query (not of a subquery in it) stands in an expression. */
export function containsAggregate(expr: Expr): boolean {
  return contains(expr, (call) => call.over === undefined && needsAggregateOrOver(call));
}

export function containsWindow(expr: Expr): boolean {
  return contains(expr, (call) => call.over !== undefined);
}

export function containsSubquery(expr: Expr): boolean {
  return (
    expr.kind === 'subquery' ||
    (expr.kind === 'in' && expr.query !== undefined) ||
    children(expr).some(containsSubquery)
  );
}

/** The names an expression reads, those in its subqueries left out. */
export function pathsOf(expr: Expr): readonly (readonly string[])[] {
  return expr.kind === 'path' ? [expr.names] : children(expr).flatMap(pathsOf);
}

function contains(expr: Expr, wanted: (call: Call) => boolean): boolean {
  if (expr.kind === 'call' && wanted(expr)) return true;
  return children(expr).some((child) => contains(child, wanted));
}

function children(expr: Expr): readonly Expr[] {
  switch (expr.kind) {
    case 'literal':
    case 'path':
    case 'param':
      return [];
    case 'subquery':
      return [];
    case 'call':
      return [
        ...expr.args,
        ...expr.orderBy.map((item) => item.expr),
        ...(expr.over?.partitionBy ?? []),
        ...(expr.over?.orderBy.map((item) => item.expr) ?? []),
      ];
    case 'unary':
    case 'is':
    case 'cast':
    case 'field':
      return [expr.expr];
    case 'extract':
      return [expr.expr, ...(expr.zone ? [expr.zone] : [])];
    case 'binary':
    case 'distinct':
      return [expr.left, expr.right];
    case 'between':
      return [expr.expr, expr.low, expr.high];
    case 'in':
      return [expr.expr, ...(expr.list ?? []), ...(expr.unnest ? [expr.unnest] : [])];
    case 'like':
      return [expr.expr, expr.pattern];
    case 'case':
      return [
        ...(expr.operand ? [expr.operand] : []),
        ...expr.whens.flatMap(({ when, result }) => [when, result]),
        ...(expr.otherwise ? [expr.otherwise] : []),
      ];
    case 'interval':
      return [expr.amount];
    case 'array':
      return expr.items;
    case 'struct':
      return expr.fields.map((item) => item.expr);
    case 'subscript':
      return [expr.expr, expr.index];
  }
}
