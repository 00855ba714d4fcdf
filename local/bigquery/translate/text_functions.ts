/** Functions of text: strings, regular expressions, formats, hashes, JSON. */
import { QueryFault, unsupported } from '../refusal.ts';
import { textLiteral, typeText } from '../type.ts';
import {
  type Arguments,
  type FunctionTable,
  fn,
  type ScalarFunction,
  simple,
} from './arguments.ts';
import { type Bound, coerce, isNumber } from './bound.ts';
import { toText } from './conversion.ts';

const SPACES = `E' \\t\\n\\r\\x0b\\x0c'`;
const trim = (name: string): ScalarFunction =>
  fn(1, 2, (a) => ({
    sql: `${name}(${a.sql(0, 'STRING')}, ${a.count > 1 ? a.sql(1, 'STRING') : SPACES})`,
    type: 'STRING',
  }));
const pad = (name: string): ScalarFunction =>
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

function json(name: string): ScalarFunction {
  return fn(1, 2, (a) => {
    const path = a.count > 1 ? a.text(1, 'A JSON path') : '$';
    if (!/^\$(\.[A-Za-z_][\w-]*|\."[^"]+"|\[\d+\])*$/.test(path))
      throw unsupported(`The JSON path ${path}`, a.expr(1).at);
    const quoted = path.replace(/\.([A-Za-z_][\w-]*)/g, '."$1"');
    return { sql: `${name}(${a.sql(0, 'STRING')}, ${textLiteral(quoted)})`, type: 'STRING' };
  });
}

const substr = fn(2, 3, (a) => ({
  sql:
    a.count === 2
      ? `bq_substr(${a.sql(0, 'STRING')}, ${a.sql(1, 'INT64')})`
      : `bq_substr_n(${a.sql(0, 'STRING')}, ${a.sql(1, 'INT64')}, ${a.sql(2, 'INT64')})`,
  type: 'STRING',
}));
const hash = (name: string): ScalarFunction => simple(['STRING'], 'BYTES', `unhex(${name}({0}))`);
const length = fn(1, 1, (a) => ({ sql: `length(${a.sql(0, 'STRING')})`, type: 'INT64' }));
const jsonScalar = json('bq_json_scalar');
const jsonQuery = json('bq_json_query');

export const textFunctions: FunctionTable = {
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
};
