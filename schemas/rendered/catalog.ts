/** Every contract, by name. Written by `./tributary render`; never edited. */
import type { DomainContract, SourceContract, TableContract } from '../contract.ts';
import { ops as domain_ops_ops } from '../ops/domain.ts';
import { batches as table_ops_batches } from '../ops/tables/batches.ts';
import { fence as table_ops_fence } from '../ops/tables/fence.ts';
import { freshness as table_ops_freshness } from '../ops/tables/freshness.ts';
import { loads as table_ops_loads } from '../ops/tables/loads.ts';
import { quality as table_ops_quality } from '../ops/tables/quality.ts';
import { rejected as table_ops_rejected } from '../ops/tables/rejected.ts';
import { runs as table_ops_runs } from '../ops/tables/runs.ts';

export const catalog: {
  readonly domains: Readonly<Record<string, DomainContract>>;
  readonly sources: Readonly<Record<string, SourceContract>>;
  readonly tables: Readonly<Record<string, TableContract>>;
} = {
  domains: {
    ops: domain_ops_ops,
  },
  sources: {
  },
  tables: {
    'ops.batches': table_ops_batches,
    'ops.fence': table_ops_fence,
    'ops.freshness': table_ops_freshness,
    'ops.loads': table_ops_loads,
    'ops.quality': table_ops_quality,
    'ops.rejected': table_ops_rejected,
    'ops.runs': table_ops_runs,
  },
};
