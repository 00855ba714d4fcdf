import { beforeEach, expect, test } from 'vitest';
import type { Grant, SubscriptionConfig } from '../../../local/pubsub/config.ts';
import { compileFilter } from '../../../local/pubsub/filter.ts';
import { MemoryMessages } from '../../../local/pubsub/messages.ts';
import { packNumbers, unpackNumbers } from '../../../local/pubsub/queue.ts';
import { PubsubState } from '../../../local/pubsub/state.ts';

const TOPIC = 'projects/p/topics/events';
const DEAD = 'projects/p/topics/events-dead';
const SUB = 'projects/p/subscriptions/events-sub';
const DEAD_SUB = 'projects/p/subscriptions/dead-sub';
const GRANTS: readonly Grant[] = [
  { role: 'roles/pubsub.publisher', resource: DEAD },
  { role: 'roles/pubsub.subscriber', resource: SUB },
];

/** A name, so that a failing case does not print ten megabytes. */
const BIG = 'ten megabytes and a byte';

let now: number;
let state: PubsubState;

function start(config: Partial<SubscriptionConfig> = {}, grants: readonly Grant[] = GRANTS): void {
  now = 1_700_000_000_000;
  state = new PubsubState({ clock: { now: () => now }, messages: new MemoryMessages(), grants });
  state.declareTopic({ name: TOPIC });
  state.declareTopic({ name: DEAD });
  state.declareSubscription({ name: SUB, topic: TOPIC, ...config });
  state.declareSubscription({ name: DEAD_SUB, topic: DEAD });
}

const publish = (text: string, orderingKey = '', attributes: Record<string, string> = {}): string =>
  state.publish(TOPIC, [{ data: Buffer.from(text), attributes, orderingKey }])[0] as string;

const texts = (name = SUB, max = 100): string[] =>
  state.pull(name, max).map(({ message }) => Buffer.from(message.data).toString());

/** Moves the clock to the next moment at which something is due. */
function toNext(): void {
  const at = state.nextDueAt();
  if (at === undefined) throw new Error('nothing is due');
  now = at;
  state.advance();
}

const push = { pushEndpoint: 'http://fn/', oidcToken: { serviceAccountEmail: 'a@b' } };

beforeEach(() => start());

test('a lease that runs out brings the message back, a late acknowledgement settles it', () => {
  publish('x');
  const [first] = state.pull(SUB, 1);
  expect(texts()).toEqual([]);
  toNext();
  expect(now).toBe(1_700_000_010_000);
  state.acknowledge(SUB, [first?.ackId as string]);
  expect(texts()).toEqual([]);
  expect(state.backlog(SUB)).toEqual({ unacknowledged: 0, out: 0 });
});

test('an extended lease lasts, a nacked message comes at once', () => {
  publish('x');
  const [first] = state.pull(SUB, 1);
  state.modifyAckDeadline(SUB, [first?.ackId as string], 60);
  now += 59_000;
  state.advance();
  expect(texts()).toEqual([]);
  state.modifyAckDeadline(SUB, [first?.ackId as string], 0);
  expect(texts()).toEqual(['x']);
});

test('a nack of an old delivery does not take the message from its new holder', () => {
  publish('x');
  const [old] = state.pull(SUB, 1);
  toNext();
  expect(texts()).toEqual(['x']);
  state.modifyAckDeadline(SUB, [old?.ackId as string], 0);
  expect(texts()).toEqual([]);
});

test('backoff doubles between the policy bounds', () => {
  start({ retryPolicy: { minimumBackoffSeconds: 10, maximumBackoffSeconds: 30 } });
  publish('x');
  const waits: number[] = [];
  for (let i = 0; i < 4; i++) {
    const [message] = state.pull(SUB, 1);
    state.modifyAckDeadline(SUB, [message?.ackId as string], 0);
    const before = now;
    toNext();
    waits.push(now - before);
  }
  expect(waits).toEqual([10_000, 20_000, 30_000, 30_000]);
});

function failUntilGone(max: number): number {
  for (let attempt = 1; attempt <= max; attempt++) {
    const [message] = state.pull(SUB, 1);
    if (!message) return attempt - 1;
    expect(message.deliveryAttempt).toBe(attempt);
    state.modifyAckDeadline(SUB, [message.ackId], 0);
  }
  return max;
}

