/** The closed list of scalar functions. What is not in FUNCTIONS is refused; each entry says which types it takes. */
import type { Call } from '../parse/ast.ts';
import { QueryFault, unsupported } from '../refusal.ts';
import { Arguments, type FunctionTable, fn, type ScalarFunction } from './arguments.ts';
import { arrayFunctions } from './array_functions.ts';
import { type Binder, type Bound, type Scope, unify } from './bound.ts';
import { numberFunctions } from './number_functions.ts';
import { textFunctions } from './text_functions.ts';
import { timeFunctions } from './time_functions.ts';

const conditions: FunctionTable = {
  IF: fn(3, 3, (a) => {
    const { type, items } = unify([a.any(1), a.any(2)], 'function IF', a.at);
    return {
      sql: `CASE WHEN ${a.sql(0, 'BOOL')} THEN ${items[0]?.sql} ELSE ${items[1]?.sql} END`,
      type,
    };
  }),
  COALESCE: fn(1, 99, (a) => {
    const { type, items } = unify(a.all(), 'function COALESCE', a.at);
    return { sql: `coalesce(${items.map(({ sql }) => sql).join(', ')})`, type };
  }),
  IFNULL: fn(2, 2, (a) => {
    const { type, items } = unify(a.all(), 'function IFNULL', a.at);
    return { sql: `coalesce(${items.map(({ sql }) => sql).join(', ')})`, type };
  }),
  NULLIF: fn(2, 2, (a) => {
    const { type, items } = unify(a.all(), 'function NULLIF', a.at);
    return { sql: `nullif(${items.map(({ sql }) => sql).join(', ')})`, type };
  }),
  ERROR: fn(1, 1, (a) => ({ sql: `error(${a.sql(0, 'STRING')})`, type: 'NULL' })),
};

const FUNCTIONS: ReadonlyMap<string, ScalarFunction> = new Map(
  Object.entries({
    ...conditions,
    ...numberFunctions,
    ...textFunctions,
    ...timeFunctions,
    ...arrayFunctions,
  }),
);

/** Binds a scalar function; refuses what is not on the list. */
export function scalarFunction(call: Call, binder: Binder, scope: Scope): Bound {
  const entry = FUNCTIONS.get(call.name);
  if (entry === undefined) {
    if (call.name.startsWith('SAFE.') && FUNCTIONS.has(call.name.slice(5)))
      throw unsupported(`${call.name}`, call.at);
    throw unsupported(`Function ${call.name}`, call.at);
  }
  if (
    call.distinct ||
    call.nulls !== undefined ||
    call.having !== undefined ||
    call.orderBy.length > 0 ||
    call.limit !== undefined
  )
    throw new QueryFault(
      `Function ${call.name} is no aggregate and takes only its arguments`,
      call.at,
    );
  if (call.args.length < entry.least || call.args.length > entry.most)
    throw new QueryFault(
      `Number of arguments does not match for function ${call.name}: it takes ${entry.least === entry.most ? entry.least : `${entry.least} to ${entry.most}`}, got ${call.args.length}`,
      call.at,
    );
  const {
    sources: _,
    name: __,
    literal: ___,
    ...bound
  } = entry.build(new Arguments(call, binder, scope));
  return { ...bound, sql: `(${bound.sql})` };
}

/** Names for a hint when a function is mistyped. */
export const FUNCTION_NAMES: readonly string[] = [...FUNCTIONS.keys()];
