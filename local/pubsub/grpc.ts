/** The gRPC face: google.pubsub.v1 Publisher and Subscriber as the official client calls them. */
import protos from '@google-cloud/pubsub/build/protos/protos.js';
import type {
  Server,
  ServerDuplexStream,
  ServerUnaryCall,
  sendUnaryData,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';
import type { Stream } from './dispatch.ts';
import { invalid, PubsubError, STATUS, unsupported } from './errors.ts';
import type { Service } from './service.ts';
import {
  messageOf,
  proto,
  pushConfigOf,
  subscriptionConfig,
  subscriptionProto,
  timestampMs,
  topicConfig,
  topicProto,
} from './wire.ts';

interface Codec<T> {
  decode(bytes: Uint8Array): T;
}

interface Encoder<T> {
  encode(message: T): { finish(): Uint8Array };
}

type Handler<Q> = (request: Q, call: ServerUnaryCall<Q, unknown>) => unknown;

const { Empty } = protos.google.protobuf;

/** gRPC's error object for what a handler threw. */
function status(error: unknown): { code: number; details: string } {
  if (error instanceof PubsubError) return { code: error.code, details: error.message };
  const message = error instanceof Error ? error.message : String(error);
  return { code: STATUS.INTERNAL.code, details: `Internal error: ${message}` };
}

const toBuffer = (bytes: Uint8Array): Buffer =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

interface Face {
  readonly service: 'Publisher' | 'Subscriber';
  readonly definition: Record<string, object>;
  readonly implementation: UntypedServiceImplementation;
}

function unary<Q, R>(
  face: Face,
  name: string,
  request: Codec<Q>,
  response: Encoder<R> | 'bytes',
  handler: Handler<Q>,
): void {
  face.definition[name] = {
    path: `/google.pubsub.v1.${face.service}/${name}`,
    requestStream: false,
    responseStream: false,
    requestSerialize: toBuffer,
    requestDeserialize: (bytes: Buffer) => request.decode(bytes),
    responseSerialize: (value: unknown) =>
      response === 'bytes' ? (value as Buffer) : toBuffer(response.encode(value as R).finish()),
    responseDeserialize: toBuffer,
  };
  face.implementation[name] = async (
    call: ServerUnaryCall<Q, unknown>,
    callback: sendUnaryData<unknown>,
  ) => {
    try {
      callback(null, await handler(call.request, call));
    } catch (error) {
      callback(status(error));
    }
  };
}

/** A page of a list: the token is the name after which the next page begins. */
function page<T extends { readonly name: string }>(
  all: readonly T[],
  request: { readonly pageSize?: number | null; readonly pageToken?: string | null },
): { readonly items: readonly T[]; readonly nextPageToken: string } {
  const after = request.pageToken ?? '';
  const rest = all.filter(({ name }) => name > after);
  const items = rest.slice(0, request.pageSize || 1000);
  return { items, nextPageToken: items.length < rest.length ? (items.at(-1)?.name ?? '') : '' };
}

/** `base` with the fields of the mask taken from `changes`. */
function masked<T extends object>(
  base: T,
  changes: T,
  mask: readonly string[] | null | undefined,
): T {
  if (!mask || mask.length === 0) throw invalid('The update_mask must name at least one field.');
  const merged = { ...base } as Record<string, unknown>;
  for (const path of mask) {
    const [top = ''] = path.split('.');
    const key = top.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
    merged[key] = (changes as Record<string, unknown>)[key];
  }
  return merged as T;
}

function publisher({ state, messagesDurable, journalDurable }: Service): Face {
  const face: Face = { service: 'Publisher', definition: {}, implementation: {} };
  const names = (all: readonly string[]): readonly { name: string }[] =>
    all.map((name) => ({ name }));
  unary(face, 'CreateTopic', proto.Topic, proto.Topic, async (request) => {
    const config = state.createTopic(topicConfig(request));
    await journalDurable();
    return topicProto(config);
  });
  unary(face, 'UpdateTopic', proto.UpdateTopicRequest, proto.Topic, async (request) => {
    const changes = request.topic ?? {};
    const base = topicProto(state.getTopic(changes.name ?? ''));
    const config = state.updateTopic(topicConfig(masked(base, changes, request.updateMask?.paths)));
    await journalDurable();
    return topicProto(config);
  });
  unary(face, 'GetTopic', proto.GetTopicRequest, proto.Topic, ({ topic }) =>
    topicProto(state.getTopic(topic)),
  );
  unary(face, 'ListTopics', proto.ListTopicsRequest, proto.ListTopicsResponse, (request) => {
    const { items, nextPageToken } = page(state.listTopics(request.project), request);
    return { topics: items.map(topicProto), nextPageToken };
  });
  unary(
    face,
    'ListTopicSubscriptions',
    proto.ListTopicSubscriptionsRequest,
    proto.ListTopicSubscriptionsResponse,
    (request) => {
      const all = names(state.listTopicSubscriptions(request.topic));
      const { items, nextPageToken } = page(all, request);
      return { subscriptions: items.map(({ name }) => name), nextPageToken };
    },
  );
  unary(face, 'DeleteTopic', proto.DeleteTopicRequest, Empty, async ({ topic }) => {
    state.deleteTopic(topic);
    await journalDurable();
    return {};
  });
  unary(face, 'Publish', proto.PublishRequest, proto.PublishResponse, async (request) => {
    const messageIds = state.publish(request.topic, request.messages.map(messageOf));
    await messagesDurable();
    return { messageIds };
  });
  return face;
}

function subscriber(service: Service): Face {
  const { state, dispatcher, journalDurable, pullWaitMs } = service;
  const face: Face = { service: 'Subscriber', definition: {}, implementation: {} };
  unary(face, 'CreateSubscription', proto.Subscription, proto.Subscription, async (request) => {
    const config = state.createSubscription(subscriptionConfig(request));
    await journalDurable();
    return subscriptionProto(config);
  });
  unary(
    face,
    'UpdateSubscription',
    proto.UpdateSubscriptionRequest,
    proto.Subscription,
    async (request) => {
      const changes = request.subscription ?? {};
      const base = subscriptionProto(state.getSubscription(changes.name ?? ''));
      const config = state.updateSubscription(
        subscriptionConfig(masked(base, changes, request.updateMask?.paths)),
      );
      await journalDurable();
      return subscriptionProto(config);
    },
  );
  unary(
    face,
    'GetSubscription',
    proto.GetSubscriptionRequest,
    proto.Subscription,
    ({ subscription }) => subscriptionProto(state.getSubscription(subscription)),
  );
  unary(
    face,
    'ListSubscriptions',
    proto.ListSubscriptionsRequest,
    proto.ListSubscriptionsResponse,
    (request) => {
      const { items, nextPageToken } = page(state.listSubscriptions(request.project), request);
      return { subscriptions: items.map(subscriptionProto), nextPageToken };
    },
  );
  unary(
    face,
    'DeleteSubscription',
    proto.DeleteSubscriptionRequest,
    Empty,
    async ({ subscription }) => {
      state.deleteSubscription(subscription);
      await journalDurable();
      return {};
    },
  );
  unary(face, 'ModifyPushConfig', proto.ModifyPushConfigRequest, Empty, async (request) => {
    const { pushConfig: _, ...rest } = state.getSubscription(request.subscription);
    const pushConfig = pushConfigOf(request.pushConfig);
    state.updateSubscription({ ...rest, ...(pushConfig ? { pushConfig } : {}) });
    await journalDurable();
    return {};
  });
  unary(face, 'Acknowledge', proto.AcknowledgeRequest, Empty, ({ subscription, ackIds }) => {
    state.acknowledge(subscription, ackIds);
    dispatcher.wake(subscription);
    return {};
  });
  unary(face, 'ModifyAckDeadline', proto.ModifyAckDeadlineRequest, Empty, (request) => {
    state.modifyAckDeadline(request.subscription, request.ackIds, request.ackDeadlineSeconds);
    return {};
  });
  unary(face, 'Pull', proto.PullRequest, 'bytes', (request, call) => {
    if (!(request.maxMessages > 0)) throw invalid('max_messages must be positive.');
    return new Promise((resolve, reject) => {
      const waitMs = request.returnImmediately ? 0 : pullWaitMs;
      const { subscription, maxMessages } = request;
      const forget = dispatcher.pull(subscription, maxMessages, waitMs, resolve, reject);
      call.on('cancelled', forget);
    });
  });
  unary(face, 'Seek', proto.SeekRequest, proto.SeekResponse, async (request) => {
    if (!request.time) throw unsupported('Seek to a snapshot');
    state.seek(request.subscription, timestampMs(request.time));
    await journalDurable();
    return {};
  });
  face.definition['StreamingPull'] = {
    path: '/google.pubsub.v1.Subscriber/StreamingPull',
    requestStream: true,
    responseStream: true,
    requestSerialize: toBuffer,
    requestDeserialize: (bytes: Buffer) => proto.StreamingPullRequest.decode(bytes),
    responseSerialize: (bytes: Buffer) => bytes,
    responseDeserialize: toBuffer,
  };
  face.implementation['StreamingPull'] = (call: StreamingCall) => streamingPull(call, service);
  return face;
}

type StreamingCall = ServerDuplexStream<protos.google.pubsub.v1.StreamingPullRequest, Buffer>;

function streamingPull(call: StreamingCall, { state, dispatcher }: Service): void {
  let stream: Stream | undefined;
  const end = (): void => {
    if (stream) dispatcher.close(stream);
    stream = undefined;
  };
  const fail = (error: unknown): void => {
    end();
    call.emit('error', status(error));
  };
  const open = (request: protos.google.pubsub.v1.StreamingPullRequest): void => {
    const { subscription, streamAckDeadlineSeconds: seconds } = request;
    if (seconds < 10 || seconds > 600) throw invalid(`Invalid stream ack deadline: ${seconds}.`);
    const opened: Stream = {
      subscription,
      ackDeadlineSeconds: seconds,
      maxMessages: Math.max(0, Number(request.maxOutstandingMessages)),
      maxBytes: Math.max(0, Number(request.maxOutstandingBytes)),
      flow: { messages: 0, bytes: 0 },
      send: (response) => call.write(response),
      fail,
      full: false,
    };
    dispatcher.open(opened);
    stream = opened;
    call.on('drain', () => dispatcher.resume(opened));
  };
  call.on('data', (request: protos.google.pubsub.v1.StreamingPullRequest) => {
    try {
      if (!stream) {
        open(request);
        return;
      }
      const { subscription } = stream;
      if (request.ackIds.length > 0) state.acknowledge(subscription, request.ackIds);
      request.modifyDeadlineAckIds.forEach((ackId, i) => {
        state.modifyAckDeadline(subscription, [ackId], request.modifyDeadlineSeconds[i] ?? 0);
      });
      if (request.streamAckDeadlineSeconds > 0) {
        stream.ackDeadlineSeconds = request.streamAckDeadlineSeconds;
      }
      // The client takes any answer to its ping as a sign of life, and drops a silent stream.
      call.write(Buffer.alloc(0));
      dispatcher.wake(subscription);
    } catch (error) {
      fail(error);
    }
  });
  call.on('end', () => {
    end();
    call.end();
  });
  call.on('cancelled', end);
  call.on('error', end);
}

/** Adds both services to a server. */
export function addServices(server: Server, service: Service): void {
  for (const { definition, implementation } of [publisher(service), subscriber(service)]) {
    server.addService(definition as Parameters<Server['addService']>[0], implementation);
  }
}
