/** Functions of arrays. */
import { QueryFault } from '../refusal.ts';
import { type Type, typeText } from '../type.ts';
import { type Arguments, type FunctionTable, fn } from './arguments.ts';
import { type Bound, coerced, unify } from './bound.ts';

function elementOf(bound: Bound, a: Arguments): Type {
  if (typeof bound.type === 'object' && 'array' in bound.type) return bound.type.array;
  throw new QueryFault(
    `No matching signature for function ${a.call.name} for argument types: ${typeText(bound.type)}`,
    a.at,
  );
}

export const arrayFunctions: FunctionTable = {
  GENERATE_ARRAY: fn(2, 3, (a) => ({
    sql: `generate_series(${a.sql(0, 'INT64')}, ${a.sql(1, 'INT64')}${a.count > 2 ? `, ${a.sql(2, 'INT64')}` : ''})`,
    type: { array: 'INT64' },
  })),
  ARRAY_LENGTH: fn(1, 1, (a) => {
    const array = a.any(0);
    elementOf(array, a);
    return { sql: `CAST(len(${array.sql}) AS BIGINT)`, type: 'INT64' };
  }),
  ARRAY_REVERSE: fn(1, 1, (a) => {
    const array = a.any(0);
    elementOf(array, a);
    return { sql: `list_reverse(${array.sql})`, type: array.type };
  }),
  ARRAY_CONCAT: fn(1, 99, (a) => {
    const { type, items } = unify(a.all(), 'function ARRAY_CONCAT', a.at);
    elementOf({ sql: '', type }, a);
    const sqls = items.map(({ sql }) => sql);
    return {
      sql: `CASE WHEN ${sqls.map((sql) => `(${sql}) IS NOT NULL`).join(' AND ')} THEN ${sqls.reduce((left, right) => `list_concat(${left}, ${right})`)} END`,
      type,
    };
  }),
  ARRAY_TO_STRING: fn(2, 3, (a) => {
    const array = coerced(a.any(0), { array: 'STRING' });
    if (array === undefined || elementOf(a.any(0), a) !== 'STRING')
      throw new QueryFault(
        'No matching signature for function ARRAY_TO_STRING: it takes an ARRAY<STRING>',
        a.at,
      );
    const list =
      a.count > 2
        ? `list_transform(${array.sql}, lambda e : coalesce(e, ${a.sql(2, 'STRING')}))`
        : array.sql;
    return {
      sql: `CASE WHEN ${array.sql} IS NOT NULL THEN coalesce(array_to_string(${list}, ${a.sql(1, 'STRING')}), '') END`,
      type: 'STRING',
    };
  }),
};
