/**
 * Messages and where their bodies lie. PubsubState handles message numbers only; bodies are put
 * into a MessageStore: in memory for the simulation, in segment files for the server.
 */
import { invalid } from './errors.ts';

export interface Message {
  readonly data: Uint8Array;
  readonly attributes: Readonly<Record<string, string>>;
  /** Empty = none. */
  readonly orderingKey: string;
}

export interface StoredMessage extends Message {
  readonly messageId: string;
  /** Epoch ms. */
  readonly publishTime: number;
}

export interface MessageHead {
  /** Number of the message: rising over the whole service. */
  readonly number: number;
  readonly publishTime: number;
  readonly topic: number;
  /** Ids of the subscriptions it was queued for when it was published. */
  readonly subscriptions: readonly number[];
}

export interface MessageStore {
  /** Keeps the message for `holders` releases. Numbers rise. */
  append(head: MessageHead, message: StoredMessage, holders: number): void;
  /** From here on everything appended survives a killed process. */
  commit(): void;
  read(number: number): StoredMessage;
  publishTime(number: number): number;
  orderingKey(number: number): string;
  /** Size of the stored message in bytes, for flow control. */
  size(number: number): number;
  retain(number: number): void;
  /** The last release lets the body go. */
  release(number: number): void;
  /** What an earlier process left, in rising order; each is held by nobody yet. */
  heads(): Iterable<MessageHead>;
}

const MAX_BATCH = 1000;
const MAX_BYTES = 10_000_000;

/** Refuses what the service refuses of a publish; see limits at cloud.google.com/pubsub/quotas. */
export function checkPublish(messages: readonly Message[]): void {
  if (messages.length === 0 || messages.length > MAX_BATCH) {
    throw invalid(`A publish request has 1 to ${MAX_BATCH} messages.`);
  }
  let bytes = 0;
  for (const message of messages) {
    checkMessage(message);
    bytes += message.data.length;
  }
  if (bytes > MAX_BYTES) {
    throw invalid(`Request payload size exceeds the limit: ${MAX_BYTES} bytes.`);
  }
}

function checkMessage({ data, attributes, orderingKey }: Message): void {
  const entries = Object.entries(attributes);
  if (data.length === 0 && entries.length === 0) {
    throw invalid('The message must have data or at least one attribute.');
  }
  if (entries.length > 100) throw invalid('A message has at most 100 attributes.');
  for (const [key, value] of entries) {
    if (key === '' || Buffer.byteLength(key) > 256) {
      throw invalid('An attribute key has 1 to 256 bytes.');
    }
    if (key.startsWith('goog')) throw invalid(`Attribute keys must not begin with goog: ${key}`);
    if (Buffer.byteLength(value) > 1024) throw invalid('An attribute has at most 1024 bytes.');
  }
  if (Buffer.byteLength(orderingKey) > 1024) {
    throw invalid('An ordering key has at most 1024 bytes.');
  }
}

interface Kept {
  readonly message: StoredMessage;
  holders: number;
}

export class MemoryMessages implements MessageStore {
  readonly #kept = new Map<number, Kept>();

  append(head: MessageHead, message: StoredMessage, holders: number): void {
    this.#kept.set(head.number, { message, holders });
  }

  commit(): void {}

  #get(number: number): Kept {
    const kept = this.#kept.get(number);
    if (!kept) throw new Error(`message ${number} is gone`);
    return kept;
  }

  read(number: number): StoredMessage {
    return this.#get(number).message;
  }

  publishTime(number: number): number {
    return this.#get(number).message.publishTime;
  }

  orderingKey(number: number): string {
    return this.#get(number).message.orderingKey;
  }

  size(number: number): number {
    return this.#get(number).message.data.length;
  }

  retain(number: number): void {
    this.#get(number).holders += 1;
  }

  release(number: number): void {
    const kept = this.#get(number);
    kept.holders -= 1;
    if (kept.holders === 0) this.#kept.delete(number);
  }

  heads(): Iterable<MessageHead> {
    return [];
  }
}
