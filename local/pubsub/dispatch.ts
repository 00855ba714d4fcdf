/**
 * Hands deliverable messages to whoever waits for them: unary pulls first, then the streams in
 * turn, each within its flow control. Work of one tick is done once per subscription.
 */
import type { SegmentMessages } from './segments.ts';
import type { PubsubState } from './state.ts';
import type { Flow } from './subscription.ts';
import { ReceivedBytes } from './wire.ts';

const STREAM_CHUNK = 250;
const STREAM_CHUNK_BYTES = 1 << 20;
const UNLIMITED = Number.MAX_SAFE_INTEGER;

/** One open StreamingPull. */
export interface Stream {
  readonly subscription: string;
  /** Seconds; 0 = the subscription's own. */
  ackDeadlineSeconds: number;
  /** 0 = no limit. */
  readonly maxMessages: number;
  readonly maxBytes: number;
  readonly flow: Flow;
  /** False = the connection is full, `resume` is called when it is not any more. */
  readonly send: (response: Buffer) => boolean;
  readonly fail: (error: unknown) => void;
  full: boolean;
}

interface Waiter {
  readonly max: number;
  readonly answer: (response: Buffer) => void;
  readonly fail: (error: unknown) => void;
}

interface Queue {
  readonly waiters: Waiter[];
  readonly streams: Stream[];
  planned: boolean;
}

export class Dispatcher {
  readonly #state: PubsubState;
  readonly #messages: SegmentMessages;
  readonly #queues = new Map<string, Queue>();

  constructor(state: PubsubState, messages: SegmentMessages) {
    this.#state = state;
    this.#messages = messages;
  }

  #queue(subscription: string): Queue {
    let queue = this.#queues.get(subscription);
    if (!queue) {
      queue = { waiters: [], streams: [], planned: false };
      this.#queues.set(subscription, queue);
    }
    return queue;
  }

  /** Messages or room for them may have appeared. */
  wake(subscription: string): void {
    const queue = this.#queues.get(subscription);
    if (!queue || queue.planned || queue.waiters.length + queue.streams.length === 0) return;
    queue.planned = true;
    setImmediate(() => {
      queue.planned = false;
      try {
        this.#serve(subscription, queue);
      } catch (error) {
        // The subscription is gone or became a push subscription: everybody is told.
        for (const waiter of queue.waiters.splice(0)) waiter.fail(error);
        for (const stream of queue.streams.splice(0)) stream.fail(error);
      }
    });
  }

  #serve(subscription: string, queue: Queue): void {
    while (queue.waiters.length > 0) {
      const [waiter] = queue.waiters as [Waiter];
      const response = this.#lease(subscription, { maxMessages: waiter.max });
      if (!response) return;
      queue.waiters.shift();
      waiter.answer(response);
    }
    for (let idle = 0; idle < queue.streams.length; ) {
      const stream = queue.streams.shift() as Stream;
      queue.streams.push(stream);
      const maxMessages = Math.min(
        STREAM_CHUNK,
        (stream.maxMessages || UNLIMITED) - stream.flow.messages,
      );
      const maxBytes = Math.min(
        STREAM_CHUNK_BYTES,
        (stream.maxBytes || UNLIMITED) - stream.flow.bytes,
      );
      if (stream.full || maxMessages <= 0 || maxBytes <= 0) {
        idle += 1;
        continue;
      }
      const { flow, ackDeadlineSeconds } = stream;
      const response = this.#lease(subscription, {
        maxMessages,
        maxBytes,
        flow,
        ...(ackDeadlineSeconds > 0 ? { deadlineMs: ackDeadlineSeconds * 1000 } : {}),
      });
      if (!response) return;
      stream.full = !stream.send(response);
      idle = 0;
    }
  }

  /** Undefined = nothing is deliverable. */
  #lease(subscription: string, options: Parameters<PubsubState['lease']>[1]): Buffer | undefined {
    const deliveries = this.#state.lease(subscription, options);
    if (deliveries.length === 0) return undefined;
    const numbered = this.#state.countsAttempts(subscription);
    const bytes = new ReceivedBytes();
    for (const { ackId, number, attempt } of deliveries) {
      bytes.add(ackId, this.#messages.raw(number), numbered ? attempt : 0);
    }
    return bytes.end();
  }

  /**
   * Answers with at least one message, or with none after `waitMs`. Throws at once if the
   * subscription is unknown. The returned function gives up the wait.
   */
  pull(
    subscription: string,
    max: number,
    waitMs: number,
    answer: (response: Buffer) => void,
    fail: (error: unknown) => void,
  ): () => void {
    const now = this.#lease(subscription, { maxMessages: max });
    if (now || waitMs <= 0) {
      answer(now ?? Buffer.alloc(0));
      return () => undefined;
    }
    const { waiters } = this.#queue(subscription);
    const forget = (): boolean => {
      clearTimeout(timer);
      const at = waiters.indexOf(waiter);
      if (at >= 0) waiters.splice(at, 1);
      return at >= 0;
    };
    const timer = setTimeout(() => {
      if (forget()) answer(Buffer.alloc(0));
    }, waitMs);
    const waiter: Waiter = {
      max,
      answer: (response) => {
        clearTimeout(timer);
        answer(response);
      },
      fail: (error) => {
        clearTimeout(timer);
        fail(error);
      },
    };
    waiters.push(waiter);
    return forget;
  }

  open(stream: Stream): void {
    // Refuses an unknown or push subscription before anything is queued.
    this.#state.lease(stream.subscription, { maxMessages: 0 });
    this.#queue(stream.subscription).streams.push(stream);
    this.wake(stream.subscription);
  }

  resume(stream: Stream): void {
    stream.full = false;
    this.wake(stream.subscription);
  }

  close(stream: Stream): void {
    const streams = this.#queues.get(stream.subscription)?.streams ?? [];
    const at = streams.indexOf(stream);
    if (at >= 0) streams.splice(at, 1);
  }
}
