/** The closed list of aggregates and of functions that need OVER. */
import type { Call, Expr, OrderItem, WindowSpec } from '../parse/ast.ts';
import { QueryFault, unsupported } from '../refusal.ts';
import { type Type, typeText } from '../type.ts';
import { Arguments } from './arguments.ts';
import { type Binder, type Bound, cast, coerce, isNumber, type Scope } from './bound.ts';

interface Shape {
  readonly least: number;
  readonly most: number;
  readonly order?: true;
  readonly nulls?: true;
  readonly limit?: true;
  readonly having?: true;
  readonly distinct?: true;
  build(a: Arguments, f: Frame): Bound;
}

interface Frame {
  /** DISTINCT or nothing, and the arguments' ORDER BY, in DuckDB's words. */
  readonly distinct: string;
  readonly order: string;
  /** Appends FILTER and OVER to a call. */
  over(call: string, filter?: string): string;
}

const statistic = (name: string, args = 1): Shape => ({
  least: args,
  most: args,
  build: (a, f) => ({
    sql: f.over(`${name}(${a.call.args.map((_, i) => a.sql(i, 'FLOAT64')).join(', ')})`),
    type: 'FLOAT64',
  }),
});
const extreme = (name: string): Shape => ({
  least: 1,
  most: 1,
  distinct: true,
  build: (a, f) => {
    const x = a.any(0);
    if (typeof x.type === 'object')
      throw new QueryFault(
        `${a.call.name} is not defined for arguments of type ${typeText(x.type)}`,
        a.at,
      );
    return { sql: f.over(`${name}(${x.sql})`), type: x.type };
  },
});
const by = (name: string): Shape => ({
  least: 2,
  most: 2,
  build: (a, f) => ({
    sql: f.over(`${name}(${a.any(0).sql}, ${a.any(1).sql})`),
    type: a.any(0).type,
  }),
});
const logical = (name: string): Shape => ({
  least: 1,
  most: 1,
  build: (a, f) => ({ sql: f.over(`${name}(${a.sql(0, 'BOOL')})`), type: 'BOOL' }),
});

function limitOf(a: Arguments): string {
  if (a.call.limit === undefined) return '';
  const limit = a.binder.expr(a.call.limit, a.scope);
  if (limit.type !== 'INT64' || limit.literal === undefined)
    throw new QueryFault('LIMIT expects an integer literal or parameter', a.call.limit.at);
  return `[1:${limit.literal.value}]`;
}