test('after maxDeliveryAttempts a message moves to the dead-letter topic with its history', () => {
  start({ deadLetterPolicy: { deadLetterTopic: DEAD, maxDeliveryAttempts: 6 } });
  publish('poison', '', { kind: 'a' });
  expect(failUntilGone(20)).toBe(6);
  const [dead] = state.pull(DEAD_SUB, 1);
  expect(Buffer.from(dead?.message.data ?? []).toString()).toBe('poison');
  expect(dead?.message.attributes).toEqual({
    kind: 'a',
    CloudPubSubDeadLetterSourceDeliveryCount: '6',
    CloudPubSubDeadLetterSourceSubscription: 'events-sub',
    CloudPubSubDeadLetterSourceSubscriptionProject: 'p',
    CloudPubSubDeadLetterSourceTopicPublishTime: '2023-11-14T22:13:20.000Z',
  });
  expect(state.backlog(SUB).unacknowledged).toBe(0);
});

test.each([0, 1])('without grant %i nothing is dead-lettered, delivery goes on', (missing) => {
  const grants = GRANTS.filter((_, i) => i !== missing);
  start({ deadLetterPolicy: { deadLetterTopic: DEAD } }, grants);
  publish('poison');
  expect(failUntilGone(12)).toBe(12);
  expect(texts(DEAD_SUB)).toEqual([]);
});

test('a push is leased, refused and pushed again after a growing pause', () => {
  start({ pushConfig: push });
  const id = publish('x');
  const [delivery] = state.takePushes();
  expect(delivery).toMatchObject({
    oidc: { email: 'a@b', audience: 'http://fn/' },
    timeoutMs: 10_000,
  });
  expect(JSON.parse(delivery?.body ?? '')).toEqual({
    message: {
      data: 'eA==',
      messageId: id,
      message_id: id,
      publishTime: '2023-11-14T22:13:20.000Z',
      publish_time: '2023-11-14T22:13:20.000Z',
    },
    subscription: SUB,
  });
  const starts: number[] = [];
  let out = delivery;
  for (let i = 0; i < 3 && out; i++) {
    state.refuse(out);
    expect(state.takePushes()).toEqual([]);
    const before = now;
    toNext();
    starts.push(now - before);
    [out] = state.takePushes();
  }
  expect(starts).toEqual([100, 200, 400]);
  state.acknowledge(SUB, [out?.ackId as string]);
  expect(state.backlog(SUB).unacknowledged).toBe(0);
});

test('an endpoint that never answers loses its lease at the ack deadline', () => {
  start({ pushConfig: push, ackDeadlineSeconds: 20 });
  publish('x');
  expect(state.takePushes()).toHaveLength(1);
  toNext();
  expect(now).toBe(1_700_000_020_000);
  expect(state.takePushes()).toHaveLength(1);
});

test('a key keeps its order through a nack: later messages come back behind the first', () => {
  start({ enableMessageOrdering: true });
  for (const text of ['a1', 'b1', 'a2', 'a3']) publish(text, text[0]);
  const first = state.pull(SUB, 3);
  state.acknowledge(SUB, [first[1]?.ackId as string, first[2]?.ackId as string]);
  state.modifyAckDeadline(SUB, [first[0]?.ackId as string], 0);
  expect(texts()).toEqual(['a1', 'a3']);
});

test('an ordered push sends one message of a key at a time', () => {
  start({ enableMessageOrdering: true, pushConfig: push });
  for (const text of ['a1', 'a2', 'b1', 'a3']) publish(text, text[0]);
  const order: string[] = [];
  for (let out = state.takePushes(); out.length > 0; out = state.takePushes()) {
    for (const { body, ackId } of out) {
      const { message } = JSON.parse(body) as { message: { data: string } };
      order.push(Buffer.from(message.data, 'base64').toString());
      state.acknowledge(SUB, [ackId]);
    }
  }
  expect(order).toEqual(['a1', 'b1', 'a2', 'a3']);
});

test('an ordered message that does not fit into an answer stays in front of its key', () => {
  start({ enableMessageOrdering: true });
  for (const text of ['a1', 'a2', 'a3']) publish(text, 'a');
  const numbers: number[] = [];
  for (let i = 0; i < 3; i++) {
    for (const { number } of state.lease(SUB, { maxMessages: 2, maxBytes: 2 }))
      numbers.push(number);
  }
  expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
  expect(numbers).toHaveLength(3);
});

