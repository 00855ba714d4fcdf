/** INFORMATION_SCHEMA.TABLES, COLUMNS and PARTITIONS of a dataset, as tables that a query can read. */
import { Refusal } from './refusal.ts';
import type { Catalog, Table } from './store.ts';
import type { TableInfo } from './translate/translation.ts';
import { columnType, duckdbType, quoteName, type Type, textLiteral, typeText } from './type.ts';

type Columns = Readonly<Record<string, Type>>;

const TABLES: Columns = {
  table_catalog: 'STRING',
  table_schema: 'STRING',
  table_name: 'STRING',
  table_type: 'STRING',
  creation_time: 'TIMESTAMP',
};
const COLUMNS: Columns = {
  table_catalog: 'STRING',
  table_schema: 'STRING',
  table_name: 'STRING',
  column_name: 'STRING',
  ordinal_position: 'INT64',
  is_nullable: 'STRING',
  data_type: 'STRING',
  is_partitioning_column: 'STRING',
  clustering_ordinal_position: 'INT64',
};
const PARTITIONS: Columns = {
  table_catalog: 'STRING',
  table_schema: 'STRING',
  table_name: 'STRING',
  partition_id: 'STRING',
  total_rows: 'INT64',
  last_modified_time: 'TIMESTAMP',
};

export function informationSchema(
  prefix: readonly string[],
  rest: readonly string[],
  catalog: Catalog,
  projectId: string,
): TableInfo {
  const view = rest.join('.').toUpperCase();
  const dataset = prefix.at(-1);
  if (dataset === undefined || prefix.length > 2)
    throw new Refusal(
      'invalidQuery',
      'INFORMATION_SCHEMA without a dataset is not supported locally',
    );
  if (catalog.get('dataset', dataset) === undefined)
    throw new Refusal('notFound', `Not found: Dataset ${projectId}:${dataset} was not found`);
  const tables = catalog.all('table').filter((table) => table.dataset === dataset);
  const named = (table: Table): string =>
    [projectId, dataset, table.id].map(textLiteral).join(', ');
  const time = (ms: number): string => `make_timestamp(${Math.round(ms)} * 1000)`;
  const make = (columns: Columns, rows: readonly string[]): TableInfo => {
    const names = Object.entries(columns).map(
      ([name, type]) => `CAST(${quoteName(name)} AS ${duckdbType(type)}) AS ${quoteName(name)}`,
    );
    const none = `SELECT ${Object.keys(columns)
      .map((name) => `NULL AS ${quoteName(name)}`)
      .join(', ')} WHERE FALSE`;
    const body =
      rows.length === 0
        ? none
        : `${none} UNION ALL ${rows.map((row) => `(${row})`).join(' UNION ALL ')}`;
    return {
      dataset: `${dataset}.INFORMATION_SCHEMA`,
      table: view,
      sql: `(SELECT ${names.join(', ')} FROM (${body}))`,
      columns: Object.entries(columns).map(([name, type]) => ({ name, type, required: false })),
      partition: undefined,
      requireFilter: false,
    };
  };
  if (view === 'TABLES')
    return make(
      TABLES,
      tables.map((table) => `SELECT ${named(table)}, 'BASE TABLE', ${time(table.createdMs)}`),
    );
  if (view === 'COLUMNS')
    return make(
      COLUMNS,
      tables.flatMap((table) =>
        table.fields.map((field, i) => {
          const clustering = (
            (table.resource['clustering'] as { fields?: string[] } | undefined)?.fields ?? []
          ).indexOf(field.name);
          const nullable = field.mode?.toUpperCase() === 'REQUIRED' ? 'NO' : 'YES';
          const partitioning = table.timePartitioning?.field === field.name ? 'YES' : 'NO';
          return `SELECT ${named(table)}, ${textLiteral(field.name)}, ${i + 1}, '${nullable}', ${textLiteral(typeText(columnType(field)))}, '${partitioning}', ${clustering < 0 ? 'NULL' : clustering + 1}`;
        }),
      ),
    );
  if (view === 'PARTITIONS')
    return make(
      PARTITIONS,
      tables.map((table) => {
        const rows = `warehouse.data.${table.rows}`;
        const partitioning = table.timePartitioning;
        if (partitioning === undefined)
          return `SELECT ${named(table)}, NULL, count(*), ${time(table.modifiedMs)} FROM ${rows}`;
        const format = { HOUR: '%Y%m%d%H', DAY: '%Y%m%d', MONTH: '%Y%m', YEAR: '%Y' }[
          partitioning.type
        ];
        return `SELECT ${named(table)}, coalesce(strftime(${quoteName(partitioning.field)}, '${format}'), '__NULL__') AS p, count(*), ${time(table.modifiedMs)} FROM ${rows} GROUP BY p`;
      }),
    );
  throw new Refusal('invalidQuery', `INFORMATION_SCHEMA.${view} is not supported locally`);
}
