/** Contract -> JSON Schema (draft 2020-12) of one row, as NDJSON and the API carry it. */
import { type ColumnType, type TableColumn, updatedAt } from '../contract.ts';

export interface JsonSchema {
  readonly $schema: string;
  readonly title: string;
  readonly description: string;
  readonly type: 'object';
  readonly properties: Readonly<Record<string, unknown>>;
  readonly required: readonly string[];
  readonly additionalProperties: false;
}

const scalars = {
  STRING: { type: 'string' },
  INT64: { type: 'integer' },
  FLOAT64: { type: 'number' },
  // Digits as text: a JSON number would pass through a float and change the amount.
  NUMERIC: { type: 'string', pattern: '^-?[0-9]{1,29}(\\.[0-9]{1,9})?$' },
  BOOL: { type: 'boolean' },
  DATE: { type: 'string', pattern: '^[0-9]{4}-[0-9]{2}-[0-9]{2}$' },
  TIMESTAMP: {
    type: 'string',
    pattern: '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,6})?Z$',
  },
} as const satisfies Record<ColumnType, { readonly type: string; readonly pattern?: string }>;

/** @param name full name, such as `email.email_send` */
export function rowSchema(
  name: string,
  contract: {
    readonly about: string;
    readonly columns: Readonly<Record<string, TableColumn>>;
  },
  kind: 'source' | 'table',
): JsonSchema {
  const columns: Readonly<Record<string, TableColumn>> =
    kind === 'table' ? { ...contract.columns, updated_at: updatedAt } : contract.columns;
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: name,
    description: contract.about,
    type: 'object',
    properties: Object.fromEntries(
      Object.entries(columns).map(([column, declared]) => [column, property(declared)]),
    ),
    required: Object.keys(columns).filter((column) => columns[column]?.required),
    additionalProperties: false,
  };
}

function property(column: TableColumn): unknown {
  const scalar = scalars[column.type];
  if (column.repeated) {
    return { description: column.about, type: 'array', items: scalar };
  }
  // A list of types gives one error line per fault; `anyOf` gives three.
  return {
    description: column.about,
    ...scalar,
    type: column.required ? scalar.type : [scalar.type, 'null'],
  };
}
