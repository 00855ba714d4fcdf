/** Marks partitions of a table stale; the next batches work them off. */
import { randomBytes } from 'node:crypto';
import type { Command } from 'commander';
import { createJson, place } from '../functions/manifest.ts';
import { catalog } from '../schemas/rendered/catalog.ts';
import { Failure } from './failure.ts';
import { openTarget, type Target, type TargetOptions, withTarget } from './target.ts';

export interface RecomputeRequest {
  /** Full name. */
  readonly table: string;
  /** Days, inclusive; absent = open. */
  readonly from?: string;
  readonly to?: string;
}

/** Leaves the request for the next batch. @throws Failure for a table or a day that is none */
export async function recompute(target: Target, request: RecomputeRequest): Promise<void> {
  const contract = catalog.tables[request.table];
  const [domain = '', table = ''] = request.table.split('.');
  if (contract === undefined || catalog.domains[domain] === undefined) {
    const names = Object.keys(catalog.tables).filter(
      (name) => catalog.domains[name.split('.')[0] ?? ''] !== undefined,
    );
    throw new Failure(`no table is called ${request.table}; there are ${names.sort().join(', ')}`);
  }
  for (const day of [request.from, request.to]) {
    if (day !== undefined && !/^\d{4}-\d{2}-\d{2}$/.test(day)) {
      throw new Failure(`"${day}" is no day such as 2026-11-21`);
    }
  }
  if (contract.partition === undefined && (request.from ?? request.to) !== undefined) {
    throw new Failure(`${request.table} has no partitions: it is computed whole, without a range`);
  }
  const name = `${Date.now()}-${randomBytes(3).toString('hex')}`;
  const { world, config } = target;
  await createJson(
    world.objects,
    config.buckets.control,
    place.recompute(domain, table, name),
    request,
  );
}

export function declare(command: Command): void {
  withTarget(command)
    .argument('<table>', 'full name, such as email.email_send')
    .option('--from <day>', 'first day, inclusive')
    .option('--to <day>', 'last day, inclusive')
    .addHelpText(
      'after',
      `
Days without a range are all. Partitions are worked off newest first, a bounded number per batch;
./tributary settle waits until none is left.

Examples:
  ./tributary recompute email.dim_campaign
  ./tributary recompute email.email_send --from 2026-11-01 --to 2026-11-07`,
    )
    .action(async (table: string, options: TargetOptions & { from?: string; to?: string }) => {
      const { from, to } = options;
      await recompute(await openTarget(options), {
        table,
        ...(from === undefined ? {} : { from }),
        ...(to === undefined ? {} : { to }),
      });
      console.log(`${table} will be computed again; ./tributary settle starts it now`);
    });
}
