/** The request that brings one message to a push endpoint. */
import type { SubscriptionConfig } from './config.ts';
import type { StoredMessage } from './messages.ts';
import type { Delivery, Subscription } from './subscription.ts';

export interface PushDelivery extends Delivery {
  readonly subscription: string;
  readonly endpoint: string;
  /** The body of the POST, JSON. */
  readonly body: string;
  /** Set when a token is configured: the endpoint expects `Authorization: Bearer`. */
  readonly oidc?: { readonly email: string; readonly audience: string };
  /** An answer after this many ms comes too late. */
  readonly timeoutMs: number;
}

export function pushDelivery(
  { config, push, ackDeadlineMs }: Subscription,
  delivery: Delivery,
  message: StoredMessage,
): PushDelivery {
  const endpoint = push?.pushEndpoint ?? '';
  const oidc = push?.oidcToken;
  return {
    ...delivery,
    subscription: config.name,
    endpoint,
    body: bodyOf(config, delivery.attempt, message),
    timeoutMs: ackDeadlineMs,
    ...(oidc
      ? { oidc: { email: oidc.serviceAccountEmail, audience: oidc.audience || endpoint } }
      : {}),
  };
}

function bodyOf(
  config: SubscriptionConfig,
  attempt: number,
  { data, attributes, orderingKey, messageId, publishTime }: StoredMessage,
): string {
  const time = new Date(publishTime).toISOString();
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.length);
  return JSON.stringify({
    // The service sends both spellings.
    message: {
      ...(Object.keys(attributes).length > 0 ? { attributes } : {}),
      ...(data.length > 0 ? { data: bytes.toString('base64') } : {}),
      messageId,
      message_id: messageId,
      ...(orderingKey ? { orderingKey } : {}),
      publishTime: time,
      publish_time: time,
    },
    subscription: config.name,
    ...(config.deadLetterPolicy ? { deliveryAttempt: attempt } : {}),
  });
}
