/** A whole query: WITH, set operations, ORDER BY and LIMIT around its SELECTs. */

import type { Body, Expr, OrderItem, Query } from '../parse/ast.ts';
import { QueryFault, unsupported } from '../refusal.ts';
import { typeText } from '../type.ts';
import { orderSql } from './aggregates.ts';
import { type BoundQuery, coerced, commonType, type Scope } from './bound.ts';
import { relationOf } from './from.ts';
import { bindSelect, ordinalOf } from './select.ts';
import type { Translation } from './translation.ts';

/** @param outer what an enclosing query lets this one see */
export function bindQuery(
  query: Query,
  outer: Scope | undefined,
  context: Translation,
): BoundQuery {
  if (query.recursive) throw unsupported('WITH RECURSIVE', query.at);
  const before = context.ctes;
  const definitions: string[] = [];
  for (const { name, query: inner, at } of query.with) {
    if (
      context.ctes.some(
        (cte) => cte.name.toLowerCase() === name.toLowerCase() && !before.includes(cte),
      )
    )
      throw new QueryFault(`Duplicate alias ${name} for WITH subquery`, at);
    const sqlName = context.fresh('w');
    // What it reads counts at each place that names it; here only its SQL is made.
    const uses = context.uses.length;
    const bound = context.query(inner, undefined);
    context.uses.length = uses;
    definitions.push(`${sqlName} AS (${bound.sql})`);
    context.ctes = [...context.ctes, { name, query: inner, before: context.ctes, sqlName }];
  }
  const bound = bindBody(query.body, outer, query.orderBy, limitOf(query, context), context);
  context.ctes = before;
  return definitions.length === 0
    ? bound
    : { ...bound, sql: `WITH ${definitions.join(', ')} ${bound.sql}` };
}

function limitOf(query: Query, context: Translation): string {
  const count = (expr: Expr, what: string): string => {
    const bound = context.expr(expr, { relations: [], merged: [] });
    if (bound.type !== 'INT64' || bound.literal === undefined || BigInt(bound.literal.value) < 0n)
      throw new QueryFault(`${what} expects a non-negative integer literal or parameter`, expr.at);
    return `${what} ${bound.literal.value}`;
  };
  return [query.limit && count(query.limit, 'LIMIT'), query.offset && count(query.offset, 'OFFSET')]
    .filter(Boolean)
    .map((part) => ` ${part}`)
    .join('');
}

function bindBody(
  body: Body,
  outer: Scope | undefined,
  orderBy: readonly OrderItem[],
  limit: string,
  context: Translation,
): BoundQuery {
  if (body.kind === 'select') return bindSelect(body, outer, orderBy, limit, context);
  const bound =
    body.kind === 'query'
      ? context.query(body.query, outer)
      : bindSetOperation(body, outer, context);
  if (orderBy.length === 0 && limit === '') return bound;
  const alias = context.fresh('t');
  const relation = relationOf(bound, alias, undefined);
  const scope: Scope = { relations: [relation], merged: [], ...(outer && { parent: outer }) };
  const order =
    orderBy.length === 0
      ? ''
      : ` ORDER BY ${orderSql(orderBy, (expr) => ordinalOf(expr, bound.columns.length) ?? context.expr(expr, scope).sql)}`;
  return {
    ...bound,
    columns:
      limit === '' ? bound.columns : bound.columns.map((column) => ({ ...column, sources: [] })),
    ordered: order !== '',
    sql: `SELECT * FROM (${bound.sql}) AS ${alias}${order}${limit}`,
  };
}

function bindSetOperation(
  body: Extract<Body, { kind: 'set' }>,
  outer: Scope | undefined,
  context: Translation,
): BoundQuery {
  const left = bindBody(body.left, outer, [], '', context);
  const right = bindBody(body.right, outer, [], '', context);
  const what = `${body.op} ${body.all ? 'ALL' : 'DISTINCT'}`;
  if (left.columns.length !== right.columns.length)
    throw new QueryFault(
      `Queries in ${what} have mismatched column count; query 1 has ${left.columns.length} column, query 2 has ${right.columns.length} columns`,
      body.at,
    );
  const columns = left.columns.map((column, i) => {
    const other = right.columns[i] as BoundQuery['columns'][number];
    const type = commonType([
      { sql: '', type: column.type },
      { sql: '', type: other.type },
    ]);
    if (type === undefined)
      throw new QueryFault(
        `Column ${i + 1} in ${what} has incompatible types: ${typeText(column.type)}, ${typeText(other.type)}`,
        body.at,
      );
    return { name: column.name, type, sources: [...column.sources, ...other.sources] };
  });
  const side = (query: BoundQuery): string => {
    const alias = context.fresh('t');
    const items = columns.map(
      ({ type }, i) =>
        `${coerced({ sql: `${alias}.o${i}`, type: query.columns[i]?.type ?? 'NULL' }, type)?.sql} AS o${i}`,
    );
    return `SELECT ${items.join(', ')} FROM (${query.sql}) AS ${alias}`;
  };
  return {
    sql: `(${side(left)}) ${body.op}${body.all ? ' ALL' : ''} (${side(right)})`,
    columns,
    ordered: false,
  };
}
