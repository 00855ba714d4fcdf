/** Messages that failed too often: whether they may leave, and what they say of where they were. */
import { type Grant, granted, type SubscriptionConfig } from './config.ts';
import type { Message, StoredMessage } from './messages.ts';

/** Without both roles of the service agent a message stays, as the real service leaves it. */
export function mayLeave(
  { name, deadLetterPolicy: policy }: SubscriptionConfig,
  failures: number,
  grants: readonly Grant[],
): boolean {
  return (
    policy !== undefined &&
    failures >= (policy.maxDeliveryAttempts ?? 5) &&
    granted(grants, 'roles/pubsub.publisher', policy.deadLetterTopic) &&
    granted(grants, 'roles/pubsub.subscriber', name)
  );
}

/** The message as it is published to the dead-letter topic. */
export function deadLetter(
  message: StoredMessage,
  subscription: string,
  failures: number,
): Message {
  const [, project = '', , id = ''] = subscription.split('/');
  return {
    ...message,
    attributes: {
      ...message.attributes,
      CloudPubSubDeadLetterSourceDeliveryCount: String(failures),
      CloudPubSubDeadLetterSourceSubscription: id,
      CloudPubSubDeadLetterSourceSubscriptionProject: project,
      CloudPubSubDeadLetterSourceTopicPublishTime: new Date(message.publishTime).toISOString(),
    },
  };
}
