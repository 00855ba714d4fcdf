/** One SELECT, from its rows to its order. */

import type { Expr, OrderItem, Select, WindowSpec } from '../parse/ast.ts';
import { QueryFault } from '../refusal.ts';
import { typeText } from '../type.ts';
import { orderSql } from './aggregates.ts';
import { type Bound, type BoundQuery, coerce, type Scope, settled } from './bound.ts';
import { containsAggregate, containsWindow, pathsOf } from './contains.ts';
import { bindFrom } from './from.ts';
import { notePartitionFilters } from './prune.ts';
import { expanded, type Item } from './select_list.ts';
import type { Translation } from './translation.ts';

/** @param limit LIMIT and OFFSET in SQL, or nothing */
export function bindSelect(
  select: Select,
  outer: Scope | undefined,
  orderBy: readonly OrderItem[],
  limit: string,
  context: Translation,
): BoundQuery {
  const from =
    select.from === undefined
      ? { sql: '', relations: [], merged: [] }
      : bindFrom(select.from, outer, context);
  if (select.from === undefined && select.where !== undefined)
    throw new QueryFault('Query without FROM clause cannot have a WHERE clause', select.at);
  const windows = new Map<string, WindowSpec>(
    select.windows.map(({ name, spec }) => [name.toLowerCase(), spec]),
  );
  const rows: Scope = {
    relations: from.relations,
    merged: from.merged,
    windows,
    ...(outer && { parent: outer }),
  };
  const whereScope: Scope = { ...rows, noAggregate: 'WHERE clause', noWindow: 'WHERE clause' };
  const where =
    select.where &&
    coerce(context.expr(select.where, whereScope), 'BOOL', 'WHERE', select.where.at).sql;
  if (select.where !== undefined) notePartitionFilters(select.where, rows, context);

  const items = select.items.flatMap((item) => expanded(item, rows, context));
  const exprs = items.map(({ expr }) => expr).filter((expr) => expr !== undefined);
  const later = [select.having, select.qualify, ...orderBy.map(({ expr }) => expr)].filter(
    (expr) => expr !== undefined,
  );
  const isAggregated =
    select.groupBy !== undefined ||
    select.having !== undefined ||
    [...exprs, ...later].some(containsAggregate);

  // GROUP BY may name an alias or a position; an alias hides a column of the same name.
  const groupExprs = groupedBy(select, items);
  const groupScope: Scope = {
    ...rows,
    noAggregate: 'GROUP BY clause',
    noWindow: 'GROUP BY clause',
  };
  const groups = groupExprs.map((group) =>
    typeof group === 'string' ? group : context.expr(group, groupScope).sql,
  );
  const scope: Scope = isAggregated ? { ...rows, grouped: new Set(groups) } : rows;
  const bounds = items.map(({ expr, bound, name }) => {
    const value = expr === undefined ? (bound as Bound) : context.expr(expr, scope);
    if (expr === undefined && isAggregated && !groups.includes(value.sql))
      throw new QueryFault(
        `SELECT list expression references column ${name} which is neither grouped nor aggregated`,
        select.at,
      );
    return { ...value, type: settled(value.type) };
  });
  const names = items.map(
    ({ name, expr }, i) =>
      name ?? (expr?.kind === 'path' || expr?.kind === 'field' ? (bounds[i]?.name ?? '') : ''),
  );

  const aliases = new Map<string, Bound | 'ambiguous'>();
  names.forEach((name, i) => {
    if (name === '') return;
    const bound = {
      ...(bounds[i] as Bound),
      aggregate: items[i]?.expr !== undefined && containsAggregate(items[i]?.expr as Expr),
    };
    const known = aliases.get(name.toLowerCase());
    aliases.set(
      name.toLowerCase(),
      known !== undefined && known !== 'ambiguous' && known.sql !== bound.sql ? 'ambiguous' : bound,
    );
  });
  const after: Scope = { ...scope, aliases };
  const having =
    select.having &&
    coerce(
      context.expr(select.having, { ...after, noWindow: 'HAVING clause' }),
      'BOOL',
      'HAVING',
      select.having.at,
    ).sql;
  const qualify =
    select.qualify &&
    coerce(context.expr(select.qualify, after), 'BOOL', 'QUALIFY', select.qualify.at).sql;
  const order = orderSql(orderBy, (expr) => {
    const ordinal = ordinalOf(expr, items.length);
    if (ordinal !== undefined) return ordinal;
    const { sql } = context.expr(expr, after);
    const item = bounds.findIndex((bound) => bound.sql === sql);
    if (item < 0 && select.distinct)
      throw new QueryFault(
        'ORDER BY expression must be in the SELECT list of SELECT DISTINCT',
        expr.at,
      );
    return item < 0 ? sql : `${item + 1}`;
  });
  if (select.distinct)
    for (const { type } of bounds)
      if (typeof type === 'object')
        throw new QueryFault(
          `Column of type ${typeText(type)} cannot be used in SELECT DISTINCT`,
          select.at,
        );

  const windowed = exprs.some(containsWindow) || select.qualify !== undefined;
  const columns = bounds.map((bound, i) => ({
    name: names[i] as string,
    type: bound.type,
    sources: windowed || limit !== '' ? [] : (bound.sources ?? []),
  }));
  const list = select.asStruct
    ? `struct_pack(${bounds.map(({ sql }, i) => `f${i} := ${sql}`).join(', ')}) AS o0`
    : bounds.map(({ sql }, i) => `${sql} AS o${i}`).join(', ');
  const sql = [
    `SELECT ${select.distinct ? 'DISTINCT ' : ''}${list}`,
    from.sql === '' ? '' : `FROM ${from.sql}`,
    where === undefined ? '' : `WHERE ${where}`,
    groups.length === 0
      ? ''
      : `GROUP BY ${select.groupBy?.kind === 'rollup' ? `ROLLUP (${groups.join(', ')})` : groups.join(', ')}`,
    having === undefined ? '' : `HAVING ${having}`,
    qualify === undefined ? '' : `QUALIFY ${qualify}`,
    order === '' ? '' : `ORDER BY ${order}`,
  ]
    .filter((part) => part !== '')
    .join(' ');
  return {
    sql: sql + limit,
    columns: select.asStruct ? [{ name: '', type: { struct: columns }, sources: [] }] : columns,
    ordered: order !== '',
  };
}

