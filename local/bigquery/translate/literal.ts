import { QueryFault } from '../refusal.ts';
import { type Type, textLiteral } from '../type.ts';
import { type Bound, cast, coerced } from './bound.ts';

/** A literal of a type, its text in GoogleSQL's words. */
export function literal(type: string, value: string, at: number): Bound {
  switch (type) {
    case 'NULL':
      return { sql: 'NULL', type: 'NULL' };
    case 'BOOL':
      return { sql: value, type: 'BOOL', literal: { type: 'BOOL', value } };
    case 'INT64': {
      const number = BigInt(value);
      if (number > 9223372036854775807n || number < -9223372036854775808n)
        throw new QueryFault(`Invalid integer literal: ${value}`, at);
      return { sql: `CAST(${value} AS BIGINT)`, type: 'INT64', literal: { type: 'INT64', value } };
    }
    case 'FLOAT64':
      // Without an exponent DuckDB would read a DECIMAL.
      return {
        sql: `CAST('${value}' AS DOUBLE)`,
        type: 'FLOAT64',
        literal: { type: 'FLOAT64', value },
      };
    case 'STRING':
      return { sql: textLiteral(value), type: 'STRING', literal: { type: 'STRING', value } };
    case 'BYTES':
      return { sql: `encode(${textLiteral(value)})`, type: 'BYTES' };
    case 'NUMERIC':
      if (!/^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$/.test(value))
        throw new QueryFault(`Invalid NUMERIC literal: ${value}`, at);
      return { sql: cast(textLiteral(value), 'NUMERIC'), type: 'NUMERIC' };
    default: {
      const bound = coerced(
        { sql: '', type: 'STRING', literal: { type: 'STRING', value } },
        type as Type,
      );
      if (bound === undefined || (type === 'TIMESTAMP' && !/^\d{4}-\d{1,2}-\d{1,2}/.test(value)))
        throw new QueryFault(`Invalid ${type} literal`, at);
      return bound;
    }
  }
}
