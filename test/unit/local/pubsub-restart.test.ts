import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startPubsub } from '../../../local/pubsub/server.ts';

const TOPIC = 'projects/p/topics/events';
const SUB = 'projects/p/subscriptions/events-sub';
const DEAD = 'projects/p/topics/dead';
const MODULE = new URL('../../../local/pubsub/server.ts', import.meta.url).href;
const PROGRAM = `
  const { startPubsub } = await import(${JSON.stringify(MODULE)});
  const server = await startPubsub({ root: process.argv[1], pullWaitMs: 100 });
  server.state.declareTopic({ name: '${TOPIC}' });
  server.state.declareSubscription({ name: '${SUB}', topic: '${TOPIC}', ackDeadlineSeconds: 60 });
  await server.durable();
  console.log(server.restUrl);
`;

let root: string;
const children: ChildProcess[] = [];

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'pubsub-restart-'));
});

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(root, { recursive: true, force: true });
});

async function startChild(): Promise<{ child: ChildProcess; url: string }> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', PROGRAM, root], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  const [line] = (await once(child.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
  return { child, url: line.toString().trim() };
}

async function post(url: string, body: unknown): Promise<Record<string, unknown>> {
  const response = await fetch(url, { method: 'POST', body: JSON.stringify(body) });
  expect(response.status).toBe(200);
  return (await response.json()) as Record<string, unknown>;
}

interface Pulled {
  readonly receivedMessages?: readonly {
    ackId: string;
    message: { messageId: string; data: string };
  }[];
}

test('after kill -9 exactly the unacknowledged messages come again, under new numbers', async () => {
  const { child, url } = await startChild();
  const messages = Array.from({ length: 30 }, (_, i) => ({
    data: Buffer.from(`m${i}`).toString('base64'),
  }));
  const { messageIds } = await post(`${url}/v1/${TOPIC}:publish`, { messages });
  const pulled = (await post(`${url}/v1/${SUB}:pull`, { maxMessages: 20 })) as Pulled;
  const ackIds = (pulled.receivedMessages ?? []).slice(0, 10).map(({ ackId }) => ackId);
  await post(`${url}/v1/${SUB}:acknowledge`, { ackIds });
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;

  const again = await startChild();
  const rest: string[] = [];
  for (;;) {
    const page = (await post(`${again.url}/v1/${SUB}:pull`, { maxMessages: 1000 })) as Pulled;
    if (!page.receivedMessages) break;
    rest.push(...page.receivedMessages.map(({ message }) => atob(message.data)));
  }
  expect(rest.sort()).toEqual(Array.from({ length: 20 }, (_, i) => `m${i + 10}`).sort());
  const later = await post(`${again.url}/v1/${TOPIC}:publish`, { messages: messages.slice(0, 1) });
  expect(messageIds).not.toContain((later['messageIds'] as string[])[0]);
});

test('segments of acknowledged messages are deleted, failures and seeks survive a restart', async () => {
  const deadLetterPolicy = { deadLetterTopic: DEAD, maxDeliveryAttempts: 5 };
  const open = () => startPubsub({ root, pullWaitMs: 0, log: () => undefined });
  let server = await open();
  server.state.declareTopic({ name: TOPIC });
  server.state.declareTopic({ name: DEAD });
  server.state.declareSubscription({ name: SUB, topic: TOPIC, deadLetterPolicy });
  const data = Buffer.alloc(1 << 20, 'x');
  for (let i = 0; i < 70; i++) {
    server.state.publish(TOPIC, [{ data, attributes: { i: String(i) }, orderingKey: '' }]);
  }
  const files = (): string[] => readdirSync(join(root, 'messages'));
  expect(files()).toHaveLength(2);
  for (let taken = 0; taken < 69; ) {
    const messages = server.state.pull(SUB, 69 - taken);
    taken += messages.length;
    server.state.acknowledge(
      SUB,
      messages.map(({ ackId }) => ackId),
    );
  }
  expect(files()).toHaveLength(1);
  const [last] = server.state.pull(SUB, 1);
  server.state.modifyAckDeadline(SUB, [last?.ackId as string], 0);
  await server.close();

  server = await open();
  const [back] = server.state.pull(SUB, 10);
  expect(back).toMatchObject({ deliveryAttempt: 2, message: { attributes: { i: '69' } } });
  expect(back?.message.data.length).toBe(data.length);
  server.state.seek(SUB, Date.now() + 1000);
  await server.close();

  server = await open();
  expect(server.state.pull(SUB, 10)).toEqual([]);
  expect(files()).toHaveLength(0);
  await server.close();
});
