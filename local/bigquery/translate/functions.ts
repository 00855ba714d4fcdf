/** The closed list of scalar functions. What is not in FUNCTIONS is refused; each entry says which types it takes. */
import type { Call, Expr } from '../parse/ast.ts';
import { QueryFault, unsupported } from '../refusal.ts';
import { type Type, textLiteral, typeText } from '../type.ts';
import {
  type Binder,
  type Bound,
  cast,
  coerce,
  coerced,
  isNumber,
  literalText,
  type Scope,
  unify,
} from './bound.ts';
import {
  addToDate,
  addToTimestamp,
  dateDiff,
  formatTime,
  lastDay,
  parseFormat,
  series,
  timestampDiff,
  truncateDate,
  truncateTimestamp,
} from './dates.ts';

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

type Build = (a: Arguments) => Bound;
interface Entry {
  readonly least: number;
  readonly most: number;
  readonly build: Build;
}

const fn = (least: number, most: number, build: Build): Entry => ({ least, most, build });
/** A function over fixed types whose DuckDB form is a template: {0}, {1}, … */
const simple = (types: readonly Type[], result: Type, template: string): Entry =>
  fn(types.length, types.length, (a) => ({
    sql: template.replace(/\{(\d)\}/g, (_, i: string) =>
      a.sql(Number(i), types[Number(i)] as Type),
    ),
    type: result,
  }));
const float1 = (name: string): Entry => simple(['FLOAT64'], 'FLOAT64', `${name}({0})`);

/** Keeps the type of a number: INT64 stays exact where DuckDB's function would not. */
const rounding = (name: string, digits: boolean): Entry =>
  fn(1, digits ? 2 : 1, (a) => {
    const x = a.number(0);
    const type = x.type === 'NUMERIC' ? 'NUMERIC' : 'FLOAT64';
    const value = coerce(x, type, `function ${a.call.name}`, a.at).sql;
    const n = a.count > 1 ? `, CAST(${a.sql(1, 'INT64')} AS INTEGER)` : '';
    return { sql: cast(`${name}(${value}${n})`, type), type };
  });

const extreme = (name: string): Entry =>
  fn(1, 99, (a) => {
    const { type, items } = unify(a.all(), `function ${a.call.name}`, a.at);
    const sqls = items.map(({ sql }) => sql);
    // NULL if any is NULL; DuckDB would leave it out.
    return {
      sql: `CASE WHEN ${sqls.map((sql) => `(${sql}) IS NOT NULL`).join(' AND ')} THEN ${name}(${sqls.join(', ')}) END`,
      type,
    };
  });

const division = (numeric: string, float: string): Entry =>
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

const SPACES = `E' \\t\\n\\r\\x0b\\x0c'`;
const trim = (name: string): Entry =>
  fn(1, 2, (a) => ({
    sql: `${name}(${a.sql(0, 'STRING')}, ${a.count > 1 ? a.sql(1, 'STRING') : SPACES})`,
    type: 'STRING',
  }));
const pad = (name: string): Entry =>
  fn(2, 3, (a) => ({
    sql: `${name}(${a.sql(0, 'STRING')}, CAST(${a.sql(1, 'INT64')} AS INTEGER), ${a.count > 2 ? a.sql(2, 'STRING') : `' '`})`,
    type: 'STRING',
  }));

/** The number of capturing groups of a regular expression. */
function groups(pattern: string): number {
  return (
    pattern
      .replace(/\\./gs, '')
      .replace(/\[\^?\]?[^\]]*\]/g, '')
      .match(/\((?!\?(?!P<))/g)?.length ?? 0
  );
}

function extraction(a: Arguments): {
  readonly text: string;
  readonly pattern: string;
  readonly group: number;
} {
  const pattern = a.text(1, 'A regular expression');
  const group = groups(pattern);
  if (group > 1)
    throw new QueryFault(
      `Regular expressions passed into extraction functions must not have more than 1 capturing group`,
      a.expr(1).at,
    );
  return { text: a.sql(0, 'STRING'), pattern: textLiteral(pattern), group };
}

const FORMAT_SPEC = /%(?:%|([-0]*)(\d*)(?:\.(\d+))?([a-zA-Z]))/g;

