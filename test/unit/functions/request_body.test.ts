/** Bodies are read while there is room and patience for them, over real connections. */
import { once } from 'node:events';
import { type ClientRequest, createServer, type IncomingMessage, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import {
  type Body,
  type BodyLimits,
  type NoBody,
  RequestBodies,
} from '../../../functions/request_body.ts';

const LIMITS: BodyLimits = {
  mostBytes: 1_000,
  mostHeldBytes: 2_500,
  mostHeldBytesOfOne: 1_500,
  withinMs: 60_000,
};

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

/** A server that reads bodies and keeps them until they are released. */
async function reading(limits: Partial<BodyLimits> = {}) {
  const bodies = new RequestBodies({ ...LIMITS, ...limits });
  const read: (Body | NoBody)[] = [];
  const server = createServer(async (asked: IncomingMessage, answer) => {
    const body = await bodies.read(asked, String(asked.headers['x-sender']));
    read.push(body);
    answer.end(typeof body === 'string' ? body : 'whole');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const begin = (sender: string): ClientRequest => {
    const headers = { 'x-sender': sender, 'transfer-encoding': 'chunked' };
    return request({ host: '127.0.0.1', port, method: 'POST', headers }).on('error', () => {});
  };
  const send = async (sender: string, bytes: number): Promise<string> => {
    const answer = once(begin(sender).end(Buffer.alloc(bytes, 'x')), 'response');
    const [response] = (await answer) as [IncomingMessage];
    let text = '';
    for await (const part of response) text += part;
    return text;
  };
  return { read, begin, send };
}

test('a body is whole, or too large', async () => {
  const { send, read } = await reading();
  expect(await send('a', 1_000)).toBe('whole');
  expect(await send('b', 1_001)).toBe('too_large');
  expect((read[0] as Body).bytes).toHaveLength(1_000);
});

test('one sender leaves room for the others, and gets room again', async () => {
  const { send, read } = await reading();
  expect(await send('a', 900)).toBe('whole');
  expect(await send('a', 900)).toBe('too_busy');
  expect(await send('b', 900)).toBe('whole');
  expect(await send('c', 900)).toBe('too_busy');
  (read[0] as Body).release();
  expect(await send('a', 900)).toBe('whole');
});

test('a sender that stalls holds nothing for long', async () => {
  const { send, begin } = await reading({ withinMs: 50 });
  const stalled = begin('a');
  stalled.write(Buffer.alloc(900));
  const [response] = (await once(stalled, 'response')) as [IncomingMessage];
  expect(String((await response.toArray())[0])).toBe('too_slow');
  expect(await send('a', 1_000)).toBe('whole');
});

test('a sender that goes away leaves nothing behind', async () => {
  const { read, send, begin } = await reading();
  const leaving = begin('a');
  leaving.write(Buffer.alloc(900), () => leaving.destroy());
  await expect.poll(() => read).toEqual(['gone']);
  expect(await send('a', 1_000)).toBe('whole');
});
