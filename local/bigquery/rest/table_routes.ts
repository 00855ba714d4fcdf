/** `tables` and `tabledata` of the REST API. */
import { rowsOf } from '../duckdb.ts';
import { Refusal } from '../refusal.ts';
import { type Table, type TableDraft, tableKey } from '../store.ts';
import { columnType, type Field, type TimePartitioning } from '../type.ts';
import { formatOf, pageOf } from './pages.ts';
import type { Body, Call, Route, Service } from './service.ts';

const TABLES = /^datasets\/(\w+)\/tables$/;
const TABLE = /^datasets\/(\w+)\/tables\/([^/]+)$/;

export const tableRoutes = (service: Service): readonly Route[] => [
  ['POST', TABLES, (call) => insert(call, service)],
  ['GET', TABLES, (call) => list(call, service)],
  [
    'GET',
    TABLE,
    ({ params: [dataset = '', id = ''] }) =>
      resourceOf(service.state.datasets.table(dataset, id), service),
  ],
  ['PATCH', TABLE, (call) => patch(call, service)],
  ['PUT', TABLE, (call) => patch(call, service)],
  [
    'DELETE',
    TABLE,
    ({ params: [dataset = '', id = ''] }) => service.state.datasets.removeTable(dataset, id),
  ],
  ['GET', /^datasets\/(\w+)\/tables\/([^/]+)\/data$/, (call) => data(call, service)],
];

async function insert({ body, params: [dataset = ''] }: Call, service: Service): Promise<unknown> {
  const id = String((body['tableReference'] as Body | undefined)?.['tableId'] ?? '');
  if (
    body['view'] ??
    body['materializedView'] ??
    body['externalDataConfiguration'] ??
    body['rangePartitioning']
  )
    throw new Refusal(
      'notImplemented',
      'Views, external tables and range partitions are not supported locally',
    );
  return resourceOf(await service.state.datasets.insertTable(draftOf(dataset, id, body)), service);
}

async function patch(
  { body, params: [dataset = '', id = ''] }: Call,
  service: Service,
): Promise<unknown> {
  const table = await service.store.write(async (transaction) => {
    const own = service.state.datasets.table(dataset, id, transaction);
    const merged = draftOf(dataset, id, {
      ...own.resource,
      schema: { fields: own.fields },
      ...(own.requirePartitionFilter && { requirePartitionFilter: true }),
      ...body,
    });
    const shape = (list: readonly Field[]): string =>
      JSON.stringify(list.map(({ name, type, mode }) => [name, type, mode ?? 'NULLABLE']));
    if (shape(merged.fields) !== shape(own.fields))
      throw new Refusal(
        'notImplemented',
        'Changing the columns of a table is not supported locally; load it with WRITE_TRUNCATE',
      );
    const partition = own.timePartitioning?.field;
    if (merged.timePartitioning?.field !== partition)
      throw new Refusal('invalid', 'Cannot change the partitioning of a table');
    const changed: Table = { ...own, ...merged, modifiedMs: service.now() };
    transaction.put('table', tableKey(dataset, id), changed);
    return changed;
  });
  return resourceOf(table, service);
}

async function resourceOf({ dataset, id }: Table, service: Service): Promise<unknown> {
  const { table, rows, bytes } = await service.store.gate.shared(async () => {
    // Looked up again: a commit may have come between, and a replaced table has other rows.
    const current = service.state.datasets.table(dataset, id);
    return { table: current, ...(await service.store.count(current)) };
  });
  return {
    ...table.resource,
    ...summaryOf(table, service),
    schema: { fields: table.fields },
    numRows: `${rows}`,
    numBytes: `${bytes}`,
    location: service.location,
    lastModifiedTime: `${table.modifiedMs}`,
  };
}

function summaryOf(table: Table, service: Service): Body {
  const { projectId } = service;
  return {
    kind: 'bigquery#table',
    type: 'TABLE',
    id: `${projectId}:${table.dataset}.${table.id}`,
    tableReference: { projectId, datasetId: table.dataset, tableId: table.id },
    creationTime: `${table.createdMs}`,
    ...(table.timePartitioning && { timePartitioning: table.timePartitioning }),
    ...(table.resource['clustering'] !== undefined && {
      clustering: table.resource['clustering'],
    }),
    ...(table.requirePartitionFilter && { requirePartitionFilter: true }),
  };
}

function list({ params: [dataset = ''] }: Call, service: Service): unknown {
  service.state.datasets.dataset(dataset);
  const tables = service.store.all('table').filter((table) => table.dataset === dataset);
  return {
    kind: 'bigquery#tableList',
    totalItems: tables.length,
    tables: tables.map((table) => summaryOf(table, service)),
  };
}

function data(call: Call, service: Service): Promise<unknown> {
  return service.store.gate.shared(() => dataPage(call, service));
}

async function dataPage(
  { query, params: [dataset = '', id = ''] }: Call,
  service: Service,
): Promise<unknown> {
  if (query.get('selectedFields') !== null)
    throw new Refusal('notImplemented', 'selectedFields is not supported locally');
  const table = service.state.datasets.table(dataset, id);
  const { rows } = await service.store.count(table);
  const columns = table.fields.map((field) => ({ name: field.name, type: columnType(field) }));
  const page = await pageOf(
    { table: rowsOf(table), columns },
    columns.map(({ name }) => name),
    rows,
    query,
    formatOf(query),
    service.store,
  );
  return { kind: 'bigquery#tableDataList', ...page, totalRows: `${rows}` };
}

/** A resource as the table it describes. */
function draftOf(dataset: string, id: string, resource: Body): TableDraft {
  const fields = (
    (resource['schema'] as { fields?: readonly Field[] } | undefined)?.fields ?? []
  ).map((field) => ({ ...field, mode: field.mode ?? 'NULLABLE' }));
  for (const field of fields) columnType(field);
  const timePartitioning = resource['timePartitioning'] as
    | (TimePartitioning & { requirePartitionFilter?: boolean })
    | undefined;
  const { schema: _, ...rest } = resource;
  return {
    dataset,
    id,
    fields,
    ...(timePartitioning && { timePartitioning }),
    requirePartitionFilter:
      resource['requirePartitionFilter'] === true ||
      timePartitioning?.requirePartitionFilter === true,
    resource: rest,
  };
}
