/** Functions of dates and times. */
import { QueryFault, unsupported } from '../refusal.ts';
import { textLiteral } from '../type.ts';
import {
  type Arguments,
  type FunctionTable,
  fn,
  type ScalarFunction,
  simple,
} from './arguments.ts';
import { type Bound, cast, coerce } from './bound.ts';
import { toText } from './conversion.ts';
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
const shift = (type: 'DATE' | 'TIMESTAMP', sign: '' | '-'): ScalarFunction =>
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

const parsed = (time: boolean, safe: boolean): ScalarFunction =>
  fn(2, time ? 3 : 2, (a) => {
    const format = parseFormat(a.text(0, 'A format'), time, a.expr(0).at);
    const sql = `CAST(${safe ? 'try_strptime' : 'strptime'}(${a.sql(1, 'STRING')}, ${format}) AS ${time ? 'TIMESTAMP' : 'DATE'})`;
    const zone = zoneOf(a, 2);
    return {
      sql: zone === undefined ? sql : `bq_utc(${sql}, ${zone})`,
      type: time ? 'TIMESTAMP' : 'DATE',
    };
  });

export const timeFunctions: FunctionTable = {
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
};
