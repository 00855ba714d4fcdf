/** Contract -> BigQuery columns, as the API and load jobs take them. */
import { type ColumnType, type TableContract, updatedAt } from '../contract.ts';

export interface BigQueryColumn {
  readonly name: string;
  readonly type: string;
  /** Never REQUIRED: Spark writes every column nullable, and such files are refused there. */
  readonly mode: 'NULLABLE' | 'REPEATED';
  readonly description: string;
}

const typeNames = {
  STRING: 'STRING',
  INT64: 'INT64',
  FLOAT64: 'FLOAT64',
  NUMERIC: 'NUMERIC',
  BOOL: 'BOOL',
  DATE: 'DATE',
  TIMESTAMP: 'TIMESTAMP',
} as const satisfies Record<ColumnType, string>;

/** The declared columns in their order, `updated_at` last. */
export function bigqueryColumns(table: TableContract): readonly BigQueryColumn[] {
  return Object.entries({ ...table.columns, updated_at: updatedAt }).map(([name, column]) => ({
    name,
    type: typeNames[column.type],
    mode: 'repeated' in column && column.repeated ? 'REPEATED' : 'NULLABLE',
    description: column.about,
  }));
}
