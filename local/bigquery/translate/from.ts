/** FROM: tables, WITH queries, subqueries, arrays, and their joins. */
import type { From } from '../parse/ast.ts';
import { QueryFault, Refusal, unsupported } from '../refusal.ts';
import { typeText } from '../type.ts';
import {
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
import { notePartitionFilters, usesOf } from './prune.ts';
import type { TableInfo, Translation } from './translation.ts';

interface BoundFrom {
  readonly sql: string;
  readonly relations: readonly Relation[];
  readonly merged: readonly Column[];
}

/** @param outer what an enclosing query lets this one see */
export function bindFrom(from: From, outer: Scope | undefined, context: Translation): BoundFrom {
  switch (from.kind) {
    case 'table':
      return bindTable(from, outer, context);
    case 'derived': {
      const alias = context.fresh('t');
      const bound = context.query(from.query, outer);
      return {
        sql: `(${bound.sql}) AS ${alias}`,
        relations: [relationOf(bound, alias, from.alias)],
        merged: [],
      };
    }
    case 'unnest':
      return bindUnnest(
        from,
        { relations: [], merged: [], ...(outer && { parent: outer }) },
        context,
      );
    case 'join':
      return bindJoin(from, outer, context);
  }
}

function bindTable(
  from: Extract<From, { kind: 'table' }>,
  outer: Scope | undefined,
  context: Translation,
): BoundFrom {
  const name = from.path.at(-1) as string;
  const alias = context.fresh('t');
  const cte =
    from.path.length === 1
      ? context.ctes.findLast((candidate) => candidate.name.toLowerCase() === name.toLowerCase())
      : undefined;
  if (cte !== undefined) {
    // Bound again at each place, so that a partition filter here speaks for what is read here.
    const visible = context.ctes;
    context.ctes = cte.before;
    const bound = context.query(cte.query, undefined);
    context.ctes = visible;
    return {
      sql: `${cte.sqlName} AS ${alias}`,
      relations: [relationOf(bound, alias, from.alias ?? cte.name)],
      merged: [],
    };
  }
  // `FROM t, t.array`: the second is a column, not a table.
  if (outer !== undefined && from.path.length > 1) {
    const inner = correlatedPath(from.path, outer, from.at, context);
    if (inner !== undefined)
      return bindUnnest(
        {
          kind: 'unnest',
          expr: { kind: 'path', names: from.path, at: from.at },
          alias: from.alias ?? name,
          at: from.at,
        },
        outer,
        context,
      );
  }
  let info: TableInfo;
  try {
    info = context.table(from.path);
  } catch (error) {
    // BigQuery names the position of an unqualified table; a missing one is an error of its own kind.
    if (error instanceof Refusal && error.reason === 'invalidQuery')
      throw new QueryFault(error.message, from.at);
    throw error;
  }
  const use = noteUse(info, from.at, context);
  return {
    sql: `${info.sql} AS ${alias}`,
    relations: [tableRelation(info, use, alias, from.alias ?? name)],
    merged: [],
  };
}

function correlatedPath(
  path: readonly string[],
  scope: Scope,
  at: number,
  context: Translation,
): Bound | undefined {
  if (!scope.relations.some(({ alias }) => alias?.toLowerCase() === path[0]?.toLowerCase()))
    return undefined;
  return context.expr({ kind: 'path', names: path, at }, scope);
}

/** One more place that reads a table. */
export function noteUse(info: TableInfo, at: number, context: Translation): TableUse {
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
  context.uses.push(use);
  return use;
}

function bindUnnest(
  from: Extract<From, { kind: 'unnest' }>,
  scope: Scope,
  context: Translation,
): BoundFrom {
  const array = context.expr(from.expr, { ...scope, noAggregate: 'UNNEST', noWindow: 'UNNEST' });
  if (typeof array.type !== 'object' || !('array' in array.type))
    throw new QueryFault(
      `Values referenced in UNNEST must be arrays. UNNEST contains expression of type ${typeText(array.type)}`,
      from.at,
    );
  const alias = context.fresh('t');
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

function bindJoin(
  from: Extract<From, { kind: 'join' }>,
  outer: Scope | undefined,
  context: Translation,
): BoundFrom {
  const left = bindFrom(from.left, outer, context);
  const leftScope: Scope = {
    relations: left.relations,
    merged: left.merged,
    ...(outer && { parent: outer }),
  };
  const right =
    from.right.kind === 'unnest'
      ? bindUnnest(from.right, leftScope, context)
      : from.right.kind === 'table' && from.right.path.length > 1
        ? bindTable(from.right, leftScope, context)
        : bindFrom(from.right, outer, context);
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
  if (from.using !== undefined) return bindUsing(from, left, right, relations);
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
      : coerce(context.expr(from.on, scope), 'BOOL', 'ON', from.on.at).sql;
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
      context,
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

function bindUsing(
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

function same(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

/** A query's columns under an alias of the SQL; `name` is what the query calls it. */
export function relationOf(query: BoundQuery, alias: string, name: string | undefined): Relation {
  return {
    alias: name,
    columns: query.columns.map((column, i) => ({
      name: column.name,
      bound: { sql: `${alias}.o${i}`, type: column.type, sources: column.sources },
    })),
  };
}

/** A table's columns under an alias of the SQL; `name` is what the query calls it. */
export function tableRelation(
  info: TableInfo,
  use: TableUse,
  alias: string,
  name: string,
): Relation {
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