/** GROUP BY's expressions; a string is SQL that is bound already (a column of `*`). */
function groupedBy(select: Select, items: readonly Item[]): readonly (Expr | string)[] {
  const { groupBy } = select;
  if (groupBy === undefined) return [];
  if (groupBy.kind === 'all')
    return items
      .filter(
        ({ expr }) =>
          expr === undefined ||
          (!containsAggregate(expr) && !containsWindow(expr) && pathsOf(expr).length > 0),
      )
      .map(({ expr, bound }) => expr ?? (bound as Bound).sql);
  return groupBy.exprs.map((expr) => {
    const ordinal = ordinalOf(expr, items.length);
    const named =
      expr.kind === 'path' && expr.names.length === 1
        ? items.filter(({ name }) => name?.toLowerCase() === expr.names[0]?.toLowerCase())
        : [];
    const item = ordinal === undefined ? named[0] : items[Number(ordinal) - 1];
    if (item === undefined) return expr;
    if (item.expr !== undefined && (containsAggregate(item.expr) || containsWindow(item.expr)))
      throw new QueryFault(
        `${ordinal === undefined ? `Column ${item.name}` : `Column number ${ordinal}`} contains an aggregation function, which is not allowed in GROUP BY`,
        expr.at,
      );
    return item.expr ?? (item.bound as Bound).sql;
  });
}

/** The position in the select list that a literal names; undefined = it is no literal. */
export function ordinalOf(expr: Expr, columns: number): string | undefined {
  if (expr.kind !== 'literal') return undefined;
  const index = Number(expr.value);
  if (expr.type !== 'INT64')
    throw new QueryFault('Cannot ORDER BY or GROUP BY literal expressions', expr.at);
  if (index < 1 || index > columns)
    throw new QueryFault(
      `ORDER BY or GROUP BY is out of SELECT column number range: ${expr.value}`,
      expr.at,
    );
  return expr.value;
}
