/** The arguments of a call, and how a function is declared over them. */
import type { Call, Expr } from '../parse/ast.ts';
import { QueryFault } from '../refusal.ts';
import type { Type } from '../type.ts';
import {
  type Binder,
  type Bound,
  cast,
  coerce,
  isNumber,
  literalText,
  type Scope,
} from './bound.ts';

export class Arguments {
  readonly call: Call;
  readonly binder: Binder;
  readonly scope: Scope;

  constructor(call: Call, binder: Binder, scope: Scope) {
    this.call = call;
    this.binder = binder;
    this.scope = scope;
  }

  get count(): number {
    return this.call.args.length;
  }

  get at(): number {
    return this.call.at;
  }

  expr(index: number): Expr {
    const expr = this.call.args[index];
    if (expr === undefined)
      throw new QueryFault(
        `No matching signature for function ${this.call.name}: it has too few arguments`,
        this.at,
      );
    return expr;
  }

  any(index: number): Bound {
    return this.binder.expr(this.expr(index), this.scope);
  }

  of(index: number, type: Type): Bound {
    return coerce(this.any(index), type, `function ${this.call.name}`, this.expr(index).at);
  }

  sql(index: number, type: Type): string {
    return this.of(index, type).sql;
  }

  /** A number as it is; anything that is none is refused. */
  number(index: number): Bound {
    const bound = this.any(index);
    if (bound.type === 'NULL') return { sql: cast('NULL', 'FLOAT64'), type: 'FLOAT64' };
    return isNumber(bound.type)
      ? bound
      : coerce(bound, 'FLOAT64', `function ${this.call.name}`, this.expr(index).at);
  }

  all(): readonly Bound[] {
    return this.call.args.map((_, i) => this.any(i));
  }

  /** A date part: DAY, WEEK(MONDAY). */
  part(index: number): string {
    const expr = this.expr(index);
    if (expr.kind === 'path' && expr.names.length === 1)
      return (expr.names[0] as string).toUpperCase();
    if (expr.kind === 'call' && expr.name === 'WEEK' && expr.args[0]?.kind === 'path')
      return `WEEK(${expr.args[0].names.join('.').toUpperCase()})`;
    throw new QueryFault(`A valid date part name is required`, expr.at);
  }

  text(index: number, what: string): string {
    return literalText(this.any(index), what, this.expr(index).at);
  }

  interval(index: number): { readonly amount: string; readonly part: string } {
    const expr = this.expr(index);
    if (expr.kind !== 'interval')
      throw new QueryFault(
        `Argument ${index + 1} of ${this.call.name} must be an INTERVAL`,
        expr.at,
      );
    const amount = coerce(
      this.binder.expr(expr.amount, this.scope),
      'INT64',
      'INTERVAL',
      expr.amount.at,
    );
    return { amount: amount.sql, part: expr.part };
  }
}

/** How many arguments a function takes, and what becomes of them. */
export interface ScalarFunction {
  readonly least: number;
  readonly most: number;
  readonly build: (a: Arguments) => Bound;
}

/** By name. */
export type FunctionTable = Readonly<Record<string, ScalarFunction>>;

export const fn = (
  least: number,
  most: number,
  build: ScalarFunction['build'],
): ScalarFunction => ({ least, most, build });
/** A function over fixed types whose DuckDB form is a template: {0}, {1}, … */
export const simple = (types: readonly Type[], result: Type, template: string): ScalarFunction =>
  fn(types.length, types.length, (a) => ({
    sql: template.replace(/\{(\d)\}/g, (_, i: string) =>
      a.sql(Number(i), types[Number(i)] as Type),
    ),
    type: result,
  }));
