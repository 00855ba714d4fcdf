/**
 * Own subscriptions: kept for a week while nobody answers, never expiring, with dead letters of
 * their own. Direct function triggers keep messages for a day only and have none (gcp.md 0.1).
 */
import {
  PubsubSubscription,
  type PubsubSubscriptionPushConfig,
} from '@cdktf/provider-google/lib/pubsub-subscription/index.js';
import { PubsubSubscriptionIamMember } from '@cdktf/provider-google/lib/pubsub-subscription-iam-member/index.js';
import { Construct } from 'constructs';
import { deadLetters, delivery } from '../functions/settings.ts';
import type { Grantee, Identity } from './identity.ts';
import { type Role, roleId, roleName } from './role.ts';
import { Topic } from './topic.ts';

/** Longest retention Pub/Sub has: dead letters wait for a person. */
const DEAD_LETTER_SECONDS = 31 * 86_400;

/** Pub/Sub's longest ack deadline; for a push also the time its answer may take. */
const LONGEST_ACK_SECONDS = 600;

/** How long a drain may take from a message's delivery to its acknowledgement, with a margin. */
const DRAIN_SECONDS = 180;

/** Anything can be landed, so only what nobody could take a hundred times is given up. */
const DRAIN_ATTEMPTS = 100;

interface Terms {
  /** Also the subscription's name; its dead letters are at `<name>-dead`. */
  readonly name: string;
  readonly topic: Topic;
  /** Pub/Sub's service agent of the project. */
  readonly pubsubAgent: Grantee;
}

/** A subscription and what becomes of messages that it gives up. */
class OwnSubscription extends Construct {
  readonly name: string;
  protected readonly resource: PubsubSubscription;
  protected readonly dead: PubsubSubscription;
  /** Name of the subscription that keeps what was given up. */
  readonly deadLetters: string;

  constructor(
    scope: Construct,
    id: string,
    options: Terms & {
      readonly ackSeconds: number;
      readonly attempts: number;
      readonly push?: PubsubSubscriptionPushConfig;
    },
  ) {
    super(scope, id);
    const { name, topic, pubsubAgent } = options;
    this.name = name;
    this.deadLetters = deadLetters(name);
    const dead = new Topic(this, 'dead', {
      name: this.deadLetters,
      retentionSeconds: delivery.retentionSeconds,
    });
    this.dead = new PubsubSubscription(this, 'dead_letters', {
      name: this.deadLetters,
      topic: dead.name,
      ackDeadlineSeconds: LONGEST_ACK_SECONDS,
      messageRetentionDuration: `${DEAD_LETTER_SECONDS}s`,
      expirationPolicy: { ttl: '' },
    });
    const mayPublish = dead.grant(pubsubAgent, 'roles/pubsub.publisher');
    this.resource = new PubsubSubscription(this, 'Resource', {
      name,
      topic: topic.name,
      ackDeadlineSeconds: Math.min(LONGEST_ACK_SECONDS, options.ackSeconds),
      messageRetentionDuration: `${delivery.retentionSeconds}s`,
      expirationPolicy: { ttl: '' },
      retryPolicy: {
        minimumBackoff: `${delivery.minimumBackoffSeconds}s`,
        maximumBackoff: `${delivery.maximumBackoffSeconds}s`,
      },
      deadLetterPolicy: {
        deadLetterTopic: dead.path,
        maxDeliveryAttempts: options.attempts,
      },
      ...(options.push === undefined ? {} : { pushConfig: options.push }),
      dependsOn: [mayPublish],
    });
    // Without this one of the two grants nothing is ever dead-lettered, silently (gcp.md 1.6).
    new PubsubSubscriptionIamMember(this, 'pubsub_agent_subscriber', {
      subscription: this.resource.name,
      role: 'roles/pubsub.subscriber',
      member: pubsubAgent.member,
    });
  }
}

/** Delivers every message to a function. */
export class PushSubscription extends OwnSubscription {
  constructor(
    scope: Construct,
    id: string,
    options: Terms & {
      readonly endpoint: string;
      /** Who the push says it is. */
      readonly identity: Identity;
      /** Seconds the receiver may take for one message. */
      readonly answerSeconds: number;
    },
  ) {
    const { endpoint, identity } = options;
    super(scope, id, {
      ...options,
      ackSeconds: options.answerSeconds + 60,
      attempts: delivery.maxDeliveryAttempts,
      push: {
        pushEndpoint: endpoint,
        oidcToken: { serviceAccountEmail: identity.email, audience: endpoint },
      },
    });
  }
}

/** Keeps messages until a drain takes them. */
export class DrainedSubscription extends OwnSubscription {
  constructor(scope: Construct, id: string, options: Terms) {
    super(scope, id, { ...options, ackSeconds: DRAIN_SECONDS, attempts: DRAIN_ATTEMPTS });
  }

  /** Also on what it has given up: these are messages of others, to be had back. */
  grant(grantee: Grantee, role: Role): void {
    for (const [id, { name }] of [['', this.resource] as const, ['dead_', this.dead] as const]) {
      new PubsubSubscriptionIamMember(this, `${id}${grantee.id}_${roleId(role)}`, {
        subscription: name,
        role: roleName(role),
        member: grantee.member,
      });
    }
  }
}
