/** What stands in an expression. */
import type { Call, Expr } from '../parse/ast.ts';
import { needsAggregateOrOver } from './aggregates.ts';

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
