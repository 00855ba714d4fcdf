/** Values on the wire: rows as `{f: [{v}]}`, and query parameters. */
import type { Json } from '@duckdb/node-api';
import { Refusal } from '../refusal.ts';
import { type Bound, cast, type Parameter, settled } from '../translate/bound.ts';
import { literal } from '../translate/literal.ts';
import { duckdbType, scalarNamed, type Type, typeText } from '../type.ts';

export interface FormatOptions {
  readonly useInt64Timestamp?: boolean | string;
  readonly timestampOutputFormat?: string;
}

interface Cell {
  readonly v: unknown;
}

/** One row as the REST API writes it; `values` come from wireSql. */
export function wireRow(
  values: readonly Json[],
  types: readonly Type[],
  format: FormatOptions,
): { readonly f: readonly Cell[] } {
  return { f: values.map((value, i) => ({ v: wireValue(value, types[i] as Type, format) })) };
}

function wireValue(value: Json, type: Type, format: FormatOptions): unknown {
  if (typeof type === 'object' && 'array' in type) {
    // A NULL array reads as an empty one; an element may not be NULL.
    return ((value ?? []) as Json[]).map((item) => {
      if (item === null)
        throw new Refusal(
          'invalidQuery',
          'Array cannot have a null element; error in writing field',
          'query',
        );
      return { v: wireValue(item, type.array, format) };
    });
  }
  if (value === null) return null;
  if (typeof type === 'object') {
    const fields = value as Readonly<Record<string, Json>>;
    return {
      f: type.struct.map((field, i) => ({
        v: wireValue(fields[`f${i}`] ?? null, field.type, format),
      })),
    };
  }
  const text = String(value);
  if (type === 'TIMESTAMP') return wireTimestamp(text, format);
  if (type === 'FLOAT64') return { nan: 'NaN', inf: 'Infinity', '-inf': '-Infinity' }[text] ?? text;
  return text;
}

/** Microseconds when asked for, else seconds with a fraction in scientific notation, as the REST API does. */
function wireTimestamp(
  micros: string,
  { useInt64Timestamp, timestampOutputFormat }: FormatOptions,
): string {
  if (timestampOutputFormat === 'ISO8601_STRING') {
    const whole = BigInt(micros);
    const part = ((whole % 1_000_000n) + 1_000_000n) % 1_000_000n;
    return `${new Date(Number((whole - part) / 1000n)).toISOString().slice(0, 19)}.${`${part}`.padStart(6, '0')}Z`;
  }
  if (String(useInt64Timestamp) === 'true' || timestampOutputFormat === 'INT64') return micros;
  return (Number(micros) / 1e6).toExponential().replace('e+', 'E').replace('e', 'E');
}

interface ParameterType {
  readonly type?: string;
  readonly arrayType?: ParameterType;
  readonly structTypes?: readonly { readonly name?: string; readonly type: ParameterType }[];
}

interface ParameterValue {
  readonly value?: string | number | boolean | null;
  readonly arrayValues?: readonly ParameterValue[];
  readonly structValues?: Readonly<Record<string, ParameterValue>>;
}

/** The `queryParameters` of a request, in order. */
export function queryParameters(given: readonly unknown[]): readonly Parameter[] {
  return (
    given as readonly {
      name?: string;
      parameterType: ParameterType;
      parameterValue: ParameterValue;
    }[]
  ).map(({ name, parameterType, parameterValue }) => ({
    name: name === '' ? undefined : name,
    bound: parameter(parameterTypeOf(parameterType), parameterValue ?? {}),
  }));
}

function parameterTypeOf(type: ParameterType | undefined): Type {
  if (type?.arrayType !== undefined) return { array: parameterTypeOf(type.arrayType) };
  if (type?.structTypes !== undefined)
    return {
      struct: type.structTypes.map((field) => ({
        name: field.name ?? '',
        type: parameterTypeOf(field.type),
      })),
    };
  const scalar = scalarNamed(type?.type ?? '');
  if (scalar === undefined)
    throw new Refusal(
      'invalidQuery',
      `Query parameters of type ${type?.type ?? 'unknown'} are not supported locally`,
      'query',
    );
  return scalar;
}

function parameter(type: Type, value: ParameterValue): Bound {
  if (typeof type === 'object' && 'array' in type) {
    const items = (value.arrayValues ?? []).map((item) => parameter(type.array, item).sql);
    return { sql: `CAST([${items.join(', ')}] AS ${duckdbType(type)})`, type };
  }
  if (typeof type === 'object') {
    const fields = type.struct.map(
      (field, i) => `f${i} := ${parameter(field.type, value.structValues?.[field.name] ?? {}).sql}`,
    );
    return { sql: `struct_pack(${fields.join(', ')})`, type };
  }
  if (value.value === undefined || value.value === null) return { sql: cast('NULL', type), type };
  const text = String(value.value);
  const bad = (): Refusal =>
    new Refusal(
      'invalidQuery',
      `Invalid value for type ${typeText(settled(type))}: ${text}`,
      'query',
    );
  if (type === 'BOOL') {
    if (!/^(true|false)$/i.test(text)) throw bad();
    return literal('BOOL', text.toUpperCase(), 0);
  }
  if (type === 'INT64' && !/^-?\d+$/.test(text)) throw bad();
  if (type === 'FLOAT64') {
    if (!/^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$|^-?(nan|inf|infinity)$/i.test(text)) throw bad();
    return { ...literal('FLOAT64', text, 0), literal: { type: 'PARAM', value: text } };
  }
  try {
    const { sql, literal: known } = literal(type, text, 0);
    return { sql, type, ...(known && { literal: known }) };
  } catch {
    throw bad();
  }
}
