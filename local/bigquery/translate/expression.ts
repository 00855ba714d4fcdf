/** Expressions of GoogleSQL to DuckDB's SQL, typed on the way; what has no rule here is refused. */
import type { Call, Expr } from '../parse/ast.ts';
import { QueryFault, unsupported } from '../refusal.ts';
import { duckdbType, typeText } from '../type.ts';
import { aggregateOrAnalytic, needsAggregateOrOver } from './aggregates.ts';
import {
  type Binder,
  type Bound,
  cast,
  coerce,
  isNumber,
  type Scope,
  settled,
  unify,
} from './bound.ts';
import { containsAggregate, containsSubquery } from './contains.ts';
import { conversion, typeOf } from './conversion.ts';
import { extractPart } from './dates.ts';
import { FUNCTION_NAMES, scalarFunction } from './functions.ts';
import { literal } from './literal.ts';
import { field, nearest, path } from './names.ts';
import { quotient } from './number_functions.ts';
import { shifted } from './time_functions.ts';

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
