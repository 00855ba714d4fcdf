/** Rows as the REST API gives them: a page at a time, with their schema. */
import type { DuckdbStore } from '../duckdb.ts';
import { Refusal } from '../refusal.ts';
import type { TranslatedQuery } from '../translate/translate.ts';
import { type Field, resultField } from '../type.ts';
import { type FormatOptions, wireRow } from './wire.ts';

const PAGE_ROWS = 10_000;

/** A page of rows and the token of the next. @param names what the columns are called in the store */
export async function pageOf(
  source: { readonly table: string; readonly columns: TranslatedQuery['columns'] },
  names: readonly string[],
  total: number,
  query: URLSearchParams,
  format: FormatOptions,
  store: DuckdbStore,
): Promise<{ readonly rows: readonly unknown[]; readonly pageToken?: string }> {
  const start = Number(query.get('pageToken') ?? query.get('startIndex') ?? 0);
  if (!Number.isInteger(start) || start < 0)
    throw new Refusal('invalid', `Invalid page token: ${query.get('pageToken')}`);
  const asked = query.get('maxResults');
  const limit = Math.min(asked === null ? PAGE_ROWS : Number(asked), PAGE_ROWS);
  if (limit === 0 || start >= total)
    return { rows: [], ...(limit === 0 && start < total && { pageToken: `${start}` }) };
  const rows = await store.page(source, names, start, limit);
  const types = source.columns.map(({ type }) => type);
  const end = start + rows.length;
  return {
    rows: rows.map((row) => wireRow(row, types, format)),
    ...(end < total && { pageToken: `${end}` }),
  };
}

export function schemaOf(columns: TranslatedQuery['columns']): {
  readonly fields: readonly Field[];
} {
  return { fields: columns.map(({ name, type }) => resultField(name, type)) };
}

/** How a call wants times written. */
export function formatOf(query: URLSearchParams): FormatOptions {
  const int64 = query.get('formatOptions.useInt64Timestamp');
  const output = query.get('formatOptions.timestampOutputFormat');
  return {
    ...(int64 !== null && { useInt64Timestamp: int64 }),
    ...(output !== null && { timestampOutputFormat: output }),
  };
}
