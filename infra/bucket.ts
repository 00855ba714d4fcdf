/** A bucket with who may touch it. Private, never emptied by Terraform. */
import {
  StorageBucket,
  type StorageBucketLifecycleRule,
} from '@cdktf/provider-google/lib/storage-bucket/index.js';
import { StorageBucketIamMember } from '@cdktf/provider-google/lib/storage-bucket-iam-member/index.js';
import { Construct } from 'constructs';
import type { Grantee } from './identity.ts';
import { type Role, roleId, roleName } from './role.ts';

/** A condition of IAM may have twelve logical operators, so one grant takes no more prefixes. */
const PREFIXES_AT_ONCE = 12;

export class Bucket extends Construct {
  readonly resource: StorageBucket;

  constructor(
    scope: Construct,
    id: string,
    options: {
      readonly name: string;
      readonly location: string;
      readonly project?: string;
      /** Keep what is overwritten or removed, for 30 days. */
      readonly versioned?: true;
      readonly rules?: readonly StorageBucketLifecycleRule[];
      /** Days in which a removed object or bucket can be brought back; 0 = none. */
      readonly softDeleteDays: number;
      readonly purpose: string;
      /** Only copies of what is elsewhere lie in it: Terraform may remove it once it is empty. */
      readonly disposable?: true;
    },
  ) {
    super(scope, id);
    const rules: StorageBucketLifecycleRule[] = [
      { action: { type: 'AbortIncompleteMultipartUpload' }, condition: { age: 1 } },
      ...(options.rules ?? []),
    ];
    if (options.versioned) {
      rules.push({ action: { type: 'Delete' }, condition: { daysSinceNoncurrentTime: 30 } });
    }
    this.resource = new StorageBucket(this, 'Resource', {
      name: options.name,
      location: options.location,
      ...(options.project === undefined ? {} : { project: options.project }),
      labels: { purpose: options.purpose },
      uniformBucketLevelAccess: true,
      publicAccessPrevention: 'enforced',
      forceDestroy: false,
      versioning: { enabled: options.versioned === true },
      softDeletePolicy: { retentionDurationSeconds: options.softDeleteDays * 86_400 },
      lifecycleRule: rules,
      // A plan that would remove or replace it is refused as a whole, before anything is touched.
      ...(options.disposable === true ? {} : { lifecycle: { preventDestroy: true } }),
    });
  }

  get name(): string {
    return this.resource.name;
  }

  /**
   * @param prefixes only objects whose names begin with one of them; such a grant never allows to
   *   list (gcp.md 2: a condition on object names does not hold for the bucket)
   */
  grant(grantee: Grantee, role: Role, prefixes?: readonly string[]): void {
    const member = { bucket: this.name, role: roleName(role), member: grantee.member };
    const id = `${grantee.id}_${roleId(role)}`;
    if (prefixes === undefined) {
      new StorageBucketIamMember(this, id, member);
      return;
    }
    for (let first = 0; first < prefixes.length; first += PREFIXES_AT_ONCE) {
      const expression = prefixes
        .slice(first, first + PREFIXES_AT_ONCE)
        .map(
          (prefix) =>
            `resource.name.startsWith("projects/_/buckets/${this.name}/objects/${prefix}")`,
        )
        .join(' || ');
      new StorageBucketIamMember(this, first === 0 ? id : `${id}_${first}`, {
        ...member,
        condition: { title: 'only its own prefixes', expression },
      });
    }
  }
}