const AGGREGATES: ReadonlyMap<string, Shape> = new Map(
  Object.entries<Shape>({
    COUNT: {
      least: 0,
      most: 1,
      distinct: true,
      build: (a, f) => {
        if (a.call.star) return { sql: f.over('count(*)'), type: 'INT64' };
        return { sql: f.over(`count(${f.distinct}${a.any(0).sql})`), type: 'INT64' };
      },
    },
    COUNTIF: {
      least: 1,
      most: 1,
      build: (a, f) => ({
        sql: f.over(`count(CASE WHEN ${a.sql(0, 'BOOL')} THEN 1 END)`),
        type: 'INT64',
      }),
    },
    SUM: {
      least: 1,
      most: 1,
      distinct: true,
      build: (a, f) => {
        const x = a.number(0);
        return { sql: cast(f.over(`sum(${f.distinct}${x.sql})`), x.type), type: x.type };
      },
    },
    AVG: {
      least: 1,
      most: 1,
      distinct: true,
      build: (a, f) => {
        const x = a.number(0);
        if (x.type !== 'NUMERIC')
          return { sql: f.over(`avg(${f.distinct}${x.sql})`), type: 'FLOAT64' };
        const sum = cast(f.over(`sum(${f.distinct}${x.sql})`), 'NUMERIC');
        const count = cast(f.over(`count(${f.distinct}${x.sql})`), 'NUMERIC');
        return { sql: `bq_numeric_safe_divide(${sum}, ${count})`, type: 'NUMERIC' };
      },
    },
    MIN: extreme('min'),
    MAX: extreme('max'),
    ANY_VALUE: {
      least: 1,
      most: 1,
      having: true,
      build: (a, f) => {
        const x = a.any(0);
        const having = a.call.having;
        if (having === undefined) return { sql: f.over(`any_value(${x.sql})`), type: x.type };
        const y = a.binder.expr(having.expr, a.scope);
        return {
          sql: f.over(
            `${having.which === 'MAX' ? 'arg_max_null' : 'arg_min_null'}(${x.sql}, ${y.sql})`,
          ),
          type: x.type,
        };
      },
    },
    MAX_BY: by('arg_max_null'),
    MIN_BY: by('arg_min_null'),
    LOGICAL_AND: logical('bool_and'),
    LOGICAL_OR: logical('bool_or'),
    STRING_AGG: {
      least: 1,
      most: 2,
      order: true,
      limit: true,
      distinct: true,
      build: (a, f) => {
        const x = a.sql(0, 'STRING');
        const separator = a.count > 1 ? a.sql(1, 'STRING') : `','`;
        const list = f.over(`list(${f.distinct}${x}${f.order})`, `${x} IS NOT NULL`);
        return { sql: `array_to_string((${list})${limitOf(a)}, ${separator})`, type: 'STRING' };
      },
    },
    ARRAY_AGG: {
      least: 1,
      most: 1,
      order: true,
      limit: true,
      distinct: true,
      nulls: true,
      build: (a, f) => {
        const x = a.any(0);
        if (typeof x.type === 'object' && 'array' in x.type)
          throw new QueryFault('The argument to ARRAY_AGG must not be an array type', a.at);
        const filter = a.call.nulls === 'IGNORE' ? `${x.sql} IS NOT NULL` : undefined;
        return {
          sql: `(${f.over(`list(${f.distinct}${x.sql}${f.order})`, filter)})${limitOf(a)}`,
          type: { array: x.type },
        };
      },
    },
    // Exact here: an exact count is a valid answer of the approximate one, and the same on every run.
    APPROX_COUNT_DISTINCT: {
      least: 1,
      most: 1,
      build: (a, f) => ({ sql: f.over(`count(DISTINCT ${a.any(0).sql})`), type: 'INT64' }),
    },
    APPROX_QUANTILES: {
      least: 2,
      most: 2,
      build: (a, f) => {
        const x = a.any(0);
        const n = Number(a.any(1).literal?.value);
        if (!Number.isInteger(n) || n < 1 || n > 1000)
          throw unsupported('APPROX_QUANTILES without a literal number from 1 to 1000', a.at);
        const points = Array.from({ length: n + 1 }, (_, i) => `${i}::DOUBLE / ${n}`);
        return {
          sql: f.over(`quantile_disc(${x.sql}, [${points.join(', ')}])`),
          type: { array: x.type },
        };
      },
    },
    CORR: statistic('corr', 2),
    COVAR_POP: statistic('covar_pop', 2),
    COVAR_SAMP: statistic('covar_samp', 2),
    STDDEV: statistic('stddev_samp'),
    STDDEV_SAMP: statistic('stddev_samp'),
    STDDEV_POP: statistic('stddev_pop'),
    VARIANCE: statistic('var_samp'),
    VAR_SAMP: statistic('var_samp'),
    VAR_POP: statistic('var_pop'),
  }),
);

const numbering = (name: string, type: Type): Shape => ({
  least: 0,
  most: 0,
  build: (_, f) => ({ sql: f.over(`${name}()`), type }),
});
const navigation = (name: string): Shape => ({
  least: 1,
  most: 3,
  build: (a, f) => {
    const x = a.any(0);
    const offset = a.count > 1 ? a.sql(1, 'INT64') : '1';
    if (a.count < 3) return { sql: f.over(`${name}(${x.sql}, ${offset})`), type: x.type };
    return { sql: f.over(`${name}(${x.sql}, ${offset}, ${a.sql(2, x.type)})`), type: x.type };
  },
});
const edge = (name: string, args: number): Shape => ({
  least: args,
  most: args,
  nulls: true,
  build: (a, f) => {
    const x = a.any(0);
    const rest = args > 1 ? `, ${a.sql(1, 'INT64')}` : '';
    const nulls = a.call.nulls === undefined ? '' : ` ${a.call.nulls} NULLS`;
    return { sql: f.over(`${name}(${x.sql}${rest}${nulls})`), type: x.type };
  },
});

