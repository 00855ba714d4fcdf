/** What a push subscription delivers, and the handlers that take it. */
import type { Config } from './config.ts';
import { Permanent } from './errors.ts';
import type { World } from './world.ts';

export interface Message {
  /** The message's JSON body; `{}` when it has none. */
  readonly data: Readonly<Record<string, unknown>>;
  readonly attributes: Readonly<Record<string, string>>;
}

/**
 * Handles one message. Resolves = acknowledged. Rejects = delivered again, and after the
 * subscription's last attempt kept among its dead letters.
 */
export type Handler = (message: Message, world: World, config: Config) => Promise<void>;

/**
 * Reads the envelope that Pub/Sub posts to a push endpoint.
 * @throws Permanent when it is none: such a delivery ends among the dead letters
 */
export function readEnvelope(body: unknown): Message {
  const envelope = body as {
    readonly message?: {
      readonly data?: string;
      readonly attributes?: Readonly<Record<string, string>>;
    };
  } | null;
  const message = envelope?.message;
  if (message === undefined || typeof message !== 'object') {
    throw new Permanent({
      code: 'no_envelope',
      message: 'the request is not a Pub/Sub push: it has no `message`',
    });
  }
  const text = Buffer.from(message.data ?? '', 'base64').toString('utf8');
  try {
    const data: unknown = text === '' ? {} : JSON.parse(text);
    if (typeof data !== 'object' || data === null) throw new Error('not an object');
    return {
      data: data as Readonly<Record<string, unknown>>,
      attributes: message.attributes ?? {},
    };
  } catch (cause) {
    throw new Permanent({
      code: 'message_unreadable',
      message: `the message is no JSON object: ${text.slice(0, 100)}`,
      cause,
    });
  }
}

/** The object a Storage notification speaks of, or null for a message of another kind. */
export function notifiedObject(message: Message): string | null {
  const name = message.attributes['objectId'];
  return message.attributes['eventType'] === 'OBJECT_FINALIZE' && name !== undefined ? name : null;
}
