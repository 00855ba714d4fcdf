/** A load job: files of Cloud Storage become rows of a table, all of them or none. */
import type { LoadConfiguration } from './configuration.ts';
import type { Datasets } from './datasets.ts';
import { Refusal } from './refusal.ts';
import { type Staging, type Table, type Transaction, tableKey } from './store.ts';
import type { Field } from './type.ts';

export interface LoadOptions {
  readonly projectId: string;
  /** Local files behind a gs:// URI; none means that there is no such object. */
  readonly resolve: (uri: string) => readonly string[] | Promise<readonly string[]>;
  readonly readText: (path: string) => Promise<string>;
}

const FORMATS = new Set(['PARQUET', 'NEWLINE_DELIMITED_JSON']);
const DISPOSITIONS = new Set([
  'WRITE_TRUNCATE',
  'WRITE_TRUNCATE_DATA',
  'WRITE_APPEND',
  'WRITE_EMPTY',
]);
/** Adds the rows of files to a table within a transaction. @returns the job's statistics */
export async function runLoad(
  load: LoadConfiguration,
  transaction: Transaction,
  datasets: Datasets,
  options: LoadOptions,
): Promise<Record<string, unknown>> {
  const { datasetId, tableId } = load.destinationTable;
  const disposition = load.writeDisposition ?? 'WRITE_APPEND';
  if (!DISPOSITIONS.has(disposition))
    throw new Refusal('invalid', `Invalid write disposition: ${disposition}`);
  if (tableId.includes('$'))
    throw new Refusal(
      'invalid',
      `Loading the single partition ${tableId} is not supported locally`,
    );
  if ((load.maxBadRecords ?? 0) > 0)
    throw new Refusal('invalid', 'maxBadRecords above 0 is not supported locally');
  const staging = await stagingOf(load, options);
  datasets.dataset(datasetId, transaction);
  const existing = transaction.get('table', tableKey(datasetId, tableId));
  if (existing === undefined && load.createDisposition === 'CREATE_NEVER')
    datasets.table(datasetId, tableId, transaction);
  const given = load.schema?.fields;
  if (existing && given && disposition !== 'WRITE_TRUNCATE')
    checkSameSchema(existing, given, options.projectId);
  let table = existing;
  if (
    existing === undefined ||
    (disposition === 'WRITE_TRUNCATE' &&
      (given !== undefined || load.timePartitioning !== undefined))
  ) {
    const fields =
      given ??
      existing?.fields ??
      (staging.format === 'PARQUET' && staging.files.length > 0
        ? await transaction.describe(staging)
        : undefined);
    if (fields === undefined) throw new Refusal('invalid', 'No schema specified on job or table.');
    if (existing !== undefined) await transaction.drop(existing);
    const timePartitioning = load.timePartitioning ?? existing?.timePartitioning;
    table = await datasets.create(transaction, {
      dataset: datasetId,
      id: tableId,
      fields,
      ...(timePartitioning && { timePartitioning }),
      requirePartitionFilter: existing?.requirePartitionFilter ?? false,
      resource: {
        ...existing?.resource,
        ...(load.clustering !== undefined && { clustering: load.clustering }),
      },
    });
  } else if (disposition === 'WRITE_EMPTY' && (await transaction.count(existing)) > 0) {
    throw new Refusal(
      'duplicate',
      `Already Exists: Table ${options.projectId}:${datasetId}.${tableId}`,
    );
  } else if (disposition.startsWith('WRITE_TRUNCATE')) await transaction.clear(existing);
  const rows = await transaction.append(table as Table, staging);
  datasets.touch(table as Table, transaction);
  return {
    load: { inputFiles: `${staging.files.length}`, outputRows: `${rows}`, badRecords: '0' },
  };
}

async function stagingOf(load: LoadConfiguration, options: LoadOptions): Promise<Staging> {
  const format = load.sourceFormat ?? 'CSV';
  if (!FORMATS.has(format))
    throw new Refusal('invalid', `Source format ${format} is not supported locally`);
  let uris = load.sourceUris ?? [];
  if (uris.length === 0)
    throw new Refusal('invalid', 'Load configuration must specify at least one source URI');
  if (uris.length > 10_000)
    throw new Refusal('invalid', `Too many sources provided: ${uris.length}. Limit is 10000.`);
  if (load.fileSetSpecType === 'FILE_SET_SPEC_TYPE_NEW_LINE_DELIMITED_MANIFEST')
    uris = await listedIn(uris, options);
  const files: { uri: string; path: string }[] = [];
  for (const uri of uris) {
    if (!/^gs:\/\/[^/]+\/.+/.test(uri))
      throw new Refusal(
        'invalid',
        `Source URI must be a Google Cloud Storage location: ${uri}`,
        uri,
      );
    const paths = await options.resolve(uri);
    if (paths.length === 0) throw new Refusal('notFound', `Not found: URI ${uri}`, uri);
    files.push(...paths.map((path) => ({ uri, path })));
  }
  return {
    format: format as Staging['format'],
    files,
    ignoreUnknownValues: load.ignoreUnknownValues ?? false,
    listInference: load.parquetOptions?.enableListInference ?? false,
  };
}

/** The URIs that files of lines name. */
async function listedIn(uris: readonly string[], options: LoadOptions): Promise<readonly string[]> {
  const lists = await Promise.all(
    uris.map(async (uri) => {
      const paths = await options.resolve(uri);
      if (paths.length === 0) throw new Refusal('notFound', `Not found: URI ${uri}`, uri);
      return Promise.all(paths.map((path) => options.readText(path)));
    }),
  );
  return lists.flat().flatMap((text) =>
    text
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== ''),
  );
}

/** A load that states a schema must state the table's own, or BigQuery refuses it. */
function checkSameSchema(table: Table, fields: readonly Field[], project: string): void {
  const name = `${project}:${table.dataset}.${table.id}`;
  for (const field of fields) {
    const own = table.fields.find(
      (candidate) => candidate.name.toLowerCase() === field.name.toLowerCase(),
    );
    if (own === undefined)
      throw new Refusal(
        'invalid',
        `Provided Schema does not match Table ${name}. Cannot add fields (field: ${field.name})`,
      );
    const types = [own, field].map(
      ({ type }) => LEGACY_NAMES[type.toUpperCase()] ?? type.toUpperCase(),
    );
    if (types[0] !== types[1])
      throw new Refusal(
        'invalid',
        `Provided Schema does not match Table ${name}. Field ${field.name} has changed type from ${types[0]} to ${types[1]}`,
      );
    const modes = [own, field].map(({ mode }) => mode?.toUpperCase() ?? 'NULLABLE');
    if (modes[0] !== modes[1])
      throw new Refusal(
        'invalid',
        `Provided Schema does not match Table ${name}. Field ${field.name} has changed mode from ${modes[0]} to ${modes[1]}`,
      );
  }
}

const LEGACY_NAMES: Readonly<Record<string, string>> = {
  INT64: 'INTEGER',
  FLOAT64: 'FLOAT',
  BOOL: 'BOOLEAN',
  DECIMAL: 'NUMERIC',
};
