/**
 * The REST face: publish, pull, acknowledge and modifyAckDeadline in JSON, for functions that must
 * not pay gRPC's start. Same rules as over gRPC; bodies in the API's camel case.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { invalid, notFound, PubsubError, STATUS } from './errors.ts';
import type { Message } from './messages.ts';
import type { Service } from './service.ts';
import { proto, timestampMs } from './wire.ts';

const MAX_BODY = 15 << 20;
const ROUTE = /^\/v1\/(projects\/[^/]+\/(topics|subscriptions)\/[^/:]+)(?::(\w+))?$/;

type Json = Readonly<Record<string, unknown>>;

async function readBody(request: IncomingMessage): Promise<Json> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > MAX_BODY) throw invalid('Request payload size exceeds the limit.');
    parts.push(part);
  }
  if (size === 0) return {};
  let body: unknown;
  try {
    body = JSON.parse(Buffer.concat(parts).toString());
  } catch {
    throw invalid('Invalid JSON payload received.');
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw invalid('Invalid JSON payload received: not an object.');
  }
  return body as Json;
}

function list(body: Json, name: string): readonly unknown[] {
  const value = body[name];
  if (!Array.isArray(value)) throw invalid(`Invalid value for ${name}: not a list.`);
  return value;
}

function messageOf(value: unknown): Message {
  const { data, attributes, orderingKey } = (value ?? {}) as Json;
  return {
    data: typeof data === 'string' ? Buffer.from(data, 'base64') : Buffer.alloc(0),
    attributes: Object.fromEntries(
      Object.entries((attributes ?? {}) as Json).map(([key, text]) => [key, String(text)]),
    ),
    orderingKey: typeof orderingKey === 'string' ? orderingKey : '',
  };
}

/** A pull's answer from its protobuf bytes. */
function receivedMessages(bytes: Buffer): Json {
  const { receivedMessages: received } = proto.PullResponse.decode(bytes);
  if (received.length === 0) return {};
  return {
    receivedMessages: received.map(({ ackId, message, deliveryAttempt }) => {
      const { data, attributes, orderingKey, messageId, publishTime } = message ?? {};
      return {
        ackId,
        message: {
          ...(data?.length ? { data: Buffer.from(data as Uint8Array).toString('base64') } : {}),
          ...(attributes && Object.keys(attributes).length > 0 ? { attributes } : {}),
          messageId,
          publishTime: publishTime ? new Date(timestampMs(publishTime)).toISOString() : undefined,
          ...(orderingKey ? { orderingKey } : {}),
        },
        ...(deliveryAttempt ? { deliveryAttempt } : {}),
      };
    }),
  };
}

function pathOf(url: string): string {
  try {
    return decodeURIComponent(url.split('?')[0] ?? '/');
  } catch {
    throw invalid(`Invalid URL: ${url}`);
  }
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  service: Service,
): Promise<Json> {
  const { state, dispatcher } = service;
  const path = pathOf(request.url ?? '/');
  const [, name = '', kind, verb] = ROUTE.exec(path) ?? [];
  const call = `${request.method} ${kind}${verb === undefined ? '' : `:${verb}`}`;
  switch (call) {
    case 'GET topics':
      return { ...state.getTopic(name) };
    case 'GET subscriptions':
      return { ...state.getSubscription(name) };
    case 'POST topics:publish': {
      const messages = list(await readBody(request), 'messages').map(messageOf);
      const messageIds = state.publish(name, messages);
      await service.messagesDurable();
      return { messageIds };
    }
    case 'POST subscriptions:pull': {
      const body = await readBody(request);
      const max = Number(body['maxMessages'] ?? 0);
      if (!(max > 0)) throw invalid('max_messages must be positive.');
      const waitMs = body['returnImmediately'] === true ? 0 : service.pullWaitMs;
      return new Promise((resolve, reject) => {
        const forget = dispatcher.pull(
          name,
          max,
          waitMs,
          (bytes) => resolve(receivedMessages(bytes)),
          reject,
        );
        response.on('close', forget);
      });
    }
    case 'POST subscriptions:acknowledge':
      state.acknowledge(name, list(await readBody(request), 'ackIds').map(String));
      dispatcher.wake(name);
      return {};
    case 'POST subscriptions:modifyAckDeadline': {
      const body = await readBody(request);
      const seconds = Number(body['ackDeadlineSeconds'] ?? 0);
      state.modifyAckDeadline(name, list(body, 'ackIds').map(String), seconds);
      return {};
    }
    default:
      throw notFound(path);
  }
}

function send(response: ServerResponse, status: number, body: Json): void {
  const bytes = Buffer.from(JSON.stringify(body));
  response
    .writeHead(status, {
      'content-type': 'application/json; charset=UTF-8',
      'content-length': bytes.length,
    })
    .end(bytes);
}

export function handleRest(
  request: IncomingMessage,
  response: ServerResponse,
  service: Service,
): void {
  answer(request, response, service).then(
    (body) => send(response, 200, body),
    (error: unknown) => {
      request.resume();
      if (response.destroyed) return;
      const known = error instanceof PubsubError ? error : undefined;
      const text = error instanceof Error ? error.message : String(error);
      const status = known?.status ?? 'INTERNAL';
      const code = STATUS[status].http;
      send(response, code, { error: { code, message: text, status } });
    },
  );
}
