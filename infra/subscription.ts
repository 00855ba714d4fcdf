/**
 * An own push subscription: kept for a week while nobody answers, never expiring, with dead letters
 * of its own. Direct function triggers keep messages for a day only and have none (gcp.md 0.1).
 */
import { PubsubSubscription } from '@cdktf/provider-google/lib/pubsub-subscription/index.js';
import { PubsubSubscriptionIamMember } from '@cdktf/provider-google/lib/pubsub-subscription-iam-member/index.js';
import { Construct } from 'constructs';
import { delivery } from '../functions/settings.ts';
import type { Grantee, Identity } from './identity.ts';
import { Topic } from './topic.ts';

/** Longest retention Pub/Sub has: dead letters wait for a person. */
const DEAD_LETTER_SECONDS = 31 * 86_400;

/** Pub/Sub's longest ack deadline; for a push also the time its answer may take. */
const LONGEST_ACK_SECONDS = 600;

export class PushSubscription extends Construct {
  readonly name: string;
  /** Name of the subscription that keeps what was given up. */
  readonly deadLetters: string;

  constructor(
    scope: Construct,
    id: string,
    options: {
      /** Also the subscription's name; its dead letters are at `<name>-dead`. */
      readonly name: string;
      readonly topic: Topic;
      readonly endpoint: string;
      /** Who the push says it is. */
      readonly identity: Identity;
      /** Seconds the receiver may take for one message. */
      readonly answerSeconds: number;
      /** Pub/Sub's service agent of the project. */
      readonly pubsubAgent: Grantee;
    },
  ) {
    super(scope, id);
    const { name, topic, endpoint, identity, pubsubAgent } = options;
    this.name = name;
    this.deadLetters = `${name}-dead`;
    const dead = new Topic(this, 'dead', {
      name: this.deadLetters,
      retentionSeconds: delivery.retentionSeconds,
    });
    new PubsubSubscription(this, 'dead_letters', {
      name: this.deadLetters,
      topic: dead.name,
      ackDeadlineSeconds: LONGEST_ACK_SECONDS,
      messageRetentionDuration: `${DEAD_LETTER_SECONDS}s`,
      expirationPolicy: { ttl: '' },
    });
    const mayPublish = dead.grant(pubsubAgent, 'roles/pubsub.publisher');
    const subscription = new PubsubSubscription(this, 'Resource', {
      name,
      topic: topic.name,
      ackDeadlineSeconds: Math.min(LONGEST_ACK_SECONDS, options.answerSeconds + 60),
      messageRetentionDuration: `${delivery.retentionSeconds}s`,
      expirationPolicy: { ttl: '' },
      retryPolicy: {
        minimumBackoff: `${delivery.minimumBackoffSeconds}s`,
        maximumBackoff: `${delivery.maximumBackoffSeconds}s`,
      },
      deadLetterPolicy: {
        deadLetterTopic: dead.path,
        maxDeliveryAttempts: delivery.maxDeliveryAttempts,
      },
      pushConfig: {
        pushEndpoint: endpoint,
        oidcToken: { serviceAccountEmail: identity.email, audience: endpoint },
      },
      dependsOn: [mayPublish],
    });
    // Without this one of the two grants nothing is ever dead-lettered, silently (gcp.md 1.6).
    new PubsubSubscriptionIamMember(this, 'pubsub_agent_subscriber', {
      subscription: subscription.name,
      role: 'roles/pubsub.subscriber',
      member: pubsubAgent.member,
    });
  }
}
