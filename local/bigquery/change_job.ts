/** A query job that changes rows: one DML statement, or the load transaction. */

import type { QueryConfiguration } from './configuration.ts';
import type { Datasets } from './datasets.ts';
import type { Dml } from './parse/ast.ts';
import { parse } from './parse/parse.ts';
import { isDml, transactionOf } from './parse/script.ts';
import { position, Refusal } from './refusal.ts';
import { type QueryContext, type Transaction, tableKey } from './store.ts';

/** One DML statement, or the load transaction. @returns the job's statistics */
export async function runChange(
  query: QueryConfiguration,
  transaction: Transaction,
  context: QueryContext,
  datasets: Datasets,
): Promise<Record<string, unknown>> {
  const source = query.query;
  const statements = parse(source);
  const only = statements[0];
  const run = async (change: Dml): Promise<number> => {
    const rows = await transaction.execute(change, context);
    const [dataset, table] = targetOf(change, context.defaultDataset);
    const target = transaction.get('table', tableKey(dataset, table));
    if (target !== undefined) datasets.touch(target, transaction);
    return rows;
  };
  if (statements.length === 1 && isDml(only)) {
    const rows = await run(only);
    const stats = {
      insert: { insertedRowCount: `${rows}` },
      delete: { deletedRowCount: `${rows}` },
      update: { updatedRowCount: `${rows}` },
      merge: {},
    }[only.kind];
    return {
      query: {
        statementType: only.kind.toUpperCase(),
        numDmlAffectedRows: `${rows}`,
        dmlStats: stats,
        totalBytesProcessed: '0',
      },
    };
  }
  const { asserts, changes } = transactionOf(statements);
  for (const { expr, message, text, at } of asserts)
    if ((await transaction.holds(expr, context)) !== true)
      throw new Refusal(
        'invalidQuery',
        `Query error: Assertion failed: ${message ?? text} at ${position(source, at)}`,
        'query',
      );
  for (const change of changes) await run(change);
  return {
    query: { statementType: 'SCRIPT', totalBytesProcessed: '0' },
    numChildJobs: `${statements.length}`,
  };
}
/** [dataset, table] of a statement's target. */
export function targetOf(
  change: Dml,
  defaultDataset: string | undefined,
): readonly [string, string] {
  const table = change.table.at(-1) as string;
  return [change.table.at(-2) ?? defaultDataset ?? '', table];
}
