/**
 * A client that pulls, acknowledges, and does nothing else, with the official library:
 *
 *   node bench/parts/null_client.ts ENDPOINT PROJECT SUBSCRIPTION EVENTS stream|unary
 *
 * `stream` is the library's subscriber as its manual shows it; `unary` its generated client, one
 * pull after the other on a few lanes. Prints `{}` when it begins and its figures when it ends.
 */
import { PubSub, v1 } from '@google-cloud/pubsub';
import { credentials } from '@grpc/grpc-js';

const LANES = 6;

const [endpoint = '', project = '', name = '', wanted = '0', how = 'stream'] =
  process.argv.slice(2);
const events = Number(wanted);
const [host = '', port = ''] = endpoint.split(':');
process.stdout.write('{}\n');

const began = performance.now();
const before = process.cpuUsage();
await (how === 'stream' ? stream() : unary());
const { user, system } = process.cpuUsage(before);
const seconds = (performance.now() - began) / 1_000;
const figures = {
  events,
  seconds,
  cpu: (user + system) / 1e6,
  peak: process.resourceUsage().maxRSS * 1_024,
};
process.stdout.write(`${JSON.stringify(figures)}\n`, () => process.exit(0));

async function stream(): Promise<void> {
  const client = new PubSub({ apiEndpoint: endpoint, projectId: project });
  const subscription = client.subscription(name, { flowControl: { maxMessages: 20_000 } });
  let taken = 0;
  await new Promise<void>((resolve, reject) => {
    subscription.on('error', reject);
    subscription.on('message', (message) => {
      message.ack();
      taken += 1;
      if (taken === events) resolve();
    });
  });
  await subscription.close();
}

async function unary(): Promise<void> {
  const client = new v1.SubscriberClient({
    apiEndpoint: host,
    port: Number(port),
    sslCreds: credentials.createInsecure(),
    projectId: project,
  });
  const subscription = `projects/${project}/subscriptions/${name}`;
  let taken = 0;
  const lane = async (): Promise<void> => {
    while (taken < events) {
      const [{ receivedMessages }] = await client.pull({ subscription, maxMessages: 1_000 });
      const ackIds = (receivedMessages ?? []).map(({ ackId }) => ackId ?? '');
      if (ackIds.length === 0) continue;
      taken += ackIds.length;
      await client.acknowledge({ subscription, ackIds });
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
}