function format(a: Arguments): Bound {
  const template = a.text(0, 'A format');
  let next = 1;
  const args: string[] = [];
  const printf = template.replace(
    FORMAT_SPEC,
    (
      spec,
      flags: string | undefined,
      width: string,
      precision: string | undefined,
      sign: string | undefined,
    ) => {
      if (sign === undefined) return spec;
      const index = next++;
      const bound = a.any(index);
      if (sign === 'd' && bound.type === 'INT64') args.push(bound.sql);
      else if (sign === 'f' && isNumber(bound.type) && bound.type !== 'INT64')
        args.push(coerce(bound, 'FLOAT64', 'function FORMAT', a.at).sql);
      else if (sign === 's' && bound.type === 'STRING') args.push(bound.sql);
      else if (
        sign === 't' &&
        ['STRING', 'INT64', 'DATE', 'BOOL', 'TIMESTAMP'].includes(bound.type as string)
      ) {
        args.push(`coalesce(${toText(bound)}, 'NULL')`);
        return `%${flags}${width}s`;
      } else
        throw unsupported(`The format element ${spec} for ${typeText(bound.type)}`, a.expr(0).at);
      return `%${flags}${width}${sign === 'f' ? `.${precision ?? '6'}` : ''}${sign}`;
    },
  );
  if (template.replace(FORMAT_SPEC, '').includes('%'))
    throw unsupported(`The format "${template}"`, a.expr(0).at);
  if (next !== a.count)
    throw new QueryFault(
      `FORMAT has ${a.count - 1} arguments, its format asks for ${next - 1}`,
      a.at,
    );
  if (args.length === 0) return { sql: `printf(${textLiteral(printf)})`, type: 'STRING' };
  return {
    sql: `CASE WHEN ${args.map((sql) => `(${sql}) IS NOT NULL`).join(' AND ')} THEN printf(${textLiteral(printf)}, ${args.join(', ')}) END`,
    type: 'STRING',
  };
}

/** A value as BigQuery writes it in a cast to STRING. */
export function toText(bound: Bound): string {
  switch (bound.type) {
    case 'FLOAT64':
      return `bq_float_text(${bound.sql})`;
    case 'NUMERIC':
      return `bq_numeric_text(${bound.sql})`;
    case 'TIMESTAMP':
      return `bq_timestamp_text(${bound.sql})`;
    case 'BYTES':
      return `decode(${bound.sql})`;
    default:
      return cast(bound.sql, 'STRING');
  }
}

