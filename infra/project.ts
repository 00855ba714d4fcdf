/** A project: the services switched on in it, its service agents, and who may do what in all of it. */
import { DataGoogleProject } from '@cdktf/provider-google/lib/data-google-project/index.js';
import { DataGoogleStorageProjectServiceAccount } from '@cdktf/provider-google/lib/data-google-storage-project-service-account/index.js';
import { ProjectIamMember } from '@cdktf/provider-google/lib/project-iam-member/index.js';
import { ProjectService } from '@cdktf/provider-google/lib/project-service/index.js';
import { Construct } from 'constructs';
import type { Grantee } from './identity.ts';
import { type Role, roleId, roleName } from './role.ts';

export class Project extends Construct {
  readonly projectId: string;
  readonly services: ReadonlyMap<string, ProjectService>;
  readonly #data: DataGoogleProject;

  constructor(
    scope: Construct,
    id: string,
    options: {
      readonly projectId: string;
      /** Without `.googleapis.com`. */
      readonly services: readonly string[];
    },
  ) {
    super(scope, id);
    this.projectId = options.projectId;
    this.services = new Map(
      [...new Set(options.services)].map((service) => [
        service,
        new ProjectService(this, service, {
          project: options.projectId,
          service: `${service}.googleapis.com`,
          // Another user of the project may need it still.
          disableOnDestroy: false,
        }),
      ]),
    );
    this.#data = new DataGoogleProject(this, 'Resource', { projectId: options.projectId });
  }

  /** Digits, as service agents carry them. */
  get number(): string {
    return this.#data.number;
  }

  /** Pub/Sub's own identity in this project: it forwards dead letters and mints push tokens. */
  get pubsubAgent(): Grantee {
    return {
      id: 'pubsub_agent',
      member: `serviceAccount:service-${this.number}@gcp-sa-pubsub.iam.gserviceaccount.com`,
    };
  }

  grant(
    grantee: Grantee,
    role: Role,
    condition?: { readonly title: string; readonly expression: string },
  ): ProjectIamMember {
    return new ProjectIamMember(this, `${grantee.id}_${roleId(role)}`, {
      project: this.projectId,
      role: roleName(role),
      member: grantee.member,
      ...(condition === undefined ? {} : { condition }),
    });
  }
}

/** Storage's own identity in the project: it publishes notifications. */
export const storageAgent = (scope: Construct, projectId: string): Grantee => {
  const data = new DataGoogleStorageProjectServiceAccount(scope, 'storage_agent', {
    project: projectId,
  });
  return { id: 'storage_agent', member: data.member };
};