test.each([
  ['attributes.a = "1"', true],
  ['attributes.a != "1"', false],
  ['attributes:b', false],
  ['NOT attributes:b AND attributes:a', true],
  ['-attributes:a OR hasPrefix(attributes.c, "xy")', true],
  ['(attributes:b OR attributes:a) AND attributes."c" = "xyz"', true],
])('filter %s', (filter, matches) => {
  expect(compileFilter(filter)({ a: '1', c: 'xyz' })).toBe(matches);
});

test.each([
  'attributes.a',
  'attributes:a AND attributes:b OR attributes:c',
  'data = "x"',
  'attributes.a = 1',
  `attributes.a = "${'x'.repeat(256)}"`,
  '',
])('filter %s is refused', (filter) => {
  expect(() => compileFilter(filter)).toThrow(/filter/i);
});

test('messages that do not match a filter are never kept', () => {
  start({ filter: 'attributes.type = "run"' });
  publish('no', '', { type: 'other' });
  publish('yes', '', { type: 'run' });
  expect(state.backlog(SUB).unacknowledged).toBe(1);
  expect(texts()).toEqual(['yes']);
});

test('retention drops what nobody acknowledged, an idle subscription expires', () => {
  start({ messageRetentionSeconds: 600, expirationSeconds: 86_400 });
  publish('old');
  now += 600_000;
  state.advance();
  publish('new');
  expect(texts()).toEqual(['new']);
  now += 86_400_000;
  state.advance();
  expect(() => state.pull(SUB, 1)).toThrow(/not found/);
});

test('seek brings back what is kept and forgets deliveries before it', () => {
  start({ retainAckedMessages: true });
  publish('a');
  const [a] = state.pull(SUB, 1);
  state.acknowledge(SUB, [a?.ackId as string]);
  now += 1000;
  const middle = now;
  publish('b');
  const [b] = state.pull(SUB, 1);
  state.seek(SUB, middle - 5000);
  state.acknowledge(SUB, [b?.ackId as string]);
  expect(texts()).toEqual(['a', 'b']);
  state.seek(SUB, middle);
  expect(texts()).toEqual(['b']);
  state.seek(SUB, now + 1);
  expect(texts()).toEqual([]);
});

test('a topic that retains serves a seek of a subscription made later', () => {
  state.updateTopic({ name: TOPIC, messageRetentionSeconds: 600 });
  publish('early');
  const late = 'projects/p/subscriptions/late';
  state.createSubscription({ name: late, topic: TOPIC });
  expect(texts(late)).toEqual([]);
  state.seek(late, now - 1);
  expect(texts(late)).toEqual(['early']);
});

test.each([
  [{ data: '', attributes: {} }, /data or at least one attribute/],
  [{ data: 'x', attributes: { googclient: 'x' } }, /goog/],
  [{ data: 'x', attributes: { a: 'x'.repeat(1025) } }, /1024/],
  [{ data: BIG, attributes: {} }, /exceeds/],
])('a bad message is refused as INVALID_ARGUMENT (%#)', ({ data, attributes }, message) => {
  const bytes = data === BIG ? Buffer.alloc(10_000_001) : Buffer.from(data);
  const bad = { data: bytes, attributes: attributes as Record<string, string> };
  expect(() => state.publish(TOPIC, [{ ...bad, orderingKey: '' }])).toThrow(message);
  expect(texts()).toEqual([]);
});

test('a subscription is refused outside the limits, its filter cannot change', () => {
  const name = 'projects/p/subscriptions/other';
  const base = { name, topic: TOPIC };
  expect(() => state.createSubscription({ ...base, ackDeadlineSeconds: 5 })).toThrow(/ackDeadline/);
  const deadLetterPolicy = { deadLetterTopic: DEAD, maxDeliveryAttempts: 4 };
  expect(() => state.createSubscription({ ...base, deadLetterPolicy })).toThrow(/maxDelivery/);
  expect(() => state.createSubscription({ ...base, topic: 'projects/p/topics/none' })).toThrow(
    /not found/,
  );
  state.createSubscription({ ...base, filter: 'attributes:a' });
  expect(() => state.updateSubscription({ ...base, filter: 'attributes:b' })).toThrow(/filter/);
});

test('packed numbers come out as they went in', () => {
  const numbers = Float64Array.from([0, 1, 130, 131, 1_000_000, 9_007_199_254_740_000]);
  expect([...unpackNumbers(packNumbers(numbers))]).toEqual([...numbers]);
});
