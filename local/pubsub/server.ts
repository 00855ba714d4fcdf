/**
 * The wire faces of the local Pub/Sub: gRPC for the official client, REST for functions, and the
 * sender of pushes.
 *
 *   const pubsub = await startPubsub({ root, grants });
 *   new PubSub({ apiEndpoint: pubsub.grpcUrl, projectId })   // any endpoint but *.googleapis.com
 *                                                            // makes the client use no TLS
 *   POST `${pubsub.restUrl}/v1/projects/P/topics/T:publish`
 *   pubsub.state (to declare topics and subscriptions), await pubsub.close()
 *
 * A publish is answered when it is on the disk; many share one sync. An acknowledgement survives a
 * killed process; after a power cut it may be lost, and the message comes again.
 */
import { createServer } from 'node:http';
import { join } from 'node:path';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { Journal } from '../journal.ts';
import { listen } from '../loopback.ts';
import type { Grant } from './config.ts';
import { Dispatcher } from './dispatch.ts';
import { addServices } from './grpc.ts';
import type { Entry } from './memory.ts';
import { Pusher } from './push.ts';
import { handleRest } from './rest.ts';
import { SegmentMessages } from './segments.ts';
import type { Service } from './service.ts';
import { PubsubState } from './state.ts';

export interface PubsubServerOptions {
  /** Folder of the journal and the segment files. */
  readonly root: string;
  /** Roles of the Pub/Sub service agent: dead-lettering needs two of them. */
  readonly grants?: readonly Grant[];
  /** Defaults: any free ports. */
  readonly grpcPort?: number;
  readonly restPort?: number;
  readonly clock?: { now(): number };
  readonly log?: (message: string) => void;
  /** How long a pull waits when nothing is there. Default 2 s. */
  readonly pullWaitMs?: number;
}

export interface PubsubServer {
  /** `127.0.0.1:PORT`, the client's `apiEndpoint`. */
  readonly grpcUrl: string;
  /** `http://127.0.0.1:PORT` */
  readonly restUrl: string;
  readonly state: PubsubState;
  /** Resolves when every change made on `state` so far is on the disk. */
  readonly durable: () => Promise<void>;
  readonly close: () => Promise<void>;
}

const COMPACT_AT = 32 << 20;
/** Node's timers cannot wait longer. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export async function startPubsub(options: PubsubServerOptions): Promise<PubsubServer> {
  const clock = options.clock ?? { now: () => Date.now() };
  const log = options.log ?? ((message) => console.error(message));
  const messages = new SegmentMessages(join(options.root, 'messages'));
  const journal = new Journal<Entry>(join(options.root, 'journal'));
  let compacted = 0;
  let planned = false;
  let closed = false;
  let timer: NodeJS.Timeout | undefined;

  const state: PubsubState = new PubsubState({
    clock,
    messages,
    ...(options.grants ? { grants: options.grants } : {}),
    entries: journal.entries(),
    record: (entry) => {
      journal.append(entry);
      plan();
    },
    onDeliverable: (subscription) => {
      dispatcher.wake(subscription);
      plan();
    },
    onDue: () => plan(),
  });
  const dispatcher = new Dispatcher(state, messages);
  const pusher = new Pusher(state, clock, log);
  const compact = (): void => {
    journal.rewrite(state.entries());
    compacted = journal.size;
  };
  compact();
  messages.clean();

  /** Once per tick: start the pushes that may start, and wake up when time changes something. */
  const step = (): void => {
    planned = false;
    if (closed) return;
    state.advance();
    for (const push of state.takePushes()) pusher.start(push);
    if (journal.size > Math.max(COMPACT_AT, 4 * compacted)) compact();
    clearTimeout(timer);
    const at = state.nextDueAt();
    if (at === undefined) return;
    const wait = Math.min(LONGEST_TIMER_MS, Math.max(1, Math.ceil(at - clock.now())));
    timer = setTimeout(step, wait);
  };
  function plan(): void {
    if (planned || closed) return;
    planned = true;
    setImmediate(step);
  }

  const service: Service = {
    state,
    dispatcher,
    messagesDurable: () => messages.durable(),
    journalDurable: () => journal.durable(),
    pullWaitMs: options.pullWaitMs ?? 2000,
  };
  const grpc = new Server({
    'grpc.max_receive_message_length': -1,
    'grpc.max_send_message_length': -1,
  });
  addServices(grpc, service);
  const grpcPort = await new Promise<number>((resolve, reject) => {
    const address = `127.0.0.1:${options.grpcPort ?? 0}`;
    grpc.bindAsync(address, ServerCredentials.createInsecure(), (error, port) =>
      error ? reject(error) : resolve(port),
    );
  });
  const rest = createServer((request, response) => handleRest(request, response, service));
  rest.keepAliveTimeout = 60_000;
  const listening = await listen(rest, options.restPort);
  plan();

  const durable = async (): Promise<void> => {
    await Promise.all([messages.durable(), journal.durable()]);
  };
  const close = async (): Promise<void> => {
    closed = true;
    clearTimeout(timer);
    await pusher.close();
    grpc.forceShutdown();
    await listening.close();
    await messages.close();
    await journal.close();
  };
  return {
    grpcUrl: `127.0.0.1:${grpcPort}`,
    restUrl: listening.url,
    state,
    durable,
    close,
  };
}