function json(name: string): Entry {
  return fn(1, 2, (a) => {
    const path = a.count > 1 ? a.text(1, 'A JSON path') : '$';
    if (!/^\$(\.[A-Za-z_][\w-]*|\."[^"]+"|\[\d+\])*$/.test(path))
      throw unsupported(`The JSON path ${path}`, a.expr(1).at);
    const quoted = path.replace(/\.([A-Za-z_][\w-]*)/g, '."$1"');
    return { sql: `${name}(${a.sql(0, 'STRING')}, ${textLiteral(quoted)})`, type: 'STRING' };
  });
}

const zoneOf = (a: Arguments, index: number): string | undefined =>
  a.count > index ? a.sql(index, 'STRING') : undefined;

function timestampOf(a: Arguments): Bound {
  const value = a.any(0);
  const zone = zoneOf(a, 1);
  if (value.type === 'STRING' && value.literal === undefined && zone === undefined)
    return {
      sql: `CASE WHEN bq_is_timestamp(${value.sql}) THEN bq_timestamp_of(${value.sql}) WHEN ${value.sql} IS NOT NULL THEN error('Invalid timestamp: ' || ${textLiteral("'")} || ${value.sql} || ${textLiteral("'")}) END`,
      type: 'TIMESTAMP',
    };
  if (value.type === 'DATE') {
    const sql = cast(value.sql, 'TIMESTAMP');
    return { sql: zone === undefined ? sql : `bq_utc(${sql}, ${zone})`, type: 'TIMESTAMP' };
  }
  if (zone !== undefined) throw unsupported('TIMESTAMP of a string in a time zone', a.at);
  return coerce(value, 'TIMESTAMP', 'function TIMESTAMP', a.at);
}

function dateOf(a: Arguments): Bound {
  if (a.count === 3)
    return {
      sql: `make_date(${a.sql(0, 'INT64')}, ${a.sql(1, 'INT64')}, ${a.sql(2, 'INT64')})`,
      type: 'DATE',
    };
  const value = a.any(0);
  if (value.type === 'DATE' && a.count === 1) return value;
  const time = coerce(value, 'TIMESTAMP', 'function DATE', a.at).sql;
  const zone = zoneOf(a, 1);
  return {
    sql: cast(zone === undefined ? time : `bq_local(${time}, ${zone})`, 'DATE'),
    type: 'DATE',
  };
}

/** DATE_ADD, DATE_SUB, TIMESTAMP_ADD, TIMESTAMP_SUB. */
const shift = (type: 'DATE' | 'TIMESTAMP', sign: '' | '-'): Entry =>
  fn(2, 2, (a) => {
    const { amount, part } = a.interval(1);
    return shifted(a.of(0, type), `${sign}(${amount})`, part, a.at);
  });

export function shifted(value: Bound, amount: string, part: string, at: number): Bound {
  if (value.type === 'DATE') return { sql: addToDate(value.sql, amount, part, at), type: 'DATE' };
  return { sql: addToTimestamp(value.sql, amount, part, at), type: 'TIMESTAMP' };
}

const dateTrunc = fn(2, 3, (a) => {
  const value = a.any(0);
  if (value.type === 'TIMESTAMP') return truncatedTimestamp(a);
  if (a.count > 2) throw new QueryFault('DATE_TRUNC of a DATE takes no time zone', a.at);
  return { sql: truncateDate(a.sql(0, 'DATE'), a.part(1), a.at), type: 'DATE' };
});

function truncatedTimestamp(a: Arguments): Bound {
  const time = a.sql(0, 'TIMESTAMP');
  const zone = zoneOf(a, 2);
  if (zone === undefined)
    return { sql: truncateTimestamp(time, a.part(1), a.at), type: 'TIMESTAMP' };
  return {
    sql: `bq_utc(${truncateTimestamp(`bq_local(${time}, ${zone})`, a.part(1), a.at)}, ${zone})`,
    type: 'TIMESTAMP',
  };
}

function elementOf(bound: Bound, a: Arguments): Type {
  if (typeof bound.type === 'object' && 'array' in bound.type) return bound.type.array;
  throw new QueryFault(
    `No matching signature for function ${a.call.name} for argument types: ${typeText(bound.type)}`,
    a.at,
  );
}

const parsed = (time: boolean, safe: boolean): Entry =>
  fn(2, time ? 3 : 2, (a) => {
    const format = parseFormat(a.text(0, 'A format'), time, a.expr(0).at);
    const sql = `CAST(${safe ? 'try_strptime' : 'strptime'}(${a.sql(1, 'STRING')}, ${format}) AS ${time ? 'TIMESTAMP' : 'DATE'})`;
    const zone = zoneOf(a, 2);
    return {
      sql: zone === undefined ? sql : `bq_utc(${sql}, ${zone})`,
      type: time ? 'TIMESTAMP' : 'DATE',
    };
  });

const substr = fn(2, 3, (a) => ({
  sql:
    a.count === 2
      ? `bq_substr(${a.sql(0, 'STRING')}, ${a.sql(1, 'INT64')})`
      : `bq_substr_n(${a.sql(0, 'STRING')}, ${a.sql(1, 'INT64')}, ${a.sql(2, 'INT64')})`,
  type: 'STRING',
}));
const hash = (name: string): Entry => simple(['STRING'], 'BYTES', `unhex(${name}({0}))`);
const power = simple(['FLOAT64', 'FLOAT64'], 'FLOAT64', 'pow({0}, {1})');
const ceiling = rounding('ceil', false);
const length = fn(1, 1, (a) => ({ sql: `length(${a.sql(0, 'STRING')})`, type: 'INT64' }));
const jsonScalar = json('bq_json_scalar');
const jsonQuery = json('bq_json_query');

const FUNCTIONS: ReadonlyMap<string, Entry> = new Map(
  Object.entries<Entry>({
    // Conditions
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
    // Numbers
    ABS: fn(1, 1, (a) => ({ ...a.number(0), sql: `abs(${a.number(0).sql})` })),
    SIGN: fn(1, 1, (a) => ({
      sql: cast(`sign(${a.number(0).sql})`, a.number(0).type),
      type: a.number(0).type,
    })),
    ROUND: rounding('round', true),
    TRUNC: fn(1, 2, (a) => {
      if (a.count > 1) throw unsupported('TRUNC with digits', a.at);
      return (rounding('trunc', false) as Entry).build(a);
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
    // Text
    CONCAT: fn(1, 99, (a) => ({
      sql: `(${a.call.args.map((_, i) => a.sql(i, 'STRING')).join(' || ')})`,
      type: 'STRING',
    })),
    LENGTH: length,
    CHAR_LENGTH: length,
    CHARACTER_LENGTH: length,
    BYTE_LENGTH: simple(['STRING'], 'INT64', 'strlen({0})'),
    SUBSTR: substr,
    SUBSTRING: substr,
    LEFT: simple(['STRING', 'INT64'], 'STRING', 'bq_left({0}, {1})'),
    RIGHT: simple(['STRING', 'INT64'], 'STRING', 'bq_right({0}, {1})'),
    UPPER: simple(['STRING'], 'STRING', 'upper({0})'),
    LOWER: simple(['STRING'], 'STRING', 'lower({0})'),
    TRIM: trim('trim'),
    LTRIM: trim('ltrim'),
    RTRIM: trim('rtrim'),
    LPAD: pad('lpad'),
    RPAD: pad('rpad'),
    REPEAT: simple(['STRING', 'INT64'], 'STRING', 'repeat({0}, {1})'),
    REVERSE: simple(['STRING'], 'STRING', 'reverse({0})'),
    REPLACE: simple(['STRING', 'STRING', 'STRING'], 'STRING', 'bq_replace({0}, {1}, {2})'),
    STARTS_WITH: simple(['STRING', 'STRING'], 'BOOL', 'starts_with({0}, {1})'),
    ENDS_WITH: simple(['STRING', 'STRING'], 'BOOL', 'ends_with({0}, {1})'),
    STRPOS: simple(['STRING', 'STRING'], 'INT64', 'strpos({0}, {1})'),
    INSTR: simple(['STRING', 'STRING'], 'INT64', 'strpos({0}, {1})'),
    SPLIT: fn(1, 2, (a) => ({
      sql: `string_split(${a.sql(0, 'STRING')}, ${a.count > 1 ? a.sql(1, 'STRING') : `','`})`,
      type: { array: 'STRING' },
    })),
    REGEXP_CONTAINS: fn(2, 2, (a) => ({
      sql: `regexp_matches(${a.sql(0, 'STRING')}, ${textLiteral(a.text(1, 'A regular expression'))})`,
      type: 'BOOL',
    })),
    REGEXP_EXTRACT: fn(2, 2, (a) => {
      const { text, pattern, group } = extraction(a);
      return {
        sql: `CASE WHEN regexp_matches(${text}, ${pattern}) THEN regexp_extract(${text}, ${pattern}, ${group}) END`,
        type: 'STRING',
      };
    }),
    REGEXP_EXTRACT_ALL: fn(2, 2, (a) => {
      const { text, pattern, group } = extraction(a);
      return {
        sql: `regexp_extract_all(${text}, ${pattern}, ${group})`,
        type: { array: 'STRING' },
      };
    }),
    REGEXP_REPLACE: fn(3, 3, (a) => ({
      sql: `regexp_replace(${a.sql(0, 'STRING')}, ${textLiteral(a.text(1, 'A regular expression'))}, ${a.sql(2, 'STRING')}, 'g')`,
      type: 'STRING',
    })),
    FORMAT: fn(1, 99, format),
    TO_HEX: simple(['BYTES'], 'STRING', 'lower(hex({0}))'),
    MD5: hash('md5'),
    SHA1: hash('sha1'),
    SHA256: hash('sha256'),
    GENERATE_UUID: fn(0, 0, () => ({ sql: 'CAST(uuid() AS VARCHAR)', type: 'STRING' })),
    JSON_VALUE: jsonScalar,
    JSON_EXTRACT_SCALAR: jsonScalar,
    JSON_QUERY: jsonQuery,
    JSON_EXTRACT: jsonQuery,
    // Dates and times
    CURRENT_DATE: fn(0, 1, (a) => {
      const now = `make_timestamp(${a.binder.nowMicros})`;
      const zone = zoneOf(a, 0);
      return {
        sql: cast(zone === undefined ? now : `bq_local(${now}, ${zone})`, 'DATE'),
        type: 'DATE',
      };
    }),
    CURRENT_TIMESTAMP: fn(0, 0, (a) => ({
      sql: `make_timestamp(${a.binder.nowMicros})`,
      type: 'TIMESTAMP',
    })),
    DATE: fn(1, 3, dateOf),
    TIMESTAMP: fn(1, 2, timestampOf),
    DATE_ADD: shift('DATE', ''),
    DATE_SUB: shift('DATE', '-'),
    TIMESTAMP_ADD: shift('TIMESTAMP', ''),
    TIMESTAMP_SUB: shift('TIMESTAMP', '-'),
    DATE_DIFF: fn(3, 3, (a) => {
      if (a.any(0).type === 'TIMESTAMP') throw unsupported('DATE_DIFF of timestamps', a.at);
      return { sql: dateDiff(a.sql(0, 'DATE'), a.sql(1, 'DATE'), a.part(2), a.at), type: 'INT64' };
    }),
    TIMESTAMP_DIFF: fn(3, 3, (a) => ({
      sql: timestampDiff(a.sql(0, 'TIMESTAMP'), a.sql(1, 'TIMESTAMP'), a.part(2), a.at),
      type: 'INT64',
    })),
    DATE_TRUNC: dateTrunc,
    TIMESTAMP_TRUNC: fn(2, 3, truncatedTimestamp),
    LAST_DAY: fn(1, 2, (a) => ({
      sql: lastDay(a.sql(0, 'DATE'), a.count > 1 ? a.part(1) : 'MONTH', a.at),
      type: 'DATE',
    })),
    FORMAT_DATE: fn(2, 2, (a) => ({
      sql: formatTime(a.sql(1, 'DATE'), a.text(0, 'A format'), false, false, a.expr(0).at),
      type: 'STRING',
    })),
    FORMAT_TIMESTAMP: fn(2, 3, (a) => {
      const zone = zoneOf(a, 2);
      const time = a.sql(1, 'TIMESTAMP');
      return {
        sql: formatTime(
          zone === undefined ? time : `bq_local(${time}, ${zone})`,
          a.text(0, 'A format'),
          true,
          zone !== undefined,
          a.expr(0).at,
        ),
        type: 'STRING',
      };
    }),
    PARSE_DATE: parsed(false, false),
    PARSE_TIMESTAMP: parsed(true, false),
    'SAFE.PARSE_DATE': parsed(false, true),
    'SAFE.PARSE_TIMESTAMP': parsed(true, true),
    UNIX_DATE: simple(['DATE'], 'INT64', 'bq_day({0})'),
    DATE_FROM_UNIX_DATE: simple(['INT64'], 'DATE', `bq_add_days(DATE '1970-01-01', {0})`),
    UNIX_SECONDS: simple(['TIMESTAMP'], 'INT64', 'CAST(floor(epoch_us({0}) / 1000000) AS BIGINT)'),
    UNIX_MILLIS: simple(['TIMESTAMP'], 'INT64', 'CAST(floor(epoch_us({0}) / 1000) AS BIGINT)'),
    UNIX_MICROS: simple(['TIMESTAMP'], 'INT64', 'epoch_us({0})'),
    TIMESTAMP_SECONDS: simple(['INT64'], 'TIMESTAMP', 'make_timestamp({0} * 1000000)'),
    TIMESTAMP_MILLIS: simple(['INT64'], 'TIMESTAMP', 'make_timestamp({0} * 1000)'),
    TIMESTAMP_MICROS: simple(['INT64'], 'TIMESTAMP', 'make_timestamp({0})'),
    STRING: fn(1, 1, (a) => ({
      sql: toText(a.of(0, a.any(0).type === 'DATE' ? 'DATE' : 'TIMESTAMP')),
      type: 'STRING',
    })),
    GENERATE_DATE_ARRAY: fn(2, 3, (a) => {
      const { amount, part } = a.count > 2 ? a.interval(2) : { amount: '1', part: 'DAY' };
      return {
        sql: series(a.sql(0, 'DATE'), a.sql(1, 'DATE'), amount, part, false, a.at),
        type: { array: 'DATE' },
      };
    }),
    GENERATE_TIMESTAMP_ARRAY: fn(3, 3, (a) => {
      const { amount, part } = a.interval(2);
      return {
        sql: series(a.sql(0, 'TIMESTAMP'), a.sql(1, 'TIMESTAMP'), amount, part, true, a.at),
        type: { array: 'TIMESTAMP' },
      };
    }),
    // Arrays
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
