/** GoogleSQL statements to DuckDB's SQL. Works on the tree of parse.ts; every name is resolved and every type known. */
import type { Dml, Expr, Query } from '../parse/ast.ts';
import { QueryFault } from '../refusal.ts';
import type { Type } from '../type.ts';
import {
  type Bound,
  type BoundQuery,
  coerce,
  type Parameter,
  type Scope,
  settled,
  type TableUse,
} from './bound.ts';
import { bindDml } from './dml.ts';
import { bindExpr } from './expression.ts';
import { demandFilters } from './prune.ts';
import { bindQuery } from './query.ts';
import type { Cte, TableInfo, Translation } from './translation.ts';

export interface TranslateOptions {
  /** Finds a table by its path ([project,] dataset, table; a default dataset applied); throws a Refusal of reason notFound. */
  table(path: readonly string[]): TableInfo;
  readonly parameters: readonly Parameter[];
  readonly nowMicros: bigint;
}

export interface TranslatedQuery {
  readonly sql: string;
  readonly columns: readonly { readonly name: string; readonly type: Type }[];
  readonly uses: readonly TableUse[];
}

export interface TranslatedDml {
  readonly sql: string;
  readonly target: TableInfo;
  readonly uses: readonly TableUse[];
}

/** A query; `columns` are in order, and stand in the SQL as o0, o1, … Throws QueryFault or Refusal. */
export function translateQuery(query: Query, options: TranslateOptions): TranslatedQuery {
  const translation = new StatementTranslation(options);
  const bound = translation.query(query);
  demandFilters(translation.uses);
  const columns = bound.columns.map(({ name, type }, i) => ({
    name: name === '' ? `f${anonymous(bound, i)}_` : name,
    type: settled(type),
  }));
  const duplicate = columns.find(
    ({ name }, i) =>
      columns.findIndex((other) => other.name.toLowerCase() === name.toLowerCase()) < i,
  );
  if (duplicate !== undefined)
    throw new QueryFault(
      `Duplicate column names in the result are not supported. Found duplicate(s): ${duplicate.name}`,
      query.at,
    );
  return { sql: bound.sql, columns, uses: translation.uses };
}

function anonymous(query: BoundQuery, index: number): number {
  return query.columns.slice(0, index).filter(({ name }) => name === '').length;
}

/** One DML statement. */
export function translateDml(statement: Dml, options: TranslateOptions): TranslatedDml {
  const translation = new StatementTranslation(options);
  const translated = bindDml(statement, translation);
  demandFilters(translation.uses);
  return { ...translated, uses: translation.uses };
}

/** An expression without FROM, as ASSERT has one. */
export function translateCondition(expr: Expr, options: TranslateOptions): string {
  const translation = new StatementTranslation(options);
  const bound = translation.expr(expr, {
    relations: [],
    merged: [],
    noAggregate: 'ASSERT',
    noWindow: 'ASSERT',
  });
  const condition = coerce(bound, 'BOOL', 'ASSERT', expr.at).sql;
  demandFilters(translation.uses);
  return condition;
}

/** The statement's own names, parameters and reads; each clause's file does its part with them. */
class StatementTranslation implements Translation {
  readonly uses: TableUse[] = [];
  ctes: readonly Cte[] = [];
  readonly #options: TranslateOptions;
  #names = 0;

  constructor(options: TranslateOptions) {
    this.#options = options;
  }

  get nowMicros(): bigint {
    return this.#options.nowMicros;
  }

  table(path: readonly string[]): TableInfo {
    return this.#options.table(path);
  }

  expr(expr: Expr, scope: Scope): Bound {
    return bindExpr(expr, scope, this);
  }

  query(query: Query, outer?: Scope): BoundQuery {
    return bindQuery(query, outer, this);
  }

  parameter(name: string | number, at: number): Bound {
    const { parameters } = this.#options;
    const found =
      typeof name === 'number'
        ? parameters[name]
        : parameters.find((parameter) => parameter.name?.toLowerCase() === name);
    if (found === undefined)
      throw new QueryFault(
        typeof name === 'number'
          ? 'Query parameter number is out of range'
          : `Query parameter '${name}' not found`,
        at,
      );
    return found.bound;
  }

  fresh(prefix: string): string {
    this.#names += 1;
    return `${prefix}${this.#names}`;
  }
}
