/** Pull with the real HTTP client against the stand-in at a port: what is in bronze afterwards. */
import { gunzipSync } from 'node:zlib';
import { afterEach, expect, test } from 'vitest';
import { readCheckpoint } from '../../../functions/checkpoint.ts';
import { wholeFetch } from '../../../functions/clients/fetch.ts';
import type { Config } from '../../../functions/config.ts';
import type { RunManifest } from '../../../functions/manifest.ts';
import { handle } from '../../../functions/pull.ts';
import type { World } from '../../../functions/world.ts';
import type { Fault } from '../../../local/outside/hubspot/faults.ts';
import { type RunningHubspot, startHubspot } from '../../../local/outside/hubspot/server.ts';
import { memoryObjects, UNTIL, virtualClock } from '../readers/virtual_world.ts';

const buckets = {
  bronze: 'bronze',
  control: 'control',
  lake: 'lake',
  rejected: 'rejected',
  inbox: 'inbox',
};
const SOURCE = 'email.email_events';

let running: RunningHubspot | undefined;
afterEach(async () => {
  await running?.close();
  running = undefined;
});

interface Line {
  readonly observed_at: string;
  readonly meta: Readonly<Record<string, unknown>>;
  readonly payload?: string;
  readonly payload_base64?: string;
}

/** One tick, and whatever it asks of itself; waits pass at once, the network is real. */
async function pull(faults: readonly Fault[]) {
  const clock = virtualClock(UNTIL);
  const hubspot = await startHubspot({ until: UNTIL, scale: 5_000, clock: clock.now, faults });
  running = hubspot;
  const objects = memoryObjects(clock);
  const asked: Record<string, unknown>[] = [{ source: SOURCE }];
  const logged: { severity: string; event: string; fields: unknown }[] = [];
  let ids = 0;
  const world = {
    clock,
    objects,
    fetch: wholeFetch,
    secrets: { read: async () => 'pat-na1-test' },
    random: { next: () => 0.5, id: () => String(++ids).padStart(16, '0') },
    queue: {
      publish: async (_topic: string, { data }: { data: Buffer }) =>
        void asked.push(JSON.parse(data.toString()) as Record<string, unknown>),
    },
    log: (severity: string, event: string, fields: unknown) =>
      void logged.push({ severity, event, fields }),
  } as unknown as World;
  const config: Config = {
    project: 'p',
    region: 'r',
    location: 'EU',
    environment: 'test',
    buckets,
    hubspot: { url: hubspot.url, secret: 'token', dailyShare: 0.9 },
    api: { url: '', secret: '' },
    database: { secret: '' },
    collect: null,
    spark: null,
    endpoints: {},
  };
  for (let slice = asked.shift(); slice !== undefined; slice = asked.shift()) {
    await handle({ data: slice, attributes: {} }, world, config);
  }
  const lines: Line[] = [];
  let records = 0;
  for (const name of objects.names().filter((one) => one.startsWith('control/runs/'))) {
    const found = await objects.read('control', name.replace('control/', ''));
    const manifest = JSON.parse(String(found?.bytes)) as RunManifest;
    records += manifest.records;
    for (const file of manifest.files) {
      const part = await objects.read('bronze', file.name);
      const text = gunzipSync(part?.bytes as Buffer).toString();
      for (const line of text.trimEnd().split('\n')) lines.push(JSON.parse(line) as Line);
    }
  }
  const raw = lines.filter(({ meta }) => meta['unreadable'] === true);
  const keys = lines
    .filter(({ meta }) => meta['unreadable'] !== true)
    .flatMap(({ payload = '' }) =>
      (JSON.parse(payload) as { events: { id: string; created: number }[] }).events.map(
        ({ id, created }) => `${created} ${id}`,
      ),
    );
  const checkpoint = await readCheckpoint(world, 'control', 'email', 'email_events');
  return { hubspot: hubspot.hubspot, raw, keys, records, checkpoint, logged };
}

/** Events of the month that a first run reads, until the index has settled. */
function visible({ hubspot }: RunningHubspot): ReadonlyMap<string, string> {
  const { events } = hubspot.seeded as NonNullable<typeof hubspot.seeded>;
  const found = new Map<string, string>();
  for (let i = 0; i < events.size; i += 1) {
    const created = events.created(i);
    if (created < UNTIL - 30 * 86_400_000 || created >= UNTIL - 5 * 60_000) continue;
    found.set(`${created} ${events.meta(i).id}`, events.meta(i).id);
  }
  return found;
}

/** The middle one of the month: known before the faults are, for the account is seeded. */
async function middleEvent(): Promise<{ readonly key: string; readonly id: string }> {
  const looked = await startHubspot({ until: UNTIL, scale: 5_000 });
  const all = [...visible(looked)];
  await looked.close();
  const [key = '', id = ''] = all[Math.floor(all.length / 2)] ?? [];
  return { key, id };
}

test.each(['garbled', 'cut', 'not_utf8'] as const)(
  'an event that always breaks its page (%s): all others land, it lands raw, the window is done',
  async (how) => {
    const { key, id } = await middleEvent();
    const { raw, keys, records, checkpoint, logged } = await pull([
      { trouble: { kind: 'broken_record', id, how } },
    ]);
    const all = [...visible(running as RunningHubspot).keys()];
    expect(new Set(keys)).toEqual(new Set(all.filter((one) => one !== key)));
    expect(raw).toHaveLength(1);
    const [line] = raw as [Line];
    expect(line.payload === undefined).toBe(how === 'not_utf8');
    const body =
      line.payload ?? Buffer.from(line.payload_base64 ?? '', 'base64').toString('latin1');
    expect(body).toContain(`"id":"${id}"`);
    if (how !== 'not_utf8') expect(() => JSON.parse(body) as unknown).toThrow(SyntaxError);
    expect(line.meta).toMatchObject({ status: 200, unreadable: true });
    expect(records).toBe(keys.length + 1);
    expect(checkpoint).toMatchObject({ open: [], trouble: null });
    expect(checkpoint.edges['hot']).toBe(new Date(UNTIL - 5 * 60_000).toISOString());
    const told = logged.filter(({ severity }) => severity === 'WARNING');
    expect(told.map(({ event }) => event)).toEqual([
      'hubspot_page_unreadable',
      'unreadable_landed',
    ]);
    expect(told[1]?.fields).toMatchObject({ source: SOURCE, pages: 1 });
  },
);

test('a page that is broken twice is asked for again, and that is all', async () => {
  const { id } = await middleEvent();
  const { raw, keys, checkpoint, logged } = await pull([
    { trouble: { kind: 'broken_record', id, how: 'garbled' }, times: 2 },
  ]);
  expect(new Set(keys)).toEqual(new Set(visible(running as RunningHubspot).keys()));
  expect(raw).toEqual([]);
  expect(checkpoint.open).toEqual([]);
  expect(logged.filter(({ event }) => event === 'hubspot_retry')).toHaveLength(2);
  expect(logged.filter(({ severity }) => severity === 'WARNING')).toEqual([]);
});

test('a gateway that answers everything with something else holds the window back, and says so', async () => {
  const { raw, keys, checkpoint } = await pull([{ trouble: { kind: 'broken_json' }, times: 1e9 }]);
  expect({ raw, keys }).toEqual({ raw: [], keys: [] });
  expect(checkpoint.open.length).toBeGreaterThan(0);
  expect(checkpoint.trouble?.code).toBe('hubspot_invalid_json');
});
