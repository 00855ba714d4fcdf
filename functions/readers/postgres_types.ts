/**
 * Which decodings a PostgreSQL type can feed without losing anything. PostgreSQL's own text of a
 * value restores it (its dumps rely on that), so every type but those whose text depends on the
 * server's locale or search path can be a STRING; a narrower decoding is listed where each value
 * either has its exact counterpart or is refused by Spark, record by record (`infinity`, `NaN` as
 * a NUMERIC, years before 1 or after 9999).
 */
import type { ColumnType, Decoding } from '../../schemas/contract.ts';

/** Digits behind the point that a NUMERIC holds. */
export const NUMERIC_SCALE = 9;

const whole = ['integer', 'decimal', 'float', 'epoch_ms', 'text'] as const;
/** Text may hold anything: Spark judges each value. */
const any = [
  'text',
  'integer',
  'float',
  'decimal',
  'boolean',
  'epoch_ms',
  'iso',
  'date',
  'json_array',
] as const;
const text = ['text'] as const;

/** By the name in `pg_catalog`; domains count as the type they are made of. */
export const feeds: Readonly<Record<string, readonly Decoding[]>> = {
  bool: ['boolean', 'text'],
  int2: whole,
  int4: whole,
  // Beyond 2^53 a float would round.
  int8: ['integer', 'decimal', 'epoch_ms', 'text'],
  oid: ['integer', 'text'],
  numeric: ['decimal', 'integer', 'text'],
  float4: ['float', 'text'],
  float8: ['float', 'text'],
  text: any,
  varchar: any,
  bpchar: any,
  name: any,
  char: any,
  uuid: text,
  timestamptz: ['iso', 'text'],
  // Without a zone: taken as UTC.
  timestamp: ['iso', 'text'],
  date: ['date', 'iso', 'text'],
  time: text,
  timetz: text,
  interval: text,
  json: ['text', 'json_array'],
  jsonb: ['text', 'json_array'],
  jsonpath: text,
  // `\x` and hexadecimal digits.
  bytea: text,
  bit: text,
  varbit: text,
  inet: text,
  cidr: text,
  macaddr: text,
  macaddr8: text,
  point: text,
  line: text,
  lseg: text,
  box: text,
  path: text,
  polygon: text,
  circle: text,
  xml: text,
  tsvector: text,
  tsquery: text,
  pg_lsn: text,
  pg_snapshot: text,
  txid_snapshot: text,
  xid: text,
  xid8: ['integer', 'text'],
  cid: text,
  tid: text,
  int2vector: text,
  oidvector: text,
  // What follows is no type of pg_catalog but a family.
  enum: any,
  range: text,
  multirange: text,
  composite: text,
  /** Of an extension or an own base type. */
  extension: text,
};

/** Why a type is refused although it has a text. */
export const refused: Readonly<Record<string, string>> = {
  money: 'its text depends on the locale of the server: make it numeric',
  regclass: 'its text depends on the search path',
  regcollation: 'its text depends on the search path',
  regconfig: 'its text depends on the search path',
  regdictionary: 'its text depends on the search path',
  regnamespace: 'its text depends on the search path',
  regoper: 'its text depends on the search path',
  regoperator: 'its text depends on the search path',
  regproc: 'its text depends on the search path',
  regprocedure: 'its text depends on the search path',
  regrole: 'its text depends on the search path',
  regtype: 'its text depends on the search path',
};

/** What an array of a type can become as a repeated column; any other element only a STRING. */
export const repeats: Readonly<Record<string, readonly ColumnType[]>> = {
  bool: ['BOOL'],
  int2: ['INT64', 'FLOAT64'],
  int4: ['INT64', 'FLOAT64'],
  int8: ['INT64'],
  // Only with a declared scale that a NUMERIC holds: within a list no single value can be refused.
  numeric: ['NUMERIC'],
  float4: ['FLOAT64'],
  float8: ['FLOAT64'],
  date: ['DATE'],
  timestamptz: ['TIMESTAMP'],
  timestamp: ['TIMESTAMP'],
};
