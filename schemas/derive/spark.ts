/** Contract -> Spark StructType in the JSON form that `StructType.fromJson` reads. */
import {
  type ColumnType,
  type SourceContract,
  type TableColumn,
  type TableContract,
  updatedAt,
} from '../contract.ts';

export type SparkType =
  | string
  | { readonly type: 'array'; readonly elementType: string; readonly containsNull: boolean };

export interface SparkStruct {
  readonly type: 'struct';
  readonly fields: readonly {
    readonly name: string;
    readonly type: SparkType;
    readonly nullable: true;
    readonly metadata: Readonly<Record<string, never>>;
  }[];
}

const typeNames = {
  STRING: 'string',
  INT64: 'long',
  FLOAT64: 'double',
  // BigQuery's NUMERIC exactly; another scale would load as BIGNUMERIC.
  NUMERIC: 'decimal(38,9)',
  BOOL: 'boolean',
  DATE: 'date',
  TIMESTAMP: 'timestamp',
} as const satisfies Record<ColumnType, string>;

/** What silver keeps beside a source's declared columns. */
export const silverColumns = {
  observed_at: { type: 'TIMESTAMP', about: 'When the record was landed; kept on replay' },
  _run: { type: 'STRING', about: 'The run that brought this version' },
  _hash: { type: 'STRING', about: "SHA-256 of the record's text; breaks ties between versions" },
} as const satisfies Record<string, TableColumn>;

/** Silver's partition column of a source with an event time: its UTC day. */
export const silverPartition = {
  _day: { type: 'DATE', about: 'UTC day of the event time' },
} as const satisfies Record<string, TableColumn>;

/** Gold's row: the declared columns in their order, `updated_at` last. */
export const tableStruct = (table: TableContract): SparkStruct =>
  struct({ ...table.columns, updated_at: updatedAt });

/** Silver's row: the declared columns, then the system columns. */
export const sourceStruct = (source: SourceContract): SparkStruct =>
  struct({
    ...source.columns,
    ...silverColumns,
    ...(source.event_time === undefined ? {} : silverPartition),
  });

const struct = (columns: Readonly<Record<string, TableColumn>>): SparkStruct => ({
  type: 'struct',
  fields: Object.entries(columns).map(([name, column]) => ({
    name,
    type: column.repeated
      ? { type: 'array', elementType: typeNames[column.type], containsNull: true }
      : typeNames[column.type],
    nullable: true,
    metadata: {},
  })),
});
