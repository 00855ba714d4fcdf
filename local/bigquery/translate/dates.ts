import { QueryFault, unsupported } from '../refusal.ts';
import { textLiteral } from '../type.ts';

const WEEKDAYS = ['SUNDAY', 'MONDAY', 'TUESDAY', 'WEDNESDAY', 'THURSDAY', 'FRIDAY', 'SATURDAY'];

/** The first day of the week that a date part means, 0 Sunday … 6 Saturday; undefined if it is not a week. */
function weekStart(part: string): number | undefined {
  if (part === 'WEEK') return 0;
  if (part === 'ISOWEEK') return 1;
  const day = /^WEEK\((\w+)\)$/.exec(part)?.[1];
  return day === undefined
    ? undefined
    : WEEKDAYS.indexOf(day) < 0
      ? undefined
      : WEEKDAYS.indexOf(day);
}

function badPart(part: string, what: string, at: number): QueryFault {
  return new QueryFault(
    `A valid date part argument for ${what} is required, but found ${part}`,
    at,
  );
}

const MONTHS: Readonly<Record<string, number>> = { MONTH: 1, QUARTER: 3, YEAR: 12 };
const DAYS: Readonly<Record<string, number>> = { DAY: 1, WEEK: 7 };
const MICROS: Readonly<Record<string, number>> = {
  MICROSECOND: 1,
  MILLISECOND: 1e3,
  SECOND: 1e6,
  MINUTE: 6e7,
  HOUR: 36e8,
  DAY: 864e8,
};

export function addToDate(date: string, amount: string, part: string, at: number): string {
  const days = DAYS[part];
  if (days !== undefined) return `bq_add_days(${date}, ${amount} * ${days})`;
  const months = MONTHS[part];
  if (months !== undefined) return `bq_add_months(${date}, ${amount} * ${months})`;
  throw badPart(part, 'DATE_ADD', at);
}

export function addToTimestamp(time: string, amount: string, part: string, at: number): string {
  const micros = MICROS[part];
  if (micros === undefined)
    throw new QueryFault(`TIMESTAMP_ADD does not support the ${part} date part`, at);
  return `(${time} + to_microseconds(${amount} * ${micros}))`;
}

/** Boundaries crossed, not whole units: 31 December to 1 January is one YEAR. */
export function dateDiff(a: string, b: string, part: string, at: number): string {
  const week = weekStart(part);
  if (part === 'DAY') return `CAST(${a} - ${b} AS BIGINT)`;
  if (week !== undefined) return `(bq_week_index(${a}, ${week}) - bq_week_index(${b}, ${week}))`;
  if (part === 'MONTH') return `(bq_month_index(${a}) - bq_month_index(${b}))`;
  if (part === 'QUARTER')
    return `((year(${a}) * 4 + quarter(${a})) - (year(${b}) * 4 + quarter(${b})))`;
  if (part === 'YEAR') return `(year(${a}) - year(${b}))`;
  if (part === 'ISOYEAR') return `(isoyear(${a}) - isoyear(${b}))`;
  throw badPart(part, 'DATE_DIFF', at);
}

/** Whole units of elapsed time, cut towards zero: 23.5 hours are 23. */
export function timestampDiff(a: string, b: string, part: string, at: number): string {
  const micros = MICROS[part];
  if (micros === undefined)
    throw new QueryFault(`TIMESTAMP_DIFF does not support the ${part} date part`, at);
  return `((epoch_us(${a}) - epoch_us(${b})) // ${micros})`;
}

export function truncateDate(date: string, part: string, at: number): string {
  const week = weekStart(part);
  if (part === 'DAY') return date;
  if (week !== undefined) return `bq_week_start(${date}, ${week})`;
  if (part in MONTHS) return `CAST(date_trunc('${part.toLowerCase()}', ${date}) AS DATE)`;
  throw badPart(part, 'DATE_TRUNC', at);
}

export function truncateTimestamp(time: string, part: string, at: number): string {
  if (weekStart(part) !== undefined || part in MONTHS || part === 'DAY')
    return `CAST(${truncateDate(`CAST(${time} AS DATE)`, part, at)} AS TIMESTAMP)`;
  if (part in MICROS) return `date_trunc('${part.toLowerCase()}', ${time})`;
  throw badPart(part, 'TIMESTAMP_TRUNC', at);
}

export function lastDay(date: string, part: string, at: number): string {
  const week = weekStart(part);
  if (week !== undefined) return `(bq_week_start(${date}, ${week}) + 6)`;
  const months = MONTHS[part];
  if (months === undefined) throw badPart(part, 'LAST_DAY', at);
  return `(bq_add_months(${truncateDate(date, part, at)}, ${months}) - 1)`;
}

/** A part of a date or time as INT64. `time` says whether the value has a time of day. */
export function extractPart(value: string, part: string, time: boolean, at: number): string {
  const week = weekStart(part);
  const int = (sql: string): string => `CAST(${sql} AS BIGINT)`;
  if (part === 'ISOWEEK') return int(`extract('week' FROM ${value})`);
  if (week !== undefined) return `bq_week_number(${value}, ${week})`;
  if (['YEAR', 'QUARTER', 'MONTH', 'DAY', 'ISOYEAR'].includes(part))
    return int(`extract('${part.toLowerCase()}' FROM ${value})`);
  if (part === 'DAYOFYEAR') return int(`extract('doy' FROM ${value})`);
  // 1 is Sunday; DuckDB counts from 0.
  if (part === 'DAYOFWEEK') return `(${int(`extract('dow' FROM ${value})`)} + 1)`;
  if (time) {
    if (part === 'HOUR' || part === 'MINUTE' || part === 'SECOND')
      return int(`extract('${part.toLowerCase()}' FROM ${value})`);
    // DuckDB's include the seconds.
    if (part === 'MILLISECOND') return `((epoch_us(${value}) // 1000) % 1000 + 1000) % 1000`;
    if (part === 'MICROSECOND') return `((epoch_us(${value}) % 1000000) + 1000000) % 1000000`;
  }
  throw badPart(part, 'EXTRACT', at);
}

