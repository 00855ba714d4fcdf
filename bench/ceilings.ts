/**
 * Ceilings: what the local Pub/Sub and Storage can do at most, so that other benches can be read.
 * Storage is driven by a client that does nothing else, next to what the disk itself takes: the
 * same bytes written, synced and renamed, as many at once, in the same run. Pub/Sub is driven by
 * the official client, in a process of its own.
 *
 *   --messages N --small N --large N    default 100,000, 5,000, 500
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { PubSub } from '@google-cloud/pubsub';
import { credentials } from '@grpc/grpc-js';
import { type Report, rounded, runBench } from './parts/report.ts';
import { buckets, PROJECT, startServices } from './parts/services.ts';

/** Writes under way at once. */
const AT_ONCE = 16;
const MESSAGE_BYTES = 600;

const { values } = parseArgs({
  options: {
    messages: { type: 'string', default: '100000' },
    small: { type: 'string', default: '5000' },
    large: { type: 'string', default: '500' },
    json: { type: 'boolean', default: false },
  },
});

await runBench('ceilings', async (folder): Promise<Report> => {
  const services = await startServices(join(folder, 'services'));
  try {
    const small = await objects(folder, services.at.storage, 1 << 10, Number(values.small));
    const large = await objects(folder, services.at.storage, 1 << 20, Number(values.large));
    const messages = await pubsub(services.at.pubsubGrpc, Number(values.messages));
    return {
      rows: [
        { what: 'Storage: put of 1 KB', 'a second': rounded(small.stored) },
        { what: 'disk: write, fsync, rename of 1 KB', 'a second': rounded(small.raw) },
        { what: 'Storage: put of 1 MB', 'a second': rounded(large.stored) },
        { what: 'disk: write, fsync, rename of 1 MB', 'a second': rounded(large.raw) },
        { what: `Pub/Sub: publish of ${MESSAGE_BYTES} B`, 'a second': rounded(messages.published) },
        { what: 'Pub/Sub: pull and acknowledge', 'a second': rounded(messages.pulled) },
      ],
      ratios: [
        {
          about: 'puts of 1 KB : write, fsync, rename of the same',
          ratio: small.stored / small.raw,
          goal: '',
          met: true,
        },
        {
          about: 'puts of 1 MB : write, fsync, rename of the same',
          ratio: large.stored / large.raw,
          goal: '',
          met: true,
        },
        {
          about: 'messages pulled and acknowledged : published',
          ratio: messages.pulled / messages.published,
          goal: '',
          met: true,
        },
      ],
      data: { small, large, messages, at_once: AT_ONCE },
    };
  } finally {
    await services.close();
  }
});

/** Objects a second, alternately in five rounds, so that both meet the same machine. */
async function objects(
  folder: string,
  url: string,
  bytes: number,
  many: number,
): Promise<{ readonly stored: number; readonly raw: number }> {
  const body = randomBytes(bytes);
  const raw = join(folder, `raw-${bytes}`);
  mkdirSync(raw);
  const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });
  const seconds = { stored: 0, raw: 0 };
  const rounds = 5;
  const each = Math.max(AT_ONCE, Math.ceil(many / rounds));
  for (let round = -1; round < rounds; round += 1) {
    const stored = await timed(each, (i) => put(agent, url, `puts/${bytes}/${round}-${i}`, body));
    const written = await timed(each, (i) => writeSynced(join(raw, `${round}-${i}`), body));
    // The first round opens connections and files, and does not count.
    if (round < 0) continue;
    seconds.stored += stored;
    seconds.raw += written;
  }
  agent.destroy();
  return { stored: (each * rounds) / seconds.stored, raw: (each * rounds) / seconds.raw };
}

async function timed(many: number, act: (i: number) => Promise<void>): Promise<number> {
  const began = performance.now();
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < many) {
      next += 1;
      await act(next);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  return (performance.now() - began) / 1_000;
}

function put(agent: Agent, url: string, name: string, body: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const query = new URLSearchParams({ uploadType: 'media', name, ifGenerationMatch: '0' });
    const target = `${url}/upload/storage/v1/b/${buckets.bronze}/o?${query}`;
    const asked = request(
      target,
      { agent, method: 'POST', headers: { 'content-length': body.length } },
      (answer) => {
        answer.resume();
        answer.once('end', () => {
          if (answer.statusCode === 200) resolve();
          else reject(new Error(`Storage answered ${answer.statusCode}`));
        });
      },
    );
    asked.once('error', reject);
    asked.end(body);
  });
}

async function writeSynced(path: string, body: Buffer): Promise<void> {
  const file = await open(`${path}.new`, 'w');
  await file.write(body);
  await file.sync();
  await file.close();
  await rename(`${path}.new`, path);
}

async function pubsub(
  endpoint: string,
  many: number,
): Promise<{ readonly published: number; readonly pulled: number }> {
  const client = new PubSub({
    projectId: PROJECT,
    apiEndpoint: endpoint,
    sslCreds: credentials.createInsecure() as never,
  });
  const [topic] = await client.createTopic('ceiling');
  const [subscription] = await topic.createSubscription('ceiling');
  const data = randomBytes(MESSAGE_BYTES);
  const publisher = client.topic('ceiling', {
    batching: { maxMessages: 1_000, maxMilliseconds: 10 },
  });
  const published = await timed(AT_ONCE, async () => {
    // In portions: a promise for every message at once would measure the client's memory.
    let left = Math.ceil(many / AT_ONCE);
    while (left > 0) {
      const portion = Math.min(left, 500);
      left -= portion;
      await Promise.all(Array.from({ length: portion }, () => publisher.publishMessage({ data })));
    }
  });
  const sent = Math.ceil(many / AT_ONCE) * AT_ONCE;
  const began = performance.now();
  await new Promise<void>((resolve, reject) => {
    const seen = new Set<string>();
    subscription.setOptions({ flowControl: { maxMessages: 10_000 } });
    subscription.on('error', reject);
    subscription.on('message', (message) => {
      seen.add(message.id);
      message.ack();
      if (seen.size === sent) resolve();
    });
  });
  // Closing sends what is still to be acknowledged.
  await subscription.close();
  const pulled = (performance.now() - began) / 1_000;
  await client.close();
  return { published: sent / published, pulled: sent / pulled };
}
