/** Contract -> the values of a `google_bigquery_table`. */
import type { ColumnType, TableContract } from '../contract.ts';
import { bigqueryColumns } from './bigquery.ts';

export interface TableValues {
  readonly description: string;
  /** JSON text. Columns are told apart by name: their order makes no difference to Terraform. */
  readonly schema: string;
  readonly timePartitioning?: { readonly type: 'DAY'; readonly field: string };
  readonly clustering?: readonly string[];
}

/** Types BigQuery can cluster by; a column that repeats cannot be one. */
export const clusterable = {
  STRING: true,
  INT64: true,
  FLOAT64: false,
  NUMERIC: true,
  BOOL: true,
  DATE: true,
  TIMESTAMP: true,
} as const satisfies Record<ColumnType, boolean>;

/**
 * @param policyTag resource name of the policy tag that personal columns carry; null = none, for
 *   instance in a staging table
 */
export function tableValues(table: TableContract, policyTag: string | null): TableValues {
  const columns = bigqueryColumns(table).map((column) => ({
    ...column,
    ...(policyTag !== null && personal(table, column.name)
      ? { policyTags: { names: [policyTag] } }
      : {}),
  }));
  return {
    description: `${table.about}. One row: ${table.grain}`,
    schema: JSON.stringify(columns),
    ...(table.partition === undefined
      ? {}
      : { timePartitioning: { type: 'DAY', field: table.partition } }),
    ...(table.cluster === undefined ? {} : { clustering: table.cluster }),
  };
}

const personal = (table: TableContract, name: string): boolean =>
  table.columns[name]?.personal === true;
