/** The local cloud on a small stack: the real servers, the real framework, no Spark. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { storageObjects } from '../../../functions/clients/objects.ts';
import { pubsubQueue } from '../../../functions/clients/queue.ts';
import { managedSecrets } from '../../../functions/clients/secrets.ts';
import { type Cloud, type CloudEndpoints, startCloud } from '../../../local/cloud.ts';
import type { Drivers } from '../../../local/dataproc/drivers.ts';
import { processIdentity } from '../../../local/process_identity.ts';
import { type Resources, smallStack, writeStack } from './small_stack.ts';

interface Seen {
  readonly status: number;
  readonly text: string;
  readonly attempt: number | null;
  readonly object: string | null;
  readonly environment: readonly string[];
  readonly buckets: string;
  readonly endpoints: string;
}

const noSpark: Drivers = {
  start: () => ({ ended: Promise.resolve({ exitCode: 0, message: '' }), stop: () => {} }),
  ready: async () => {},
  close: async () => {},
};

let folder: string;
let data: string;
let cloud: Cloud | undefined;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'cloud-'));
});
afterEach(async () => {
  await cloud?.close();
  cloud = undefined;
  rmSync(data, { recursive: true, force: true });
});
afterAll(() => rmSync(folder, { recursive: true }));

async function start(change?: (resources: Resources) => void): Promise<Cloud> {
  data = join(folder, 'data');
  const resources = smallStack();
  change?.(resources);
  cloud = await startCloud({
    stack: writeStack(join(folder, 'stack'), resources),
    data,
    spark: { python: 'none', jars: [] },
    drivers: noSpark,
    quietSchedules: true,
    hubspot: { url: 'http://127.0.0.1:9' },
    environment: { HUBSPOT_TOKEN: 'pat-1' },
  });
  return cloud;
}

const seen = (): readonly Seen[] => {
  const file = join(data, 'seen.ndjson');
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').trim().split('\n');
  return lines.map((line) => JSON.parse(line) as Seen);
};
const texts = (): readonly string[] => seen().map(({ text }) => text);

const put = (endpoints: CloudEndpoints, name: string) =>
  storageObjects({ project: 'p', endpoint: endpoints.storage }).write(
    'p-control',
    name,
    Buffer.from('{}'),
    { ifGeneration: '0', contentType: 'application/json' },
  );
const publish = (endpoints: CloudEndpoints, text: string) =>
  pubsubQueue({ project: 'p', endpoint: endpoints.pubsub }).publish('runs', {
    data: Buffer.from(text),
  });

describe('the local cloud', () => {
  it('carries an object to the function that is told of it, and nothing else', async () => {
    const { endpoints } = await start();
    await put(endpoints, 'ledgers/email.json');
    await put(endpoints, 'runs/email/contacts/1.json');
    await expect
      .poll(() => seen().map(({ object }) => object))
      .toEqual(['runs/email/contacts/1.json']);
  });

  it('gives a function what the stack declares, the endpoints, and nothing of ours', async () => {
    const { endpoints } = await start();
    await publish(endpoints, 'hello');
    await expect.poll(texts).toEqual(['hello']);
    const [one] = seen();
    expect(one?.environment.filter((name) => name.startsWith('TRIBUTARY_'))).toEqual([
      'TRIBUTARY_ENDPOINTS',
      'TRIBUTARY_ENVIRONMENT',
    ]);
    expect(one?.environment).not.toContain('HOME');
    expect(one?.buckets).toContain('gs://p-control/x');
    expect(Object.keys(JSON.parse(one?.endpoints ?? '{}')).sort()).toEqual([
      'bigquery',
      'dataproc',
      'pubsub',
      'pubsub_grpc',
      'secrets',
      'storage',
    ]);
  });

  it('starts a function again that ends, and delivers again what it did not answer', async () => {
    const { endpoints, functionPid } = await start();
    const before = functionPid('echo');
    process.kill(before ?? 0, 'SIGKILL');
    await publish(endpoints, 'after the kill');
    await expect.poll(texts, { timeout: 15_000 }).toEqual(['after the kill']);
    expect(functionPid('echo')).not.toBe(before);
  });

  it('puts among the dead letters what fails five times', async () => {
    const { endpoints, pubsub } = await start();
    await publish(endpoints, 'fail');
    const dead = 'projects/p/subscriptions/echo--runs--dead';
    await expect.poll(() => pubsub.state.backlog(dead).unacknowledged, { timeout: 15_000 }).toBe(1);
    expect(seen().length).toBeGreaterThanOrEqual(5);
  });

  it('keeps delivering without the grant that dead letters need', async () => {
    const { endpoints, pubsub } = await start((resources) => {
      delete resources['google_pubsub_subscription_iam_member'];
    });
    await publish(endpoints, 'fail');
    await expect.poll(() => seen().length, { timeout: 15_000 }).toBeGreaterThan(7);
    const dead = 'projects/p/subscriptions/echo--runs--dead';
    expect(pubsub.state.backlog(dead).unacknowledged).toBe(0);
  });

  it('lets nothing reach a function that its caller may not call', async () => {
    const { endpoints, pubsub } = await start((resources) => {
      delete resources['google_cloud_run_v2_service_iam_member'];
    });
    await publish(endpoints, 'hello');
    const dead = 'projects/p/subscriptions/echo--runs--dead';
    await expect.poll(() => pubsub.state.backlog(dead).unacknowledged, { timeout: 15_000 }).toBe(1);
    expect(seen()).toEqual([]);
    const direct = await fetch(endpoints.functions['echo'] ?? '', { method: 'POST', body: '{}' });
    expect(direct.status).toBe(403);
  });

  it('serves secrets, schedules and the count of waiting messages', async () => {
    const { endpoints } = await start();
    const secrets = managedSecrets({ project: 'p', endpoint: endpoints.secrets });
    expect(await secrets.read('hubspot-token')).toBe('pat-1');
    await expect(secrets.read('unknown')).rejects.toThrow('projects/p/secrets/unknown] not found');
    expect(statSync(join(data, 'secrets.json')).mode & 0o777).toBe(0o600);
    const jobs = `${endpoints.scheduler}/v1/projects/p/locations/europe-west1/jobs`;
    const listed = (await (await fetch(jobs)).json()) as { jobs: { name: string }[] };
    expect(listed.jobs.map(({ name }) => name.split('/').at(-1))).toEqual(['tick']);
    const fired = await fetch(`${jobs}/tick:run`, { method: 'POST' });
    expect(fired.status).toBe(200);
    await expect.poll(texts).toEqual(['{"tick":true}']);
    expect((await fetch(`${jobs}/none:run`, { method: 'POST' })).status).toBe(404);
  });

  it('listens on this machine only', async () => {
    const { endpoints } = await start();
    const outside = Object.values(networkInterfaces())
      .flat()
      .find((one) => one?.family === 'IPv4' && !one.internal)?.address;
    if (outside === undefined) return;
    const { port } = new URL(endpoints.functions['echo'] ?? '');
    await expect(fetch(`http://${outside}:${port}`)).rejects.toThrow();
  });

  it('goes on where it stopped, and only once per folder', async () => {
    const first = await start();
    await expect(start()).rejects.toThrow(`a local cloud already runs on ${data}`);
    cloud = first;
    await put(first.endpoints, 'runs/1');
    await expect.poll(() => seen().length).toBe(1);
    await first.close();
    cloud = undefined;
    expect(existsSync(join(data, 'endpoints.json'))).toBe(false);
    const { endpoints } = await start();
    const objects = storageObjects({ project: 'p', endpoint: endpoints.storage });
    expect((await objects.list('p-control', '')).map(({ name }) => name)).toEqual(['runs/1']);
    expect((await put(endpoints, 'runs/1')).outcome).toBe('refused');
  });

  // Three starts of a cloud: seconds each, and more on a machine with other work.
  it('survives kill -9 with a message on its way', { timeout: 60_000 }, async () => {
    data = join(folder, 'data');
    const stack = writeStack(join(folder, 'stack'), smallStack());
    const program = `
      import { startCloud } from ${JSON.stringify(join(import.meta.dirname, '../../../local/cloud.ts'))};
      const cloud = await startCloud({
        stack: ${JSON.stringify(stack)}, data: ${JSON.stringify(data)}, quietSchedules: true,
        spark: { python: 'none', jars: [] }, hubspot: { url: 'http://127.0.0.1:9' },
        drivers: { start: () => ({ ended: new Promise(() => {}), stop: () => {} }),
          ready: async () => {}, close: async () => {} },
      });
      console.log(JSON.stringify({ endpoints: cloud.endpoints, pid: cloud.functionPid('echo') }));`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
    const { endpoints, pid } = JSON.parse(line) as { endpoints: CloudEndpoints; pid: number };
    await expect(start()).rejects.toThrow(`a local cloud already runs on ${data}`);
    // The function takes no messages now: what is answered from here on is only on the disk.
    process.kill(pid, 'SIGSTOP');
    onTestFinished(() => {
      if (processIdentity(pid) !== null) process.kill(pid, 'SIGCONT');
    });
    await put(endpoints, 'runs/1');
    child.kill('SIGKILL');
    await once(child, 'exit');
    process.kill(pid, 'SIGCONT');
    // It does not outlive its cloud.
    await expect.poll(() => processIdentity(pid)).toBeNull();
    const before = seen().length;
    await start();
    // At least once: a notification may have been published before its cloud could note it down.
    await expect.poll(() => seen().length, { timeout: 15_000 }).toBeGreaterThan(before);
    expect(new Set(seen().map(({ object }) => object))).toEqual(new Set(['runs/1']));
  });

  it('lets go of everything when the stack holds what it does not know', async () => {
    const unknown = (resources: Resources): void => {
      resources['google_redis_instance'] = { cache: { name: 'cache' } };
    };
    const servers = (): number =>
      process.getActiveResourcesInfo().filter((kind) => kind === 'TCPServerWrap').length;
    const before = servers();
    await expect(start(unknown)).rejects.toThrow('google_redis_instance.cache');
    await expect.poll(servers).toBeLessThanOrEqual(before);
    // And the folder is free for the next start.
    await start();
  });

  it('does not start on a folder of something else', async () => {
    data = join(folder, 'data');
    const options = {
      stack: writeStack(join(folder, 'stack'), smallStack()),
      data: join(folder, 'stack'),
      fresh: true,
      spark: { python: 'none', jars: [] },
      drivers: noSpark,
    };
    await expect(startCloud(options)).rejects.toThrow('holds files that are no local cloud');
    expect(existsSync(options.stack)).toBe(true);
  });
});
