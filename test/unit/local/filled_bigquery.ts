/** A local BigQuery with the tables and rows that a test wants to ask about. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BigQuery } from '@google-cloud/bigquery';
import { bigqueryClient } from '../../../functions/clients/warehouse.ts';
import { startBigquery } from '../../../local/bigquery/server.ts';

export const PROJECT = 'local-project';

interface FilledTable {
  readonly fields: readonly { readonly name: string; readonly type: string; mode?: string }[];
  /** Its DATE or TIMESTAMP column. */
  readonly partition?: string | undefined;
  readonly requirePartitionFilter?: boolean | undefined;
  readonly rows: readonly unknown[];
}

export interface FilledBigquery {
  readonly bigquery: BigQuery;
  readonly url: string;
  close(): Promise<void>;
}

/** @param tables by `dataset.table` */
export async function startFilled(
  tables: Readonly<Record<string, FilledTable>>,
): Promise<FilledBigquery> {
  const folder = await mkdtemp(join(tmpdir(), 'filled-bigquery-'));
  const server = await startBigquery({
    projectId: PROJECT,
    resolve: (uri) => [join(folder, uri.slice('gs://rows/'.length))],
  });
  const bigquery = await bigqueryClient({
    projectId: PROJECT,
    location: 'EU',
    apiEndpoint: server.url,
  });
  const datasets = Object.keys(tables).map((name) => name.split('.')[0] as string);
  for (const dataset of new Set(datasets)) await bigquery.createDataset(dataset);
  for (const [name, { fields, partition, requirePartitionFilter, rows }] of Object.entries(
    tables,
  )) {
    const [datasetId = '', tableId = ''] = name.split('.');
    await bigquery.dataset(datasetId).createTable(tableId, {
      schema: { fields: fields.map((field) => ({ ...field })) },
      ...(partition !== undefined && { timePartitioning: { type: 'DAY', field: partition } }),
      ...(requirePartitionFilter && { requirePartitionFilter }),
    });
    const lines = rows.map((row) => JSON.stringify(row)).join('\n');
    await writeFile(join(folder, `${name}.json`), lines);
    const [job] = await bigquery.createJob({
      configuration: {
        load: {
          destinationTable: { projectId: PROJECT, datasetId, tableId },
          sourceUris: [`gs://rows/${name}.json`],
          sourceFormat: 'NEWLINE_DELIMITED_JSON',
          writeDisposition: 'WRITE_APPEND',
        },
      },
    });
    await new Promise((resolve, reject) => job.on('complete', resolve).on('error', reject));
  }
  return {
    bigquery,
    url: server.url,
    close: async () => {
      await server.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** What the client made of a value, as JSON: dates, times and NUMERICs as their text. */
export function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== 'object') return value;
  if (value.constructor.name === 'Big') return (value as { toFixed(): string }).toFixed();
  if (value.constructor.name.startsWith('BigQuery')) return (value as { value: unknown }).value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
}
