/** The select list: expressions as they stand, and what `*` stands for. */
import type { Expr, SelectItem } from '../parse/ast.ts';
import { QueryFault } from '../refusal.ts';
import type { Bound, Column, Scope } from './bound.ts';
import type { Translation } from './translation.ts';

/** A column of the result: an expression, or one bound already that `*` stands for. */
export interface Item {
  readonly expr?: Expr;
  readonly bound?: Bound;
  readonly name?: string;
}

/** The columns that one item of the list brings. */
export function expanded(item: SelectItem, scope: Scope, context: Translation): readonly Item[] {
  if (item.kind === 'expr')
    return [{ expr: item.expr, ...(item.alias !== undefined && { name: item.alias }) }];
  const columns = item.of === undefined ? allColumns(scope) : starOf(item.of, scope, context);
  if (columns.length === 0) throw new QueryFault('SELECT * must have a FROM clause', item.at);
  for (const name of [...item.except, ...item.replace.map((replaced) => replaced.name)])
    if (!columns.some((column) => column.name.toLowerCase() === name.toLowerCase()))
      throw new QueryFault(
        `Column ${name} in SELECT * EXCEPT or REPLACE list does not exist`,
        item.at,
      );
  return columns
    .filter(({ name }) => !item.except.some((left) => left.toLowerCase() === name.toLowerCase()))
    .map(({ name, bound }) => {
      const replaced = item.replace.find(
        (candidate) => candidate.name.toLowerCase() === name.toLowerCase(),
      );
      if (replaced !== undefined) return { expr: replaced.expr, name };
      for (const source of bound.sources ?? []) source.use.columns.add(source.column);
      return { bound, name };
    });
}

function starOf(expr: Expr, scope: Scope, context: Translation): readonly Column[] {
  if (expr.kind === 'path' && expr.names.length === 1) {
    const alias = expr.names[0]?.toLowerCase();
    const relation = scope.relations.find((candidate) => candidate.alias?.toLowerCase() === alias);
    if (
      relation !== undefined &&
      (relation.element === undefined || typeof relation.element.type === 'object')
    )
      return relation.columns;
  }
  const bound = context.expr(expr, scope);
  if (typeof bound.type !== 'object' || !('struct' in bound.type))
    throw new QueryFault('Dot-star is not supported for this type', expr.at);
  return bound.type.struct.map((field, i) => ({
    name: field.name,
    bound: { sql: `(${bound.sql}).f${i}`, type: field.type },
  }));
}

/** What `*` stands for: columns merged by USING once and first. */
function allColumns(scope: Scope): readonly Column[] {
  const rest = scope.relations
    .flatMap(({ columns }) => columns)
    .filter(
      (column) =>
        !scope.merged.some(({ name }) => name.toLowerCase() === column.name.toLowerCase()),
    );
  return [...scope.merged, ...rest];
}
