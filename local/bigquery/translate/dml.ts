/** INSERT, UPDATE, DELETE and MERGE. */
import type { Assignment, Dml, Expr, Query } from '../parse/ast.ts';
import { QueryFault } from '../refusal.ts';
import { typeText } from '../type.ts';
import { type Bound, coerce, coerced, type Scope } from './bound.ts';
import { bindFrom, noteUse, tableRelation } from './from.ts';
import { notePartitionFilters } from './prune.ts';
import type { TableInfo, Translation } from './translation.ts';

/** A change of one table, and which. */
export function bindDml(
  statement: Dml,
  context: Translation,
): { readonly sql: string; readonly target: TableInfo } {
  const target = context.table(statement.table);
  if (!/^\w+\.\w+\.\w+$/.test(target.sql))
    throw new QueryFault(`${target.dataset}.${target.table} cannot be changed`, statement.at);
  if (statement.kind === 'insert') return { sql: insertSql(statement, target, context), target };
  const alias = context.fresh('t');
  const relation = tableRelation(
    target,
    noteUse(target, statement.at, context),
    alias,
    statement.alias ?? target.table,
  );
  const scope: Scope = { relations: [relation], merged: [], noAggregate: 'DML', noWindow: 'DML' };
  if (statement.kind === 'merge')
    return { sql: mergeSql(statement, target, alias, scope, context), target };
  const where = coerce(
    context.expr(statement.where, scope),
    'BOOL',
    'WHERE',
    statement.where.at,
  ).sql;
  notePartitionFilters(statement.where, scope, context);
  if (statement.kind === 'delete')
    return { sql: `DELETE FROM ${target.sql} AS ${alias} WHERE ${where}`, target };
  return {
    sql: `UPDATE ${target.sql} AS ${alias} SET ${assignments(statement.set, target, scope, context)} WHERE ${where}`,
    target,
  };
}

function assignments(
  set: readonly Assignment[],
  target: TableInfo,
  scope: Scope,
  context: Translation,
): string {
  return set
    .map(({ column, value, at }) => {
      const found = columnOf(target, column, at);
      return `"${found.name}" = ${assigned(context.expr(value, scope), found, at)}`;
    })
    .join(', ');
}

/** A value for a column, given the column's type. A table holds no NULL arrays. */
function assigned(value: Bound, column: TableInfo['columns'][number], at: number): string {
  const bound = coerced(value, column.type);
  if (bound === undefined)
    throw new QueryFault(
      `Value has type ${typeText(value.type)} which cannot be assigned to ${column.name}, which has type ${typeText(column.type)}`,
      at,
    );
  return typeof column.type === 'object' ? `coalesce(${bound.sql}, [])` : bound.sql;
}

function insertSql(
  statement: Extract<Dml, { kind: 'insert' }>,
  target: TableInfo,
  context: Translation,
): string {
  const columns =
    statement.columns.length === 0
      ? target.columns
      : statement.columns.map((name) => columnOf(target, name, statement.at));
  const names = columns.map(({ name }) => `"${name}"`).join(', ');
  const count = (got: number): void => {
    if (got !== columns.length)
      throw new QueryFault(
        `Inserted row has wrong column count; Has ${got}, expected ${columns.length}`,
        statement.at,
      );
  };
  if (statement.rows !== undefined) {
    const rows = statement.rows.map((row) => {
      count(row.length);
      const scope: Scope = {
        relations: [],
        merged: [],
        noAggregate: 'VALUES',
        noWindow: 'VALUES',
      };
      return `(${row.map((value, i) => assigned(context.expr(value, scope), columns[i] as TableInfo['columns'][number], value.at)).join(', ')})`;
    });
    return `INSERT INTO ${target.sql} (${names}) VALUES ${rows.join(', ')}`;
  }
  const query = context.query(statement.query as Query, undefined);
  count(query.columns.length);
  const values = columns.map((column, i) =>
    assigned({ sql: `q.o${i}`, type: query.columns[i]?.type ?? 'NULL' }, column, statement.at),
  );
  return `INSERT INTO ${target.sql} (${names}) SELECT ${values.join(', ')} FROM (${query.sql}) AS q`;
}

function mergeSql(
  statement: Extract<Dml, { kind: 'merge' }>,
  target: TableInfo,
  alias: string,
  own: Scope,
  context: Translation,
): string {
  const source = bindFrom(statement.source, undefined, context);
  const both: Scope = {
    ...own,
    relations: [...own.relations, ...source.relations],
    merged: source.merged,
  };
  const only: Scope = { ...own, relations: source.relations, merged: source.merged };
  const on = coerce(context.expr(statement.on, both), 'BOOL', 'ON', statement.on.at).sql;
  notePartitionFilters(statement.on, both, context);
  const and = (expr: Expr | undefined, scope: Scope): string =>
    expr === undefined
      ? ''
      : ` AND ${coerce(context.expr(expr, scope), 'BOOL', 'AND', expr.at).sql}`;
  const clauses: string[] = [];
  const { matched, notMatched } = statement;
  if (matched !== undefined)
    clauses.push(
      `WHEN MATCHED${and(matched.and, both)} THEN UPDATE SET ${assignments(matched.set, target, both, context)}`,
    );
  if (notMatched !== undefined) {
    const columns = notMatched.columns.map((name) => columnOf(target, name, statement.at));
    if (columns.length !== notMatched.values.length)
      throw new QueryFault(
        `Inserted row has wrong column count; Has ${notMatched.values.length}, expected ${columns.length}`,
        statement.at,
      );
    const values = notMatched.values.map((value, i) =>
      assigned(context.expr(value, only), columns[i] as TableInfo['columns'][number], value.at),
    );
    clauses.push(
      `WHEN NOT MATCHED${and(notMatched.and, only)} THEN INSERT (${columns.map(({ name }) => `"${name}"`).join(', ')}) VALUES (${values.join(', ')})`,
    );
  }
  return `MERGE INTO ${target.sql} AS ${alias} USING ${source.sql} ON ${on} ${clauses.join(' ')}`;
}

function columnOf(target: TableInfo, name: string, at: number): TableInfo['columns'][number] {
  const column = target.columns.find(
    (candidate) => candidate.name.toLowerCase() === name.toLowerCase(),
  );
  if (column === undefined)
    throw new QueryFault(
      `Column ${name} is not present in table ${target.dataset}.${target.table}`,
      at,
    );
  return column;
}
