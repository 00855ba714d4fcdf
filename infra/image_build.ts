/** Who builds the images of functions, and where they go. */
import { ArtifactRegistryRepository } from '@cdktf/provider-google/lib/artifact-registry-repository/index.js';
import { ArtifactRegistryRepositoryIamMember } from '@cdktf/provider-google/lib/artifact-registry-repository-iam-member/index.js';
import type { ITerraformDependable } from 'cdktf';
import type { Construct } from 'constructs';
import { Identity } from './identity.ts';
import type { Project } from './project.ts';

export interface ImageBuild {
  /** `projects/…/repositories/…` */
  readonly repository: string;
  readonly identity: Identity;
  /** What the identity needs before a first build can succeed. */
  readonly grants: readonly ITerraformDependable[];
}

/** Builds of functions: an own identity and repository, because default ones may have no rights. */
export function makeImageBuild(scope: Construct, project: Project, region: string): ImageBuild {
  const identity = new Identity(scope, 'function-build', { about: 'Builds of functions' });
  const repository = new ArtifactRegistryRepository(scope, 'function_images', {
    repositoryId: 'functions',
    location: region,
    format: 'DOCKER',
    description: 'Images of functions',
    cleanupPolicies: [
      { id: 'keep-latest', action: 'KEEP', mostRecentVersions: { keepCount: 5 } },
      { id: 'remove-old', action: 'DELETE', condition: { olderThan: '2592000s' } },
    ],
  });
  const mayWrite = new ArtifactRegistryRepositoryIamMember(scope, 'function_images_build_writer', {
    repository: repository.name,
    location: region,
    role: 'roles/artifactregistry.writer',
    member: identity.member,
  });
  const mayLog = project.grant(identity, 'roles/logging.logWriter');
  // The service copies sources into a bucket of its own, which it names so; nothing else is read.
  const mayRead = project.grant(identity, 'roles/storage.objectViewer', {
    title: 'only sources of functions',
    expression: 'resource.name.startsWith("projects/_/buckets/gcf-v2-")',
  });
  return { identity, repository: repository.id, grants: [mayWrite, mayLog, mayRead] };
}
