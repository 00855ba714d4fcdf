/** Functions of numbers. */
import { QueryFault, unsupported } from '../refusal.ts';
import type { Type } from '../type.ts';
import { type FunctionTable, fn, type ScalarFunction, simple } from './arguments.ts';
import { type Bound, cast, coerce, unify } from './bound.ts';

const float1 = (name: string): ScalarFunction => simple(['FLOAT64'], 'FLOAT64', `${name}({0})`);

/** Keeps the type of a number: INT64 stays exact where DuckDB's function would not. */
const rounding = (name: string, digits: boolean): ScalarFunction =>
  fn(1, digits ? 2 : 1, (a) => {
    const x = a.number(0);
    const type = x.type === 'NUMERIC' ? 'NUMERIC' : 'FLOAT64';
    const value = coerce(x, type, `function ${a.call.name}`, a.at).sql;
    const n = a.count > 1 ? `, CAST(${a.sql(1, 'INT64')} AS INTEGER)` : '';
    return { sql: cast(`${name}(${value}${n})`, type), type };
  });

const extreme = (name: string): ScalarFunction =>
  fn(1, 99, (a) => {
    const { type, items } = unify(a.all(), `function ${a.call.name}`, a.at);
    const sqls = items.map(({ sql }) => sql);
    // NULL if any is NULL; DuckDB would leave it out.
    return {
      sql: `CASE WHEN ${sqls.map((sql) => `(${sql}) IS NOT NULL`).join(' AND ')} THEN ${name}(${sqls.join(', ')}) END`,
      type,
    };
  });

const division = (numeric: string, float: string): ScalarFunction =>
  fn(2, 2, (a) => divide(a.number(0), a.number(1), numeric, float, a));

function divide(
  left: Bound,
  right: Bound,
  numeric: string,
  float: string,
  a: { readonly at: number },
): Bound {
  const { type, items } = unify([left, right], 'operator /', a.at);
  const to: Type = type === 'NUMERIC' ? 'NUMERIC' : 'FLOAT64';
  const [l, r] = items.map((item) => coerce(item, to, 'operator /', a.at).sql);
  return { sql: `${to === 'NUMERIC' ? numeric : float}(${l}, ${r})`, type: to };
}

/** `a / b` of GoogleSQL: FLOAT64, or NUMERIC when NUMERIC is involved; division by zero fails. */
export function quotient(left: Bound, right: Bound, at: number): Bound {
  return divide(left, right, 'bq_numeric_divide', 'bq_divide', { at });
}

const power = simple(['FLOAT64', 'FLOAT64'], 'FLOAT64', 'pow({0}, {1})');
const ceiling = rounding('ceil', false);

export const numberFunctions: FunctionTable = {
  ABS: fn(1, 1, (a) => ({ ...a.number(0), sql: `abs(${a.number(0).sql})` })),
  SIGN: fn(1, 1, (a) => ({
    sql: cast(`sign(${a.number(0).sql})`, a.number(0).type),
    type: a.number(0).type,
  })),
  ROUND: rounding('round', true),
  TRUNC: fn(1, 2, (a) => {
    if (a.count > 1) throw unsupported('TRUNC with digits', a.at);
    return (rounding('trunc', false) as ScalarFunction).build(a);
  }),
  CEIL: ceiling,
  CEILING: ceiling,
  FLOOR: rounding('floor', false),
  SQRT: float1('sqrt'),
  EXP: float1('exp'),
  LN: float1('ln'),
  LOG10: float1('log10'),
  LOG: fn(1, 2, (a) => ({
    sql:
      a.count === 1
        ? `ln(${a.sql(0, 'FLOAT64')})`
        : `(ln(${a.sql(0, 'FLOAT64')}) / ln(${a.sql(1, 'FLOAT64')}))`,
    type: 'FLOAT64',
  })),
  POW: power,
  POWER: power,
  GREATEST: extreme('greatest'),
  LEAST: extreme('least'),
  MOD: fn(2, 2, (a) => {
    const { type, items } = unify([a.number(0), a.number(1)], 'function MOD', a.at);
    if (type === 'FLOAT64')
      throw new QueryFault(
        'No matching signature for function MOD for argument types: FLOAT64, FLOAT64',
        a.at,
      );
    return { sql: cast(`bq_mod(${items[0]?.sql}, ${items[1]?.sql})`, type), type };
  }),
  DIV: simple(['INT64', 'INT64'], 'INT64', 'bq_int_div({0}, {1})'),
  SAFE_DIVIDE: division('bq_numeric_safe_divide', 'bq_safe_divide'),
  IEEE_DIVIDE: simple(['FLOAT64', 'FLOAT64'], 'FLOAT64', '({0} / {1} + 0 * {1})'),
  RAND: fn(0, 0, () => ({ sql: 'random()', type: 'FLOAT64' })),
  IS_NAN: simple(['FLOAT64'], 'BOOL', 'isnan({0})'),
  IS_INF: simple(['FLOAT64'], 'BOOL', 'isinf({0})'),
};
