/**
 * Pull subscriptions through the official client's unary calls, loaded with the first of them:
 * executing gRPC costs a quarter of a second that other functions do not need.
 */
import type { protos, v1 } from '@google-cloud/pubsub';
import type { Client } from '@grpc/grpc-js';
import { Transient } from '../errors.ts';
import type { Subscriptions, TakenMessage } from '../world.ts';
import { type Refused, tryAgain } from './retry.ts';

type Received = protos.google.pubsub.v1.IReceivedMessage;
type Time = protos.google.protobuf.ITimestamp;

export interface SubscriptionsPlace {
  readonly project: string;
  /** `host:port` of another server, spoken to in plain text; default: the public endpoint. */
  readonly endpoint?: string;
  /** Milliseconds that a take waits for a first message; default 2,000. */
  readonly waitMs?: number;
}

/**
 * A pull answers when there is something, and otherwise keeps the line for as long as a minute: who
 * asked says how long. (`returnImmediately` is deprecated: it answers empty although there is a
 * backlog.) Only the wait for an answer's beginning is bounded so tightly: what is on its way is
 * leased, and given up it would come again only after its lease, and a large message never.
 */
const WAIT_MS = 2_000;

/** How long an answer that has begun may take: it has ten megabytes at most. */
const ANSWER_MS = 10_000;
const DEADLINE_EXCEEDED = 4;

/** First connection and first token: slow in a fresh instance, and no sign of an empty subscription. */
const CONNECT_MS = 20_000;

const ACKNOWLEDGE_MS = 20_000;

/** An acknowledge request may have 512 KiB (cloud.google.com/pubsub/quotas). */
const ACKNOWLEDGE_BYTES = 480_000;
const ACKNOWLEDGE_IDS = 2_500;
/** Requests at once. */
const ACKNOWLEDGE_PARALLEL = 4;

/** gRPC's codes as the HTTP statuses that Google's APIs give for them (google/rpc/code.proto). */
const httpStatus: Readonly<Record<number, number>> = {
  1: 499,
  2: 500,
  3: 400,
  4: 504,
  5: 404,
  7: 403,
  8: 429,
  9: 400,
  // Asked again, it may work.
  10: 503,
  13: 500,
  14: 503,
  16: 401,
};

interface Connected {
  readonly subscriber: v1.SubscriberClient;
  readonly stub: Client;
  readonly sdk: typeof import('./pubsub_sdk.ts');
}

export function pubsubSubscriptions(place: SubscriptionsPlace): Subscriptions {
  let connecting: Promise<Connected> | undefined;
  const connected = async (): Promise<Connected> => {
    connecting ??= connect(place);
    try {
      return await connecting;
    } catch (error) {
      connecting = undefined;
      throw error;
    }
  };
  const path = (subscription: string): string =>
    `projects/${place.project}/subscriptions/${subscription}`;
  return {
    take: (subscription, most) =>
      tryAgain(
        `pull from ${subscription}`,
        async () => pull(await connected(), path(subscription), most, place.waitMs ?? WAIT_MS),
        refusal,
      ),

    acknowledge: async (subscription, ackIds) => {
      const requests = portions(ackIds);
      const lane = async (): Promise<void> => {
        for (let ids = requests.shift(); ids !== undefined; ids = requests.shift()) {
          const request = { subscription: path(subscription), ackIds: ids };
          await tryAgain(
            `acknowledge in ${subscription}`,
            async () => {
              const { subscriber } = await connected();
              // The client's own retries would hide from us how long we have been waiting.
              await subscriber.acknowledge(request, { retry: null, timeout: ACKNOWLEDGE_MS });
            },
            refusal,
          );
        }
      };
      await Promise.all(Array.from({ length: ACKNOWLEDGE_PARALLEL }, lane));
    },
  };
}

/**
 * One pull, by the client's own connection: its method tells nobody when an answer begins, and
 * builds every message twice.
 */
