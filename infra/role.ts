/** Roles: Google's by name, ours by their permissions where Google's would allow more. */
import { ProjectIamCustomRole } from '@cdktf/provider-google/lib/project-iam-custom-role/index.js';
import { Construct } from 'constructs';

export type Role = string | CustomRole;

export class CustomRole extends Construct {
  /** Tells grants apart within one resource. */
  readonly id: string;
  readonly resource: ProjectIamCustomRole;

  constructor(
    scope: Construct,
    id: string,
    options: {
      readonly project: string;
      readonly title: string;
      readonly permissions: readonly string[];
    },
  ) {
    super(scope, id);
    this.id = id;
    this.resource = new ProjectIamCustomRole(this, 'Resource', {
      project: options.project,
      // Letters only: role ids take no hyphens, and one that was deleted stays taken for 37 days.
      roleId: id.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
      title: options.title,
      permissions: [...options.permissions],
    });
  }
}

/** What an IAM member resource takes. */
export const roleName = (role: Role): string =>
  typeof role === 'string' ? role : role.resource.name;

/** `roles/storage.objectUser` -> `storage_objectUser`, for ids of grants. */
export const roleId = (role: Role): string =>
  typeof role === 'string' ? role.replace(/^roles\//, '').replaceAll('.', '_') : role.id;