const ANALYTIC: ReadonlyMap<string, Shape> = new Map(
  Object.entries<Shape>({
    ROW_NUMBER: numbering('row_number', 'INT64'),
    RANK: numbering('rank', 'INT64'),
    DENSE_RANK: numbering('dense_rank', 'INT64'),
    PERCENT_RANK: numbering('percent_rank', 'FLOAT64'),
    CUME_DIST: numbering('cume_dist', 'FLOAT64'),
    NTILE: {
      least: 1,
      most: 1,
      build: (a, f) => ({ sql: f.over(`ntile(${a.sql(0, 'INT64')})`), type: 'INT64' }),
    },
    LAG: navigation('lag'),
    LEAD: navigation('lead'),
    FIRST_VALUE: edge('first_value', 1),
    LAST_VALUE: edge('last_value', 1),
    NTH_VALUE: edge('nth_value', 2),
    PERCENTILE_CONT: {
      least: 2,
      most: 2,
      nulls: true,
      build: (a, f) => {
        if (a.call.nulls === 'RESPECT') throw unsupported('PERCENTILE_CONT … RESPECT NULLS', a.at);
        const point = a.any(1);
        if (point.literal === undefined)
          throw new QueryFault(
            'The second argument to PERCENTILE_CONT must be a literal or parameter',
            a.at,
          );
        return {
          sql: f.over(`quantile_cont(${a.sql(0, 'FLOAT64')}, ${point.literal.value})`),
          type: 'FLOAT64',
        };
      },
    },
  }),
);

export function needsAggregateOrOver(call: Call): boolean {
  return AGGREGATES.has(call.name) || ANALYTIC.has(call.name);
}

/** ORDER BY in DuckDB's words: BigQuery puts NULLs first going up and last going down. */
export function orderSql(items: readonly OrderItem[], sql: (expr: Expr) => string): string {
  return items
    .map(
      ({ expr, descending, nullsFirst }) =>
        `${sql(expr)} ${descending ? 'DESC' : 'ASC'} NULLS ${(nullsFirst ?? !descending) ? 'FIRST' : 'LAST'}`,
    )
    .join(', ');
}

/** Binds an aggregate, or any function with OVER. */
export function aggregateOrAnalytic(call: Call, binder: Binder, scope: Scope): Bound {
  const { name, at, over } = call;
  const shape = AGGREGATES.get(name) ?? ANALYTIC.get(name);
  if (shape === undefined) throw unsupported(`Function ${name} with OVER`, at);
  if (over === undefined && ANALYTIC.has(name))
    throw new QueryFault(`Analytic function ${name} cannot be called without an OVER clause`, at);
  const extras: readonly (readonly [boolean, boolean | undefined, string])[] = [
    [call.distinct, shape.distinct, 'DISTINCT'],
    [call.orderBy.length > 0, shape.order, 'ORDER BY'],
    [call.limit !== undefined, shape.limit, 'LIMIT'],
    [call.nulls !== undefined, shape.nulls, 'IGNORE or RESPECT NULLS'],
    [call.having !== undefined, shape.having, 'HAVING'],
  ];
  for (const [used, allowed, what] of extras) {
    if (used && allowed !== true) throw unsupported(`${what} in ${name}`, at);
  }
  if (
    call.args.length < shape.least ||
    call.args.length > shape.most ||
    (name === 'COUNT' && !call.star && call.args.length === 0)
  )
    throw new QueryFault(`Number of arguments does not match for function ${name}`, at);
  if (over === undefined && scope.inAggregate)
    throw new QueryFault('Aggregations of aggregations are not allowed', at);
  if (over === undefined && scope.noAggregate !== undefined)
    throw new QueryFault(`Aggregate function ${name} not allowed in ${scope.noAggregate}`, at);
  if (over !== undefined && scope.noWindow !== undefined)
    throw new QueryFault(`Analytic function not allowed in ${scope.noWindow}`, at);
  if (over !== undefined && scope.inAggregate)
    throw new QueryFault('Analytic function not allowed in an aggregate', at);
  // An aggregate sees the rows, so GROUP BY binds it no longer; a function with OVER sees the groups.
  const inner: Scope =
    over === undefined
      ? { ...scope, inAggregate: true }
      : { ...scope, noWindow: 'another analytic function' };
  const args = new Arguments(call, binder, inner);
  const order =
    call.orderBy.length === 0
      ? ''
      : ` ORDER BY ${orderSql(call.orderBy, (expr) => binder.expr(expr, inner).sql)}`;
  if (over !== undefined && order !== '')
    throw new QueryFault('An ORDER BY clause is not allowed for this analytic function', at);
  const window = over === undefined ? '' : ` OVER (${windowSql(over, binder, inner, name)})`;
  const bound = shape.build(args, {
    distinct: call.distinct ? 'DISTINCT ' : '',
    order,
    over: (sql, filter) =>
      `${sql}${filter === undefined ? '' : ` FILTER (WHERE ${filter})`}${window}`,
  });
  return {
    sql: `(${bound.sql})`,
    type: bound.type,
    ...(over === undefined && { aggregate: true }),
  };
}