const FORMATS: Readonly<Record<string, string>> = {
  Y: '%Y',
  y: '%y',
  m: '%m',
  d: '%d',
  b: '%b',
  h: '%b',
  B: '%B',
  a: '%a',
  A: '%A',
  j: '%j',
  u: '%u',
  w: '%w',
  U: '%U',
  W: '%W',
  G: '%G',
  V: '%V',
  F: '%Y-%m-%d',
  D: '%m/%d/%y',
  '%': '%%',
  E4Y: '%Y',
  n: '\n',
  t: '\t',
};
const TIME_FORMATS: Readonly<Record<string, string>> = {
  H: '%H',
  I: '%I',
  M: '%M',
  S: '%S',
  p: '%p',
  T: '%H:%M:%S',
  R: '%H:%M',
  'E*S': '%S.%f',
  E3S: '%S.%g',
  E6S: '%S.%f',
};

/** strftime by pieces: what DuckDB has no sign for (quarter, space-padded day, zone) is computed beside it. */
export function formatTime(
  value: string,
  format: string,
  time: boolean,
  zoned: boolean,
  at: number,
): string {
  const pieces: string[] = [];
  let run = '';
  const flush = (): void => {
    if (run !== '') pieces.push(`strftime(${value}, ${textLiteral(run)})`);
    run = '';
  };
  for (let i = 0; i < format.length; i += 1) {
    if (format[i] !== '%') {
      run += format[i];
      continue;
    }
    const sign = /^E(?:[*\d][SY])|^./su.exec(format.slice(i + 1))?.[0] ?? '';
    i += sign.length;
    const known = FORMATS[sign] ?? (time ? TIME_FORMATS[sign] : undefined);
    if (sign === 'E*S') {
      // As many digits as are needed.
      flush();
      pieces.push(`rtrim(rtrim(strftime(${value}, '%S.%f'), '0'), '.')`);
      if (time) continue;
    }
    if (known !== undefined) {
      run += known;
      continue;
    }
    flush();
    if (sign === 'Q') pieces.push(`CAST(quarter(${value}) AS VARCHAR)`);
    else if (sign === 'e') pieces.push(`lpad(strftime(${value}, '%-d'), 2, ' ')`);
    else if (time && !zoned && sign === 'Z') pieces.push(`'UTC'`);
    else if (time && !zoned && sign === 'z') pieces.push(`'+0000'`);
    else if (time && !zoned && sign === 's')
      pieces.push(`CAST(epoch_us(${value}) // 1000000 AS VARCHAR)`);
    else throw unsupported(`The format element %${sign}`, at);
  }
  flush();
  return pieces.length === 0
    ? `CASE WHEN ${value} IS NULL THEN NULL ELSE '' END`
    : `(${pieces.join(' || ')})`;
}

const PARSES: Readonly<Record<string, string>> = {
  Y: '%Y',
  y: '%y',
  m: '%m',
  d: '%d',
  e: '%d',
  b: '%b',
  h: '%b',
  B: '%B',
  j: '%j',
  F: '%Y-%m-%d',
  D: '%m/%d/%y',
  '%': '%%',
  E4Y: '%Y',
};
const TIME_PARSES: Readonly<Record<string, string>> = {
  H: '%H',
  I: '%I',
  M: '%M',
  S: '%S',
  p: '%p',
  T: '%H:%M:%S',
  R: '%H:%M',
  z: '%z',
};

/** BigQuery's parse format as DuckDB's. */
export function parseFormat(format: string, time: boolean, at: number): string {
  return textLiteral(
    format.replace(/%(E4Y|.)/gsu, (_, sign: string) => {
      const known = PARSES[sign] ?? (time ? TIME_PARSES[sign] : undefined);
      if (known === undefined) throw unsupported(`The format element %${sign}`, at);
      return known;
    }),
  );
}

/** All dates or times from a to b, stepping from a each time, so that month ends do not drift. */
export function series(
  a: string,
  b: string,
  amount: string,
  part: string,
  time: boolean,
  at: number,
): string {
  const step = (i: string): string =>
    time
      ? addToTimestamp('x.a', `(${i} * x.n)`, part, at)
      : addToDate('x.a', `(${i} * x.n)`, part, at);
  const micros = MICROS[part] ?? 0;
  const count = time
    ? `(epoch_us(x.b) - epoch_us(x.a)) // (x.n * ${micros})`
    : part in MONTHS
      ? `(bq_month_index(x.b) - bq_month_index(x.a)) // (x.n * ${MONTHS[part]})`
      : `CAST(x.b - x.a AS BIGINT) // (x.n * ${DAYS[part] ?? 1})`;
  if (time ? micros === 0 : !(part in MONTHS || part in DAYS))
    throw badPart(part, `GENERATE_${time ? 'TIMESTAMP' : 'DATE'}_ARRAY`, at);
  const list = `list_filter(list_transform(range(0, greatest(${count}, -1) + 1), lambda i : ${step('i')}), lambda d : CASE WHEN x.n > 0 THEN d <= x.b ELSE d >= x.b END)`;
  return `(SELECT CASE WHEN x.a IS NULL OR x.b IS NULL OR x.n IS NULL THEN NULL WHEN x.n = 0 THEN error('Sequence step cannot be 0.') ELSE ${list} END FROM (SELECT ${a} AS a, ${b} AS b, ${amount} AS n) AS x)`;
}
