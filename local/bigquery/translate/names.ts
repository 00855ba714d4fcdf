/** Names: columns, aliases and fields, looked up from the inside out. */
import { QueryFault, unsupported } from '../refusal.ts';
import { type Type, typeText } from '../type.ts';
import type { Bound, Column, Scope } from './bound.ts';

/** A field of a STRUCT. */
export function field(value: Bound, name: string, at: number): Bound {
  if (typeof value.type !== 'object' || !('struct' in value.type))
    throw new QueryFault(
      `Cannot access field ${name} on a value with type ${typeText(value.type)}`,
      at,
    );
  const fields = value.type.struct;
  const index = fields.findIndex(
    (candidate) => candidate.name.toLowerCase() === name.toLowerCase(),
  );
  if (index < 0)
    throw new QueryFault(`Field name ${name} does not exist in ${typeText(value.type)}`, at);
  return {
    sql: `(${value.sql}).f${index}`,
    type: fields[index]?.type as Type,
    name: fields[index]?.name ?? name,
    ...(value.aggregate && { aggregate: true }),
  };
}

function find(columns: readonly Column[], name: string): readonly Column[] {
  return columns.filter((column) => column.name.toLowerCase() === name.toLowerCase());
}

/** A name, qualified or not, looked up from the inside out. */
export function path(names: readonly string[], scope: Scope, at: number): Bound {
  const [first, ...rest] = names as [string, ...string[]];
  for (let level: Scope | undefined = scope; level !== undefined; level = level.parent) {
    const found = lookUp(first, rest, level, at);
    if (found !== undefined) {
      const { bound, used } = found;
      if (
        level.grouped !== undefined &&
        !level.inAggregate &&
        !bound.aggregate &&
        !found.alias &&
        !level.grouped.has(bound.sql)
      )
        throw new QueryFault(
          `Expression references column ${names[used - 1]} which is neither grouped nor aggregated`,
          at,
        );
      for (const source of bound.sources ?? []) source.use.columns.add(source.column);
      return rest.slice(used - 1).reduce((value, name) => field(value, name, at), bound);
    }
  }
  const visible = scope.relations.flatMap(({ columns, alias }) => [
    ...columns.map(({ name }) => name),
    ...(alias ? [alias] : []),
  ]);
  const near = nearest(first, visible);
  throw new QueryFault(
    `Unrecognized name: ${names.join('.')}${near === undefined ? '' : `; Did you mean ${near}?`}`,
    at,
  );
}

/** `used` counts the names that are spent. */
function lookUp(
  first: string,
  rest: readonly string[],
  scope: Scope,
  at: number,
): { bound: Bound; used: number; alias?: true } | undefined {
  const alias = scope.aliases?.get(first.toLowerCase());
  if (alias === 'ambiguous') throw new QueryFault(`Name ${first} is ambiguous`, at);
  if (alias !== undefined) {
    if (alias.aggregate && scope.inAggregate)
      throw new QueryFault('Aggregations of aggregations are not allowed', at);
    return { bound: alias, used: 1, alias: true };
  }
  const merged = find(scope.merged, first)[0];
  if (merged !== undefined) return { bound: { ...merged.bound, name: merged.name }, used: 1 };
  const columns = scope.relations.flatMap((relation) => find(relation.columns, first));
  if (columns.length > 1) throw new QueryFault(`Column name ${first} is ambiguous`, at);
  const column = columns[0];
  if (column !== undefined) return { bound: { ...column.bound, name: column.name }, used: 1 };
  const relation = scope.relations.find(
    (candidate) => candidate.alias?.toLowerCase() === first.toLowerCase(),
  );
  if (relation === undefined) return undefined;
  const name = rest[0];
  if (name === undefined) {
    if (relation.element !== undefined)
      return { bound: { ...relation.element, name: first }, used: 1 };
    throw unsupported(`A whole row (${first}) as a value`, at);
  }
  const inner = find(relation.columns, name)[0];
  if (inner === undefined) {
    const near = nearest(
      name,
      relation.columns.map((candidate) => candidate.name),
    );
    throw new QueryFault(
      `Name ${name} not found inside ${first}${near === undefined ? '' : `; Did you mean ${near}?`}`,
      at,
    );
  }
  return { bound: { ...inner.bound, name: inner.name }, used: 2 };
}

/** The name at most two edits away, as BigQuery hints. */
export function nearest(name: string, candidates: readonly string[]): string | undefined {
  const limit = name.length <= 3 ? 1 : 2;
  return candidates
    .map((candidate) => ({
      candidate,
      distance: edits(name.toLowerCase(), candidate.toLowerCase()),
    }))
    .filter(({ distance }) => distance > 0 && distance <= limit)
    .sort((a, b) => a.distance - b.distance)[0]?.candidate;
}

function edits(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1)
      next.push(
        Math.min(
          (next[j - 1] as number) + 1,
          (row[j] as number) + 1,
          (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1),
        ),
      );
    row = next;
  }
  return row[b.length] as number;
}