function windowSql(spec: WindowSpec, binder: Binder, scope: Scope, name: string): string {
  const merged = resolveWindow(spec, scope);
  const partition = merged.partitionBy.map((expr) => binder.expr(expr, scope).sql);
  const order = orderSql(merged.orderBy, (expr) => binder.expr(expr, scope).sql);
  const bound = (b: NonNullable<WindowSpec['frame']>['start']): string => {
    if (!('offset' in b)) return b.kind.toUpperCase();
    const offset = coerceNumber(binder.expr(b.offset, scope), b.offset.at);
    return `${offset} ${b.kind.toUpperCase()}`;
  };
  const ranking = ANALYTIC.has(name) && !['FIRST_VALUE', 'LAST_VALUE', 'NTH_VALUE'].includes(name);
  if (ranking && merged.frame !== undefined)
    throw new QueryFault(
      `Window framing clause is not allowed for analytic function ${name}`,
      spec.at,
    );
  if (
    ['RANK', 'DENSE_RANK', 'PERCENT_RANK', 'CUME_DIST', 'NTILE', 'LAG', 'LEAD'].includes(name) &&
    order === ''
  )
    throw new QueryFault(`Window ORDER BY is required for analytic function ${name}`, spec.at);
  if (name === 'PERCENTILE_CONT' && order !== '')
    throw new QueryFault(
      'Window ORDER BY is not allowed for analytic function PERCENTILE_CONT',
      spec.at,
    );
  return [
    partition.length > 0 ? `PARTITION BY ${partition.join(', ')}` : '',
    order === '' ? '' : `ORDER BY ${order}`,
    merged.frame === undefined
      ? ''
      : `${merged.frame.unit} BETWEEN ${bound(merged.frame.start)} AND ${bound(merged.frame.end)}`,
  ]
    .filter((part) => part !== '')
    .join(' ');
}

function coerceNumber(bound: Bound, at: number): string {
  if (bound.literal === undefined || !isNumber(bound.type))
    throw new QueryFault('Window framing expects a literal or parameter number', at);
  return coerce(bound, bound.type, 'a window frame', at).sql;
}

function resolveWindow(spec: WindowSpec, scope: Scope): WindowSpec {
  if (spec.name === undefined) return spec;
  const base = scope.windows?.get(spec.name.toLowerCase());
  if (base === undefined) throw new QueryFault(`Unrecognized window alias ${spec.name}`, spec.at);
  const resolved = resolveWindow(base, scope);
  return {
    partitionBy: spec.partitionBy.length > 0 ? spec.partitionBy : resolved.partitionBy,
    orderBy: spec.orderBy.length > 0 ? spec.orderBy : resolved.orderBy,
    ...((spec.frame ?? resolved.frame) && { frame: spec.frame ?? resolved.frame }),
    at: spec.at,
  } as WindowSpec;
}
