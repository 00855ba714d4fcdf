/** GoogleSQL statements to DuckDB's SQL. Works on the tree of parse.ts; every name is resolved and every type known. */
import { orderSql } from './aggregates.ts';
import type {
  Assignment,
  Body,
  Dml,
  Expr,
  From,
  OrderItem,
  Query,
  Select,
  SelectItem,
  WindowSpec,
} from './ast.ts';
import {
  type Binder,
  type Bound,
  type BoundQuery,
  type Column,
  coerce,
  coerced,
  commonType,
  type Relation,
  type Scope,
  type TableUse,
} from './bound.ts';
import { bindExpr, containsAggregate, containsWindow, pathsOf, settled } from './expression.ts';
import { demandFilters, notePartitionFilters, usesOf } from './prune.ts';
import { QueryFault, Refusal, unsupported } from './refusal.ts';
import { type Type, typeText } from './type.ts';

/** A table as the catalog knows it. `sql` is what FROM reads in DuckDB. */
export interface TableInfo {
  readonly dataset: string;
  readonly table: string;
  readonly sql: string;
  readonly columns: readonly {
    readonly name: string;
    readonly type: Type;
    readonly required: boolean;
  }[];
  readonly partition: TableUse['partition'];
  readonly requireFilter: boolean;
}

export interface Parameter {
  readonly name: string | undefined;
  readonly bound: Bound;
}

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
  const translator = new Translator(options);
  const bound = translator.query(query, undefined);
  demandFilters(translator.uses);
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
  return { sql: bound.sql, columns, uses: translator.uses };
}

function anonymous(query: BoundQuery, index: number): number {
  return query.columns.slice(0, index).filter(({ name }) => name === '').length;
}

/** One DML statement. */
export function translateDml(statement: Dml, options: TranslateOptions): TranslatedDml {
  const translator = new Translator(options);
  const translated = translator.dml(statement);
  demandFilters(translator.uses);
  return { ...translated, uses: translator.uses };
}

/** An expression without FROM, as ASSERT has one. */
export function translateCondition(expr: Expr, options: TranslateOptions): string {
  const translator = new Translator(options);
  const bound = translator.expr(expr, {
    relations: [],
    merged: [],
    noAggregate: 'ASSERT',
    noWindow: 'ASSERT',
  });
  const condition = coerce(bound, 'BOOL', 'ASSERT', expr.at).sql;
  demandFilters(translator.uses);
  return condition;
}

interface Cte {
  readonly name: string;
  readonly query: Query;
  readonly before: readonly Cte[];
  readonly sqlName: string;
}

interface BoundFrom {
  readonly sql: string;
  readonly relations: readonly Relation[];
  readonly merged: readonly Column[];
}

class Translator implements Binder {
  readonly options: TranslateOptions;
  readonly uses: TableUse[] = [];
  ctes: readonly Cte[] = [];
  counter = 0;

  constructor(options: TranslateOptions) {
    this.options = options;
  }

  get nowMicros(): bigint {
    return this.options.nowMicros;
  }

  expr(expr: Expr, scope: Scope): Bound {
    return bindExpr(expr, scope, this);
  }

  subquery(query: Query, scope: Scope): BoundQuery {
    return this.query(query, scope);
  }

  parameter(name: string | number, at: number): Bound {
    const { parameters } = this.options;
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
    this.counter += 1;
    return `${prefix}${this.counter}`;
  }

  query(query: Query, outer: Scope | undefined): BoundQuery {
    if (query.recursive) throw unsupported('WITH RECURSIVE', query.at);
    const before = this.ctes;
    const definitions: string[] = [];
    for (const { name, query: inner, at } of query.with) {
      if (
        this.ctes.some(
          (cte) => cte.name.toLowerCase() === name.toLowerCase() && !before.includes(cte),
        )
      )
        throw new QueryFault(`Duplicate alias ${name} for WITH subquery`, at);
      const sqlName = this.fresh('w');
      // What it reads counts at each place that names it; here only its SQL is made.
      const uses = this.uses.length;
      const bound = this.query(inner, undefined);
      this.uses.length = uses;
      definitions.push(`${sqlName} AS (${bound.sql})`);
      this.ctes = [...this.ctes, { name, query: inner, before: this.ctes, sqlName }];
    }
    const bound = this.body(query.body, outer, query.orderBy, this.limit(query));
    this.ctes = before;
    return definitions.length === 0
      ? bound
      : { ...bound, sql: `WITH ${definitions.join(', ')} ${bound.sql}` };
  }

