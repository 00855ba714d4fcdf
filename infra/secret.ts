/** A secret without its value: versions are added by people, never by Terraform (docs/deploy.md). */
import { SecretManagerSecret } from '@cdktf/provider-google/lib/secret-manager-secret/index.js';
import { SecretManagerSecretIamMember } from '@cdktf/provider-google/lib/secret-manager-secret-iam-member/index.js';
import { Construct } from 'constructs';
import type { Grantee } from './identity.ts';

export class Secret extends Construct {
  readonly resource: SecretManagerSecret;

  constructor(
    scope: Construct,
    id: string,
    options: { readonly name: string; readonly region: string; readonly purpose: string },
  ) {
    super(scope, id);
    this.resource = new SecretManagerSecret(this, 'Resource', {
      secretId: options.name,
      labels: { purpose: options.purpose },
      // Not `auto`: organisations that fix locations refuse it (gcp.md 5.5).
      replication: { userManaged: { replicas: [{ location: options.region }] } },
      // Its values are nowhere else, and another key of hashes would be another history.
      lifecycle: { preventDestroy: true },
    });
  }

  /** Bare name, as functions and the Spark job ask for it. */
  get name(): string {
    return this.resource.secretId;
  }

  grantRead(grantee: Grantee): void {
    new SecretManagerSecretIamMember(this, `${grantee.id}_accessor`, {
      secretId: this.resource.secretId,
      role: 'roles/secretmanager.secretAccessor',
      member: grantee.member,
    });
  }
}
