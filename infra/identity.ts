/** A service account: who a function, a push or a Spark batch is. */
import { ServiceAccount } from '@cdktf/provider-google/lib/service-account/index.js';
import { ServiceAccountIamMember } from '@cdktf/provider-google/lib/service-account-iam-member/index.js';
import { Construct } from 'constructs';
import { type Role, roleId, roleName } from './role.ts';

/** Somebody who is granted something; `id` tells its grants apart within one resource. */
export interface Grantee {
  readonly id: string;
  readonly member: string;
}

/** What a service account may be called: 6 to 30 characters (Google's IAM, `accountId`). */
const ACCOUNT_ID = /^[a-z][a-z0-9-]{4,28}[a-z0-9]$/;

export class Identity extends Construct implements Grantee {
  readonly id: string;
  readonly account: ServiceAccount;

  /** @throws Error when `id` is no name a service account can have */
  constructor(
    scope: Construct,
    id: string,
    options: { readonly about: string; readonly project?: string },
  ) {
    super(scope, id);
    if (!ACCOUNT_ID.test(id)) {
      throw new Error(`${id} cannot be the name of a service account: 6 to 30 of a-z, 0-9 and -`);
    }
    this.id = id;
    this.account = new ServiceAccount(this, 'Resource', {
      accountId: id,
      displayName: options.about,
      ...(options.project === undefined ? {} : { project: options.project }),
    });
  }

  get member(): string {
    return this.account.member;
  }

  get email(): string {
    return this.account.email;
  }

  /** Lets somebody act as this identity, or mint its tokens. */
  grant(grantee: Grantee, role: Role): void {
    new ServiceAccountIamMember(this, `${grantee.id}_${roleId(role)}`, {
      serviceAccountId: this.account.name,
      role: roleName(role),
      member: grantee.member,
    });
  }
}