  limit(query: Query): string {
    const count = (expr: Expr, what: string): string => {
      const bound = this.expr(expr, { relations: [], merged: [] });
      if (bound.type !== 'INT64' || bound.literal === undefined || BigInt(bound.literal.value) < 0n)
        throw new QueryFault(
          `${what} expects a non-negative integer literal or parameter`,
          expr.at,
        );
      return `${what} ${bound.literal.value}`;
    };
    return [
      query.limit && count(query.limit, 'LIMIT'),
      query.offset && count(query.offset, 'OFFSET'),
    ]
      .filter(Boolean)
      .map((part) => ` ${part}`)
      .join('');
  }

  body(
    body: Body,
    outer: Scope | undefined,
    orderBy: readonly OrderItem[],
    limit: string,
  ): BoundQuery {
    if (body.kind === 'select') return this.select(body, outer, orderBy, limit);
    const bound =
      body.kind === 'query' ? this.query(body.query, outer) : this.setOperation(body, outer);
    if (orderBy.length === 0 && limit === '') return bound;
    const alias = this.fresh('t');
    const relation = relationOf(bound, alias, undefined);
    const scope: Scope = { relations: [relation], merged: [], ...(outer && { parent: outer }) };
    const order =
      orderBy.length === 0
        ? ''
        : ` ORDER BY ${orderSql(orderBy, (expr) => this.ordinal(expr, bound.columns.length) ?? this.expr(expr, scope).sql)}`;
    return {
      ...bound,
      columns:
        limit === '' ? bound.columns : bound.columns.map((column) => ({ ...column, sources: [] })),
      ordered: order !== '',
      sql: `SELECT * FROM (${bound.sql}) AS ${alias}${order}${limit}`,
    };
  }

