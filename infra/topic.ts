/** A topic with who may publish to it, and the notifications of a bucket that feed it. */
import { PubsubTopic } from '@cdktf/provider-google/lib/pubsub-topic/index.js';
import { PubsubTopicIamMember } from '@cdktf/provider-google/lib/pubsub-topic-iam-member/index.js';
import { StorageNotification } from '@cdktf/provider-google/lib/storage-notification/index.js';
import { Construct } from 'constructs';
import type { Bucket } from './bucket.ts';
import type { Grantee } from './identity.ts';
import { type Role, roleId, roleName } from './role.ts';

export class Topic extends Construct {
  readonly resource: PubsubTopic;

  constructor(
    scope: Construct,
    id: string,
    options: { readonly name: string; readonly retentionSeconds: number },
  ) {
    super(scope, id);
    this.resource = new PubsubTopic(this, 'Resource', {
      name: options.name,
      messageRetentionDuration: `${options.retentionSeconds}s`,
    });
  }

  get name(): string {
    return this.resource.name;
  }

  /** `projects/…/topics/…` */
  get path(): string {
    return this.resource.id;
  }

  grant(grantee: Grantee, role: Role): PubsubTopicIamMember {
    return new PubsubTopicIamMember(this, `${grantee.id}_${roleId(role)}`, {
      topic: this.name,
      role: roleName(role),
      member: grantee.member,
    });
  }

  /** Publishes every object that is finished under a prefix of a bucket. */
  notifiedBy(bucket: Bucket, prefix: string, storageAgent: Grantee): void {
    const granted = this.grant(storageAgent, 'roles/pubsub.publisher');
    new StorageNotification(this, 'notification', {
      bucket: bucket.name,
      topic: this.path,
      payloadFormat: 'JSON_API_V1',
      eventTypes: ['OBJECT_FINALIZE'],
      ...(prefix === '' ? {} : { objectNamePrefix: prefix }),
      // Storage refuses a notification whose topic it may not publish to.
      dependsOn: [granted],
    });
  }
}
