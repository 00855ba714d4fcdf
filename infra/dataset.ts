/** A dataset with its tables from the contracts and who may read or fill it. */
import { BigqueryDataset } from '@cdktf/provider-google/lib/bigquery-dataset/index.js';
import { BigqueryDatasetIamMember } from '@cdktf/provider-google/lib/bigquery-dataset-iam-member/index.js';
import { BigqueryTable } from '@cdktf/provider-google/lib/bigquery-table/index.js';
import { Construct } from 'constructs';
import type { TableContract } from '../schemas/contract.ts';
import { tableValues } from '../schemas/derive/terraform.ts';
import type { Grantee } from './identity.ts';
import { type Role, roleId, roleName } from './role.ts';

export class Dataset extends Construct {
  readonly resource: BigqueryDataset;

  constructor(
    scope: Construct,
    id: string,
    options: {
      readonly name: string;
      readonly about: string;
      readonly location: string;
      /** By short name. */
      readonly tables: Readonly<Record<string, TableContract>>;
      /** Tag of personal columns; null when no table shows any. */
      readonly policyTag: string | null;
      /** Tables remove themselves after this many hours; absent = they stay. */
      readonly expireHours?: number;
    },
  ) {
    super(scope, id);
    this.resource = new BigqueryDataset(this, 'Resource', {
      datasetId: options.name,
      description: options.about,
      location: options.location,
      maxTimeTravelHours: '168',
      deleteContentsOnDestroy: false,
      ...(options.expireHours === undefined
        ? {}
        : { defaultTableExpirationMs: options.expireHours * 3_600_000 }),
    });
    for (const [name, contract] of Object.entries(options.tables)) {
      const { timePartitioning, clustering, ...values } = tableValues(contract, options.policyTag);
      new BigqueryTable(this, name, {
        datasetId: this.resource.datasetId,
        tableId: name,
        ...values,
        // No table requires a partition filter: checks of keys and first questions of analysts
        // (`SELECT COUNT(*)`) ask whole tables, which are small; a quota on query usage bounds what
        // a forgotten filter can cost (docs/deploy.md).
        ...(timePartitioning === undefined
          ? {}
          : { timePartitioning, requirePartitionFilter: false }),
        ...(clustering === undefined ? {} : { clustering: [...clustering] }),
        // The one stops a plan as a whole; the other also holds for a table whose contract is gone.
        lifecycle: { preventDestroy: true },
        deletionProtection: true,
      });
    }
  }

  get name(): string {
    return this.resource.datasetId;
  }

  grant(grantee: Grantee, role: Role): void {
    new BigqueryDatasetIamMember(this, `${grantee.id}_${roleId(role)}`, {
      datasetId: this.name,
      role: roleName(role),
      member: grantee.member,
    });
  }
}
