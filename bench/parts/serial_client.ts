/**
 * What most connectors do: one page after another, each asked for when the one before is stored.
 *
 *   node bench/parts/serial_client.ts URL EVENTS FILE
 *
 * It waits for nothing but the answers: at half a second each it never meets the rate limit.
 */

import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { finished } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { inRoot } from '../../scripts/place.ts';
import { peakMemory } from './deployed_function.ts';
import { startProgram } from './program.ts';

interface SerialPull {
  readonly events: number;
  readonly requests: number;
  readonly seconds: number;
  /** Bytes. */
  readonly peak: number;
  /** Processor seconds. */
  readonly cpu: number;
}

/** Runs it in a process of its own. */
export async function serialPull(of: {
  readonly baseUrl: string;
  readonly events: number;
  readonly file: string;
}): Promise<SerialPull> {
  const words = [of.baseUrl, String(of.events), of.file];
  const { said, close } = await startProgram(inRoot('bench/parts/serial_client.ts'), words);
  await close();
  return said as unknown as SerialPull;
}

async function pull(baseUrl: string, wanted: number, file: string): Promise<SerialPull> {
  const gzip = createGzip({ level: 1 });
  const written = finished(gzip.pipe(createWriteStream(file)));
  const began = performance.now();
  let events = 0;
  let requests = 0;
  let offset: string | undefined;
  while (events < wanted) {
    const query = new URLSearchParams({ limit: '1000', ...(offset && { offset }) });
    const answer = await fetch(`${baseUrl}/email/public/v1/events?${query}`, {
      headers: { authorization: 'Bearer bench-token' },
    });
    if (!answer.ok) throw new Error(`${answer.status}: ${await answer.text()}`);
    const body = await answer.text();
    const page = JSON.parse(body) as {
      readonly events: readonly unknown[];
      readonly hasMore: boolean;
      readonly offset: string;
    };
    requests += 1;
    events += page.events.length;
    if (!gzip.write(`${body}\n`)) await once(gzip, 'drain');
    if (!page.hasMore) break;
    offset = page.offset;
  }
  gzip.end();
  await written;
  const seconds = (performance.now() - began) / 1_000;
  const { user, system } = process.cpuUsage();
  const cpu = (user + system) / 1e6;
  return { events, requests, seconds, cpu, peak: peakMemory(process.pid) };
}

if (import.meta.main) {
  const [url = '', events = '', file = ''] = process.argv.slice(2);
  process.stdout.write(`${JSON.stringify(await pull(url, Number(events), file))}\n`);
}