  ordinal(expr: Expr, columns: number): string | undefined {
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

  setOperation(body: Extract<Body, { kind: 'set' }>, outer: Scope | undefined): BoundQuery {
    const left = this.body(body.left, outer, [], '');
    const right = this.body(body.right, outer, [], '');
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
      const alias = this.fresh('t');
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

  select(
    select: Select,
    outer: Scope | undefined,
    orderBy: readonly OrderItem[],
    limit: string,
  ): BoundQuery {
    const from =
      select.from === undefined
        ? { sql: '', relations: [], merged: [] }
        : this.from(select.from, outer);
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
      coerce(this.expr(select.where, whereScope), 'BOOL', 'WHERE', select.where.at).sql;
    if (select.where !== undefined) notePartitionFilters(select.where, rows, this);

    const items = select.items.flatMap((item) => this.expand(item, rows));
    const exprs = items.map(({ expr }) => expr).filter((expr) => expr !== undefined);
    const later = [select.having, select.qualify, ...orderBy.map(({ expr }) => expr)].filter(
      (expr) => expr !== undefined,
    );
    const isAggregated =
      select.groupBy !== undefined ||
      select.having !== undefined ||
      [...exprs, ...later].some(containsAggregate);

    // GROUP BY may name an alias or a position; an alias hides a column of the same name.
    const groupExprs = this.groupExprs(select, items);
    const groupScope: Scope = {
      ...rows,
      noAggregate: 'GROUP BY clause',
      noWindow: 'GROUP BY clause',
    };
    const groups = groupExprs.map((group) =>
      typeof group === 'string' ? group : this.expr(group, groupScope).sql,
    );
    const scope: Scope = isAggregated ? { ...rows, grouped: new Set(groups) } : rows;
    const bounds = items.map(({ expr, bound, name }) => {
      const value = expr === undefined ? (bound as Bound) : this.expr(expr, scope);
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
        known !== undefined && known !== 'ambiguous' && known.sql !== bound.sql
          ? 'ambiguous'
          : bound,
      );
    });
    const after: Scope = { ...scope, aliases };
    const having =
      select.having &&
      coerce(
        this.expr(select.having, { ...after, noWindow: 'HAVING clause' }),
        'BOOL',
        'HAVING',
        select.having.at,
      ).sql;
    const qualify =
      select.qualify &&
      coerce(this.expr(select.qualify, after), 'BOOL', 'QUALIFY', select.qualify.at).sql;
    const order = orderSql(orderBy, (expr) => {
      const ordinal = this.ordinal(expr, items.length);
      if (ordinal !== undefined) return ordinal;
      const { sql } = this.expr(expr, after);
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
  groupExprs(select: Select, items: readonly Item[]): readonly (Expr | string)[] {
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
      const ordinal = this.ordinal(expr, items.length);
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

  expand(item: SelectItem, scope: Scope): readonly Item[] {
    if (item.kind === 'expr')
      return [{ expr: item.expr, ...(item.alias !== undefined && { name: item.alias }) }];
    const columns = item.of === undefined ? allColumns(scope) : this.starOf(item.of, scope);
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

  starOf(expr: Expr, scope: Scope): readonly Column[] {
    if (expr.kind === 'path' && expr.names.length === 1) {
      const alias = expr.names[0]?.toLowerCase();
      const relation = scope.relations.find(
        (candidate) => candidate.alias?.toLowerCase() === alias,
      );
      if (
        relation !== undefined &&
        (relation.element === undefined || typeof relation.element.type === 'object')
      )
        return relation.columns;
    }
    const bound = this.expr(expr, scope);
    if (typeof bound.type !== 'object' || !('struct' in bound.type))
      throw new QueryFault('Dot-star is not supported for this type', expr.at);
    return bound.type.struct.map((field, i) => ({
      name: field.name,
      bound: { sql: `(${bound.sql}).f${i}`, type: field.type },
    }));
  }

  from(from: From, outer: Scope | undefined): BoundFrom {
    switch (from.kind) {
      case 'table':
        return this.table(from, outer);
      case 'derived': {
        const alias = this.fresh('t');
        const bound = this.query(from.query, outer);
        return {
          sql: `(${bound.sql}) AS ${alias}`,
          relations: [relationOf(bound, alias, from.alias)],
          merged: [],
        };
      }
      case 'unnest':
        return this.unnest(from, { relations: [], merged: [], ...(outer && { parent: outer }) });
      case 'join':
        return this.join(from, outer);
    }
  }

  table(from: Extract<From, { kind: 'table' }>, outer: Scope | undefined): BoundFrom {
    const name = from.path.at(-1) as string;
    const alias = this.fresh('t');
    const cte =
      from.path.length === 1
        ? this.ctes.findLast((candidate) => candidate.name.toLowerCase() === name.toLowerCase())
        : undefined;
    if (cte !== undefined) {
      // Bound again at each place, so that a partition filter here speaks for what is read here.
      const visible = this.ctes;
      this.ctes = cte.before;
      const bound = this.query(cte.query, undefined);
      this.ctes = visible;
      return {
        sql: `${cte.sqlName} AS ${alias}`,
        relations: [relationOf(bound, alias, from.alias ?? cte.name)],
        merged: [],
      };
    }
    // `FROM t, t.array`: the second is a column, not a table.
    if (outer !== undefined && from.path.length > 1) {
      const inner = this.attemptPath(from.path, outer, from.at);
      if (inner !== undefined)
        return this.unnest(
          {
            kind: 'unnest',
            expr: { kind: 'path', names: from.path, at: from.at },
            alias: from.alias ?? name,
            at: from.at,
          },
          outer,
        );
    }
    let info: TableInfo;
    try {
      info = this.options.table(from.path);
    } catch (error) {
      // BigQuery names the position of an unqualified table; a missing one is an error of its own kind.
      if (error instanceof Refusal && error.reason === 'invalidQuery')
        throw new QueryFault(error.message, from.at);
      throw error;
    }
    const use = this.use(info, from.at);
    return {
      sql: `${info.sql} AS ${alias}`,
      relations: [tableRelation(info, use, alias, from.alias ?? name)],
      merged: [],
    };
  }

  attemptPath(path: readonly string[], scope: Scope, at: number): Bound | undefined {
    if (!scope.relations.some(({ alias }) => alias?.toLowerCase() === path[0]?.toLowerCase()))
      return undefined;
    return this.expr({ kind: 'path', names: path, at }, scope);
  }

  use(info: TableInfo, at: number): TableUse {
    const { dataset, table, partition, requireFilter } = info;
    const use: TableUse = {
      dataset,
      table,
      columns: new Set(),
      partition,
      requireFilter,
      at,
      filters: [],
    };
    this.uses.push(use);
    return use;
  }

  unnest(from: Extract<From, { kind: 'unnest' }>, scope: Scope): BoundFrom {
    const array = this.expr(from.expr, { ...scope, noAggregate: 'UNNEST', noWindow: 'UNNEST' });
    if (typeof array.type !== 'object' || !('array' in array.type))
      throw new QueryFault(
        `Values referenced in UNNEST must be arrays. UNNEST contains expression of type ${typeText(array.type)}`,
        from.at,
      );
    const alias = this.fresh('t');
    const type = array.type.array;
    const element: Bound = { sql: `${alias}.v`, type };
    const columns: Column[] =
      typeof type === 'object' && 'struct' in type
        ? type.struct.map((field, i) => ({
            name: field.name,
            bound: { sql: `(${alias}.v).f${i}`, type: field.type },
          }))
        : from.alias === undefined
          ? [{ name: '', bound: element }]
          : [{ name: from.alias, bound: element }];
    const offset: Relation[] =
      from.offset === undefined
        ? []
        : [
            {
              alias: undefined,
              columns: [{ name: from.offset, bound: { sql: `${alias}.i`, type: 'INT64' } }],
            },
          ];
    const isStruct = typeof type === 'object';
    return {
      sql: `LATERAL (SELECT unnest(u.a) AS v, generate_subscripts(u.a, 1) - 1 AS i FROM (SELECT ${array.sql} AS a) AS u) AS ${alias}`,
      relations: [
        { alias: isStruct ? from.alias : undefined, columns, ...(isStruct && { element }) },
        ...offset,
      ],
      merged: [],
    };
  }

  join(from: Extract<From, { kind: 'join' }>, outer: Scope | undefined): BoundFrom {
    const left = this.from(from.left, outer);
    const leftScope: Scope = {
      relations: left.relations,
      merged: left.merged,
      ...(outer && { parent: outer }),
    };
    const right =
      from.right.kind === 'unnest'
        ? this.unnest(from.right, leftScope)
        : from.right.kind === 'table' && from.right.path.length > 1
          ? this.table(from.right, leftScope)
          : this.from(from.right, outer);
    const lateral = right.sql.startsWith('LATERAL');
    if (lateral && from.type !== 'CROSS' && from.type !== 'LEFT' && from.type !== 'INNER')
      throw unsupported(`${from.type} JOIN of an UNNEST`, from.at);
    const relations = [...left.relations, ...right.relations];
    for (const [i, { alias }] of relations.entries())
      if (
        alias !== undefined &&
        relations.findIndex((other) => other.alias?.toLowerCase() === alias.toLowerCase()) < i
      )
        throw new QueryFault(`Duplicate table alias ${alias} in the same FROM clause`, from.at);
    if (from.using !== undefined) return this.using(from, left, right, relations);
    const scope: Scope = {
      relations,
      merged: left.merged,
      ...(outer && { parent: outer }),
      noAggregate: 'JOIN ON clause',
      noWindow: 'JOIN ON clause',
    };
    const on =
      from.on === undefined
        ? undefined
        : coerce(this.expr(from.on, scope), 'BOOL', 'ON', from.on.at).sql;
    if (from.on !== undefined && from.type !== 'FULL') {
      const sides = {
        INNER: relations,
        CROSS: relations,
        LEFT: right.relations,
        RIGHT: left.relations,
      }[from.type];
      notePartitionFilters(
        from.on,
        scope,
        this,
        usesOf(sides.flatMap(({ columns }) => columns.map(({ bound }) => bound.sources ?? []))),
      );
    }
    const word = from.type === 'CROSS' ? 'CROSS JOIN' : `${from.type} JOIN`;
    const condition = on === undefined ? (from.type === 'CROSS' ? '' : ' ON TRUE') : ` ON ${on}`;
    return {
      sql: `${left.sql} ${word} ${from.right.kind === 'join' ? `(${right.sql})` : right.sql}${condition}`,
      relations,
      merged: [...left.merged, ...right.merged],
    };
  }

  using(
    from: Extract<From, { kind: 'join' }>,
    left: BoundFrom,
    right: BoundFrom,
    relations: readonly Relation[],
  ): BoundFrom {
    const merged: Column[] = [];
    const conditions = (from.using ?? []).map((name) => {
      const side = (which: BoundFrom, word: string): Bound => {
        const columns = [
          ...which.merged,
          ...which.relations
            .flatMap(({ columns: all }) => all)
            .filter((column) => !which.merged.some(({ name: known }) => same(known, column.name))),
        ].filter((column) => same(column.name, name));
        if (columns.length === 0)
          throw new QueryFault(
            `Column ${name} in USING clause not found on ${word} side of join`,
            from.at,
          );
        if (columns.length > 1)
          throw new QueryFault(
            `Column ${name} in USING clause is ambiguous on ${word} side of join`,
            from.at,
          );
        const bound = columns[0]?.bound as Bound;
        for (const source of bound.sources ?? []) source.use.columns.add(source.column);
        return bound;
      };
      const l = side(left, 'left');
      const r = side(right, 'right');
      const type = commonType([l, r]);
      if (type === undefined)
        throw new QueryFault(
          `Column ${name} in USING has incompatible types on either side of the join`,
          from.at,
        );
      const [ls, rs] = [coerced(l, type)?.sql, coerced(r, type)?.sql];
      const sources = from.type === 'INNER' ? [...(l.sources ?? []), ...(r.sources ?? [])] : [];
      const bound: Bound =
        from.type === 'FULL'
          ? { sql: `coalesce(${ls}, ${rs})`, type }
          : from.type === 'RIGHT'
            ? r
            : { ...l, sources: sources.length > 0 ? sources : (l.sources ?? []) };
      merged.push({ name, bound });
      return `${ls} = ${rs}`;
    });
    const kept = [...left.merged, ...right.merged].filter(
      ({ name }) => !merged.some((column) => same(column.name, name)),
    );
    return {
      sql: `${left.sql} ${from.type} JOIN ${from.right.kind === 'join' ? `(${right.sql})` : right.sql} ON ${conditions.join(' AND ')}`,
      relations,
      merged: [...merged, ...kept],
    };
  }

  // DML

  dml(statement: Dml): Omit<TranslatedDml, 'uses'> {
    const target = this.options.table(statement.table);
    if (!/^\w+\.\w+\.\w+$/.test(target.sql))
      throw new QueryFault(`${target.dataset}.${target.table} cannot be changed`, statement.at);
    if (statement.kind === 'insert') return { sql: this.insert(statement, target), target };
    const alias = this.fresh('t');
    const relation = tableRelation(
      target,
      this.use(target, statement.at),
      alias,
      statement.alias ?? target.table,
    );
    const scope: Scope = { relations: [relation], merged: [], noAggregate: 'DML', noWindow: 'DML' };
    if (statement.kind === 'merge')
      return { sql: this.merge(statement, target, alias, scope), target };
    const where = coerce(
      this.expr(statement.where, scope),
      'BOOL',
      'WHERE',
      statement.where.at,
    ).sql;
    notePartitionFilters(statement.where, scope, this);
    if (statement.kind === 'delete')
      return { sql: `DELETE FROM ${target.sql} AS ${alias} WHERE ${where}`, target };
    return {
      sql: `UPDATE ${target.sql} AS ${alias} SET ${this.assignments(statement.set, target, scope)} WHERE ${where}`,
      target,
    };
  }

  assignments(set: readonly Assignment[], target: TableInfo, scope: Scope): string {
    return set
      .map(({ column, value, at }) => {
        const found = columnOf(target, column, at);
        return `"${found.name}" = ${this.assigned(this.expr(value, scope), found, at)}`;
      })
      .join(', ');
  }

  /** A value for a column, given the column's type. A table holds no NULL arrays. */
  assigned(value: Bound, column: TableInfo['columns'][number], at: number): string {
    const bound = coerced(value, column.type);
    if (bound === undefined)
      throw new QueryFault(
        `Value has type ${typeText(value.type)} which cannot be assigned to ${column.name}, which has type ${typeText(column.type)}`,
        at,
      );
    return typeof column.type === 'object' ? `coalesce(${bound.sql}, [])` : bound.sql;
  }

  insert(statement: Extract<Dml, { kind: 'insert' }>, target: TableInfo): string {
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
        return `(${row.map((value, i) => this.assigned(this.expr(value, scope), columns[i] as TableInfo['columns'][number], value.at)).join(', ')})`;
      });
      return `INSERT INTO ${target.sql} (${names}) VALUES ${rows.join(', ')}`;
    }
    const query = this.query(statement.query as Query, undefined);
    count(query.columns.length);
    const values = columns.map((column, i) =>
      this.assigned(
        { sql: `q.o${i}`, type: query.columns[i]?.type ?? 'NULL' },
        column,
        statement.at,
      ),
    );
    return `INSERT INTO ${target.sql} (${names}) SELECT ${values.join(', ')} FROM (${query.sql}) AS q`;
  }

  merge(
    statement: Extract<Dml, { kind: 'merge' }>,
    target: TableInfo,
    alias: string,
    own: Scope,
  ): string {
    const source = this.from(statement.source, undefined);
    const both: Scope = {
      ...own,
      relations: [...own.relations, ...source.relations],
      merged: source.merged,
    };
    const only: Scope = { ...own, relations: source.relations, merged: source.merged };
    const on = coerce(this.expr(statement.on, both), 'BOOL', 'ON', statement.on.at).sql;
    notePartitionFilters(statement.on, both, this);
    const and = (expr: Expr | undefined, scope: Scope): string =>
      expr === undefined
        ? ''
        : ` AND ${coerce(this.expr(expr, scope), 'BOOL', 'AND', expr.at).sql}`;
    const clauses: string[] = [];
    const { matched, notMatched } = statement;
    if (matched !== undefined)
      clauses.push(
        `WHEN MATCHED${and(matched.and, both)} THEN UPDATE SET ${this.assignments(matched.set, target, both)}`,
      );
    if (notMatched !== undefined) {
      const columns = notMatched.columns.map((name) => columnOf(target, name, statement.at));
      if (columns.length !== notMatched.values.length)
        throw new QueryFault(
          `Inserted row has wrong column count; Has ${notMatched.values.length}, expected ${columns.length}`,
          statement.at,
        );
      const values = notMatched.values.map((value, i) =>
        this.assigned(this.expr(value, only), columns[i] as TableInfo['columns'][number], value.at),
      );
      clauses.push(
        `WHEN NOT MATCHED${and(notMatched.and, only)} THEN INSERT (${columns.map(({ name }) => `"${name}"`).join(', ')}) VALUES (${values.join(', ')})`,
      );
    }
    return `MERGE INTO ${target.sql} AS ${alias} USING ${source.sql} ON ${on} ${clauses.join(' ')}`;
  }
}

interface Item {
  readonly expr?: Expr;
  readonly bound?: Bound;
  readonly name?: string;
}

function same(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

function columnOf(target: TableInfo, name: string, at: number): TableInfo['columns'][number] {
  const column = target.columns.find((candidate) => same(candidate.name, name));
  if (column === undefined)
    throw new QueryFault(
      `Column ${name} is not present in table ${target.dataset}.${target.table}`,
      at,
    );
  return column;
}

function relationOf(query: BoundQuery, alias: string, name: string | undefined): Relation {
  return {
    alias: name,
    columns: query.columns.map((column, i) => ({
      name: column.name,
      bound: { sql: `${alias}.o${i}`, type: column.type, sources: column.sources },
    })),
  };
}

function tableRelation(info: TableInfo, use: TableUse, alias: string, name: string): Relation {
  return {
    alias: name,
    columns: info.columns.map((column) => ({
      name: column.name,
      bound: {
        sql: `${alias}."${column.name}"`,
        type: column.type,
        sources: [{ use, column: column.name }],
      },
    })),
  };
}

/** What `*` stands for: columns merged by USING once and first. */
function allColumns(scope: Scope): readonly Column[] {
  const rest = scope.relations
    .flatMap(({ columns }) => columns)
    .filter((column) => !scope.merged.some(({ name }) => same(name, column.name)));
  return [...scope.merged, ...rest];
}
