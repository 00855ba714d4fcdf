/** Which conditions let BigQuery skip partitions: a comparison of the bare partition column with constants. */
import type { Expr } from '../parse/ast.ts';
import { QueryFault } from '../refusal.ts';
import type { Binder, Scope, Source, TableUse } from './bound.ts';
import { containsSubquery, pathsOf } from './contains.ts';

/** Notes the usable parts of a WHERE or ON condition at the tables they restrict. `allowed` limits it to one side of a join. */
export function notePartitionFilters(
  condition: Expr,
  scope: Scope,
  binder: Binder,
  allowed?: ReadonlySet<TableUse>,
): void {
  if (condition.kind === 'binary' && condition.op === 'AND') {
    notePartitionFilters(condition.left, scope, binder, allowed);
    notePartitionFilters(condition.right, scope, binder, allowed);
    return;
  }
  if (containsSubquery(condition) || !usable(condition)) return;
  const { parent: _, grouped: __, ...here } = scope;
  const columns = pathsOf(condition).map((names) => {
    try {
      return { names, bound: binder.expr({ kind: 'path', names, at: condition.at }, here) };
    } catch (error) {
      if (error instanceof QueryFault) return undefined;
      throw error;
    }
  });
  const first = columns[0]?.bound;
  if (first === undefined || columns.some((column) => column?.bound.sql !== first.sql)) return;
  const sources = (first.sources ?? []).filter(
    ({ use, column }) =>
      use.partition?.column === column && (allowed === undefined || allowed.has(use)),
  );
  if (sources.length === 0) return;
  // The same condition over a stand-in for the column, to ask the table which partitions it leaves.
  const stand = { sql: 'bq_part', type: first.type };
  const relations = columns.map((column) => {
    const [alias, name] =
      column?.names.length === 1
        ? [undefined, column.names[0]]
        : [column?.names[0], column?.names[1]];
    return { alias, columns: [{ name: name as string, bound: stand }] };
  });
  const unique = relations.filter(
    (a, i) =>
      relations.findIndex(
        (b) => b.alias === a.alias && b.columns[0]?.name === a.columns[0]?.name,
      ) === i,
  );
  const qualified = unique.filter(({ alias }) => alias !== undefined);
  const bare = unique.filter(({ alias }) => alias === undefined);
  // A bare name would be ambiguous beside its qualified twin.
  const merged = bare.flatMap((relation) => relation.columns);
  const sql = binder.expr(condition, { relations: qualified, merged }).sql;
  for (const { use } of sources) use.filters.push(sql);
}

function usable(expr: Expr): boolean {
  switch (expr.kind) {
    case 'binary':
      if (expr.op === 'OR' || expr.op === 'AND') return usable(expr.left) && usable(expr.right);
      if (!['=', '<', '>', '<=', '>='].includes(expr.op)) return false;
      return (
        (isColumn(expr.left) && isConstant(expr.right)) ||
        (isColumn(expr.right) && isConstant(expr.left))
      );
    case 'between':
      return !expr.not && isColumn(expr.expr) && isConstant(expr.low) && isConstant(expr.high);
    case 'in':
      return (
        !expr.not &&
        isColumn(expr.expr) &&
        (expr.list ?? [expr.unnest]).every((item) => item !== undefined && isConstant(item))
      );
    case 'is':
      return expr.what === 'NULL' && isColumn(expr.expr);
    default:
      return false;
  }
}

function isConstant(expr: Expr): boolean {
  return pathsOf({ kind: 'array', items: datesOnly(expr), at: expr.at }).length === 0;
}

/** A date part (DAY in DATE_SUB(…, INTERVAL 1 DAY) is none, but DATE_TRUNC(x, MONTH) holds one) looks like a name. */
function datesOnly(expr: Expr): readonly Expr[] {
  if (expr.kind === 'call' && /^(DATE|TIMESTAMP)_(TRUNC|DIFF)$|^LAST_DAY$/.test(expr.name))
    return expr.args.filter(
      (arg, i) =>
        !(arg.kind === 'path' && arg.names.length === 1 && i === expr.args.length - 1 && i > 0),
    );
  if (expr.kind === 'call') return expr.args.flatMap(datesOnly);
  return [expr];
}

function isColumn(expr: Expr): boolean {
  if (expr.kind === 'path') return true;
  if (expr.kind === 'cast') return expr.type.base === 'DATE' && expr.expr.kind === 'path';
  if (expr.kind !== 'call') return false;
  return (
    (expr.name === 'DATE' || expr.name === 'TIMESTAMP_TRUNC') &&
    expr.args[0]?.kind === 'path' &&
    expr.args.length === (expr.name === 'DATE' ? 1 : 2)
  );
}

/** Refuses a query that reads a table without the filter that the table demands. */
export function demandFilters(uses: readonly TableUse[]): void {
  for (const { requireFilter, partition, filters, dataset, table, at } of uses)
    if (requireFilter && partition !== undefined && filters.length === 0)
      throw new QueryFault(
        `Cannot query over table '${dataset}.${table}' without a filter over column(s) '${partition.column}' that can be used for partition elimination`,
        at,
      );
}

export function usesOf(sources: readonly (readonly Source[])[]): ReadonlySet<TableUse> {
  return new Set(sources.flat().map(({ use }) => use));
}