function pull(
  { stub, sdk }: Connected,
  subscription: string,
  maxMessages: number,
  waitMs: number,
): Promise<readonly TakenMessage[]> {
  const { PullRequest, PullResponse } = sdk.protos.google.pubsub.v1;
  const metadata = new sdk.Metadata();
  metadata.set('x-goog-request-params', `subscription=${encodeURIComponent(subscription)}`);
  return new Promise((resolve, reject) => {
    let gaveUp = false;
    const call = stub.makeUnaryRequest(
      '/google.pubsub.v1.Subscriber/Pull',
      (request: protos.google.pubsub.v1.IPullRequest) =>
        Buffer.from(PullRequest.encode(request).finish()),
      (bytes: Buffer) => PullResponse.decode(bytes).receivedMessages.map(taken),
      { subscription, maxMessages },
      metadata,
      { deadline: Date.now() + waitMs + ANSWER_MS },
      (error, messages) => {
        clearTimeout(timer);
        if (error === null) resolve(messages ?? []);
        else if (gaveUp || codeOf(error) === DEADLINE_EXCEEDED) resolve([]);
        else reject(error);
      },
    );
    const timer = setTimeout(() => {
      // What has come in while we were busy is heard first.
      setImmediate(() => {
        if (begun) return;
        gaveUp = true;
        call.cancel();
      });
    }, waitMs);
    let begun = false;
    call.on('metadata', () => {
      begun = true;
    });
  });
}

async function connect({ project, endpoint }: SubscriptionsPlace): Promise<Connected> {
  const sdk = await import('./pubsub_sdk.ts');
  const [host = '', port = '443'] = endpoint?.split(':') ?? [];
  const subscriber = new sdk.v1.SubscriberClient(
    endpoint === undefined
      ? { projectId: project }
      : {
          projectId: project,
          apiEndpoint: host,
          port: Number(port),
          sslCreds: sdk.credentials.createInsecure(),
        },
  );
  const stub = (await subscriber.initialize()) as unknown as Client;
  if (endpoint === undefined) await subscriber.auth.getAccessToken();
  await new Promise<void>((resolve, reject) => {
    stub.waitForReady(Date.now() + CONNECT_MS, (error) => {
      if (error === undefined || error === null) return resolve();
      const message = `no connection to Pub/Sub: ${error.message}`;
      reject(new Transient({ code: 'unavailable_0', message, cause: error }));
    });
  });
  return { subscriber, stub, sdk };
}

function taken({ ackId, message }: Received): TakenMessage {
  const { data, attributes, messageId, publishTime, orderingKey } = message ?? {};
  return {
    ackId: ackId ?? '',
    id: messageId ?? '',
    data: bytesOf(data),
    attributes: attributes ?? {},
    publishedAt: milliseconds(publishTime),
    orderingKey: orderingKey ?? '',
  };
}

function bytesOf(data: Uint8Array | string | null | undefined): Buffer {
  if (data === null || data === undefined) return Buffer.alloc(0);
  if (typeof data === 'string') return Buffer.from(data, 'base64');
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}

const milliseconds = (time: Time | null | undefined): number =>
  Number(time?.seconds ?? 0) * 1000 + Math.floor((time?.nanos ?? 0) / 1_000_000);

/** As many as one acknowledge request may name, by number and by size. */
export function portions(ackIds: readonly string[]): string[][] {
  const found: string[][] = [];
  let last: string[] = [];
  let bytes = 0;
  for (const id of ackIds) {
    if (last.length === ACKNOWLEDGE_IDS || bytes + id.length > ACKNOWLEDGE_BYTES) {
      found.push(last);
      last = [];
      bytes = 0;
    }
    last.push(id);
    // Its tag and length on the wire.
    bytes += id.length + 4;
  }
  if (last.length > 0) found.push(last);
  return found;
}

const codeOf = (error: unknown): number => Number((error as { code?: unknown }).code ?? -1);

function refusal(error: unknown): Refused | null {
  if (error instanceof Transient || error instanceof TypeError) return null;
  const message = error instanceof Error ? error.message : String(error);
  // Nobody has logged in on this machine, and waiting does not change that.
  if (/default credentials/i.test(message)) return { status: 401, message };
  return { status: httpStatus[codeOf(error)] ?? 0, message };
}
