/**
 * What goes wrong at HubSpot, and messages that come twice or late, through the deployed functions:
 * real processes, the local cloud and the command line. Every case has a range of time of its own.
 *
 * Spark is not what is tested: a batch here is a program that writes an empty batch manifest.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Checkpoint, readCheckpoint } from '../../functions/checkpoint.ts';
import { readLedger } from '../../functions/ledger.ts';
import {
  type BatchManifest,
  type Claim,
  createJson,
  place,
  type RunManifest,
  readJson,
} from '../../functions/manifest.ts';
import { addWindows } from '../../functions/pull.ts';
import type { Window } from '../../functions/window.ts';
import { type Cloud, startCloud } from '../../local/cloud.ts';
import type { Drivers } from '../../local/dataproc/drivers.ts';
import type { Fault, Trouble } from '../../local/outside/hubspot/faults.ts';
import { LIMITS } from '../../local/outside/hubspot/limits.ts';
import { inRoot } from '../../scripts/place.ts';
import { backfill, pull } from '../../scripts/pull.ts';
import type { Status } from '../../scripts/status.ts';
import { synth } from '../../scripts/synth.ts';
import { openTarget, type Target } from '../../scripts/target.ts';
import { tick } from '../../scripts/tick.ts';

const NAME = 'email.email_events';
const DAY_MS = 86_400_000;
const run = promisify(execFile);

let folder: string;
let data: string;
let cloud: Cloud;
let target: Target;

/** Batches begun, and the door they wait at before they say that they are done. */
const batches: string[] = [];
const mayEnd = Promise.withResolvers<void>();

/** A batch that transforms nothing: it says so in a manifest of all runs that it was given. */
const emptyBatches: Drivers = {
  start: ({ request }) => {
    const given = (name: string): string => request.args[request.args.indexOf(name) + 1] ?? '';
    batches.push(given('--claim'));
    return { ended: mayEnd.promise.then(() => endBatch(given('--claim'))), stop: () => {} };
  },
  ready: async () => {},
  close: async () => {},
};

async function endBatch(name: string): Promise<{ exitCode: number; message: string }> {
  const { world, config } = target;
  const found = await readJson<Claim>(world.objects, config.buckets.control, name);
  if (found === null) return { exitCode: 1, message: `no claim ${name}` };
  const { domain, sequence, attempt, runs, recompute } = found.value;
  const now = new Date().toISOString();
  const manifest: BatchManifest = {
    format: 1,
    ...{ domain, sequence, attempt, runs, recompute },
    ...{ code_version: 'none', started_at: now, finished_at: now },
    sources: [],
    tables: [],
    quality: [],
    rejected: { files: [], rows: 0 },
    versions: {},
    stale_left: 0,
    seconds: {},
  };
  await createJson(world.objects, config.buckets.control, place.batch(domain, sequence), manifest);
  return { exitCode: 0, message: '' };
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'troubles-'));
  data = join(folder, 'cloud');
  const stacks = await synth({ environments: ['local'] });
  writeFileSync(join(folder, 'events.ndjson'), '');
  mkdirSync(join(folder, 'objects'));
  cloud = await startCloud({
    stack: stacks['local'] ?? '',
    data,
    spark: { python: 'none', jars: [] },
    drivers: emptyBatches,
    quietSchedules: true,
    environment: { HUBSPOT_TOKEN: 'first' },
    // An account without anything: what a case needs, it adds.
    hubspot: { eventsFile: join(folder, 'events.ndjson'), objectsDir: join(folder, 'objects') },
  });
  target = await openTarget({ data });
}, 60_000);

afterEach(async () => {
  await standIn('faults/clear', {});
  await standIn('settings', { token: null, limits: LIMITS });
});

afterAll(async () => {
  mayEnd.resolve();
  await cloud?.close();
  rmSync(folder, { recursive: true, force: true });
}, 30_000);

/** The stand-in's own side. */
async function standIn(what: string, body: object): Promise<void> {
  const answer = await fetch(`${cloud.endpoints.hubspot}/_stand-in/${what}`, {
    method: 'POST',
    body: JSON.stringify(body),
  });
  expect(answer.status).toBe(200);
}

/** Has requests for events go wrong, after `skip` of them, until it is called off. */
const fail = (trouble: Trouble, { times = 1_000, skip = 0 } = {}): Promise<void> => {
  const fault: Fault = { where: ['/email/public/v1/events'], trouble, times, skip };
  return standIn('faults', { faults: [fault] });
};

/** How many requests HubSpot has answered with a status, since it started. */
async function answered(status: number): Promise<number> {
  const answer = await fetch(`${cloud.endpoints.hubspot}/_stand-in/stats`);
  const stats = (await answer.json()) as { by_status: Readonly<Record<string, number>> };
  return stats.by_status[status] ?? 0;
}

/** The command line, as people use it. */
async function tributary(...words: readonly string[]): Promise<string> {
  const line = [inRoot('scripts/cli.ts'), ...words, '--data', data];
  const { stdout } = await run(process.execPath, line);
  return stdout;
}

interface Range {
  readonly from: number;
  readonly to: number;
  readonly ids: readonly string[];
}

const idOf = (event: { readonly id: string; readonly created: number }): string =>
  `${event.id} ${event.created}`;

/** Gives the account events, evenly over ten days: three windows, each of one page or several. */
async function given(
  name: string,
  options: { readonly from: string; readonly events: number },
): Promise<Range> {
  const from = Date.parse(options.from);
  const to = from + 10 * DAY_MS;
  const apart = Math.floor((to - from) / options.events);
  const events = Array.from({ length: options.events }, (_, i) => ({
    id: `${name}-${i}`,
    created: from + i * apart,
    type: 'OPEN',
    emailCampaignId: 7001,
  }));
  await standIn('events', { events });
  return { from, to, ids: events.map(idOf).sort() };
}

/** Asks for a range by the command line. */
async function askFor({ from, to }: Range): Promise<void> {
  await tributary('pull', NAME, '--from', iso(from), '--to', iso(to), '--yes');
}

/** Asks for a range, and watches until the function has come to its end. */
async function readRange(range: Range): Promise<void> {
  await askFor(range);
  await watching(range, rested());
}

/** As the schedule does it, once whatever was wrong is mended. */
async function tickEvents(): Promise<Checkpoint> {
  await tick(target, ['pull-email-email_events']);
  return rested();
}

const held = (): Promise<Checkpoint> =>
  readCheckpoint(target.world, target.config.buckets.control, 'email', 'email_events');

/** Nobody reads, and no message for the function is left: it has come to its end. */
async function rested(): Promise<Checkpoint> {
  const read = async (): Promise<boolean> => {
    const waiting = (await target.backlog()).get('pull-hubspot--pull-hubspot') ?? 0;
    return waiting === 0 && (await held()).lease === null;
  };
  await expect.poll(read, { timeout: 45_000, interval: 50 }).toBe(true);
  return held();
}

/** Subscriptions, those of dead letters among them, that hold a message. */
const unacknowledged = async (): Promise<readonly string[]> =>
  [...(await target.backlog())].filter(([, count]) => count > 0).map(([name]) => name);

/** Ends a function's instance, and returns when another one is there that remembers nothing. */
async function anotherInstance(name: string): Promise<void> {
  const before = cloud.functionPid(name) ?? 0;
  process.kill(before, 'SIGKILL');
  await expect.poll(() => cloud.functionPid(name), { timeout: 10_000 }).not.toBe(before);
}

/** Manifests and what their files hold: neither ever changes. */
const known = new Map<string, readonly { readonly id: string; readonly created: number }[]>();

/** What the run manifests say is in bronze: every event as often as it is there. */
async function landedIds({ from, to }: Range): Promise<readonly string[]> {
  const runs = await target.world.objects.list(
    target.config.buckets.control,
    'runs/email/email_events/',
  );
  const events = await Promise.all(
    runs.map(async ({ name }) => {
      const found = known.get(name) ?? (await eventsOf(name));
      known.set(name, found);
      return found;
    }),
  );
  const within = events.flat().filter(({ created }) => created >= from && created < to);
  return within.map(idOf).sort();
}

async function eventsOf(
  run: string,
): Promise<readonly { readonly id: string; readonly created: number }[]> {
  const { objects } = target.world;
  const { control, bronze } = target.config.buckets;
  const manifest = await readJson<RunManifest>(objects, control, run);
  const all: { id: string; created: number }[] = [];
  for (const { name } of manifest?.value.files ?? []) {
    const part = await objects.read(bronze, name);
    for (const line of gunzipSync(part?.bytes ?? '')
      .toString()
      .trim()
      .split('\n')) {
      const { payload } = JSON.parse(line) as { payload: string };
      const { events } = JSON.parse(payload) as { events: { id: string; created: number }[] };
      all.push(...events);
    }
  }
  return all;
}

/** The first events that are neither in bronze nor in a window still to be read: lost ones. */
async function lost(range: Range): Promise<readonly string[]> {
  const { open } = await held();
  const landed = new Set(await landedIds(range));
  const gone = (id: string): boolean =>
    !landed.has(id) && !open.some((window) => covers(window, id));
  return range.ids.filter(gone).slice(0, 3);
}

/** While something goes on, every event is in bronze or in a window that is still to be read. */
async function watching(range: Range, work: Promise<unknown>): Promise<void> {
  let over = false;
  const ended = work.finally(() => {
    over = true;
  });
  const looks = (async () => {
    while (!over) {
      expect(await lost(range)).toEqual([]);
      await new Promise((resume) => setTimeout(resume, 100));
    }
  })();
  await Promise.all([ended, looks]);
}

const covers = (window: Window, id: string): boolean => {
  const created = Number(id.split(' ')[1]);
  return created >= Date.parse(window.from) && created < Date.parse(window.to);
};

const ofSource = async (): Promise<Status['sources'][number] | undefined> => {
  const status = JSON.parse(await tributary('status', '--json')) as Status;
  return status.sources.find(({ source }) => source === NAME);
};

/** What the pull function has logged under an event name. */
function logged(event: string): readonly Readonly<Record<string, unknown>>[] {
  const lines = readFileSync(join(data, 'logs', 'pull-hubspot.log'), 'utf8')
    .trim()
    .split('\n');
  return lines
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter((line) => line['event'] === event);
}

/** A trouble that stops a pull: nothing has moved, and a person sees what happened and what to do. */
async function expectStopped(range: Range, code: string, says: RegExp): Promise<void> {
  expect(await lost(range)).toEqual([]);
  const shown = await ofSource();
  expect(shown).toMatchObject({ pulling: false });
  expect(shown?.open_windows).toBeGreaterThan(0);
  expect(shown?.trouble?.split(':')[0]).toBe(code);
  expect(shown?.trouble).toMatch(says);
  expect(Date.now() - Date.parse(shown?.trouble_at ?? '')).toBeLessThan(30_000);
  expect(logged('pull_stopped').at(-1)).toMatchObject({ code, source: NAME });
  expect(logged('pull_stopped').at(-1)?.['reason']).toMatch(says);
  // What had been read before goes on its way; only what cannot be worked off would stay.
  await expect.poll(unacknowledged, { timeout: 20_000, interval: 50 }).toEqual([]);
  expect(logged('handler_failed')).toEqual([]);
}

/** Trouble is over: nothing is left to read, nobody is told of trouble, everything is there. */
async function expectArrived(range: Range): Promise<void> {
  expect(await held()).toMatchObject({ open: [], trouble: null });
  expect(await landedIds(range)).toEqual(range.ids);
}

describe('troubles at HubSpot', { timeout: 60_000 }, () => {
  it('an empty account: everything is read, there is nothing, and that is no trouble', async () => {
    const { world, config } = target;
    const waiting = () => world.objects.list(config.buckets.control, place.waitingUnder('email'));
    const before = (await waiting()).length;
    await tick(target, []);
    await rested();
    const status = JSON.parse(await tributary('status', '--json')) as Status;
    for (const source of status.sources) {
      expect(source).toMatchObject({ open_windows: 0, pulling: false, trouble: null });
      expect(source.last_run).not.toBeNull();
      expect(source.read_to).toBe(source.planned_to);
      expect(source.lag_seconds).toBeLessThan(600);
    }
    expect(status.dead_letters).toEqual({});
    const scheduled = (await held()).done.filter(({ window }) => !window.pass.startsWith('back'));
    expect(scheduled.length).toBeGreaterThan(0);
    expect(scheduled.filter(({ records }) => records > 0)).toEqual([]);
    expect(await waiting()).toHaveLength(before);
  });

  it('a token that HubSpot no longer accepts: a new version of the secret is enough', async () => {
    const range = await given('token', { from: '2024-01-01', events: 30 });
    await standIn('settings', { token: 'second' });
    await readRange(range);
    await expectStopped(range, 'hubspot_token', /does not accept the token.*new version/);
    // As people read it: the whole message, and that nothing has to be asked for again.
    const { trouble, trouble_at, open_windows } = (await ofSource()) as Status['sources'][number];
    const page = await tributary('status');
    expect(page).toContain(`${NAME} at ${trouble_at}: ${trouble}`);
    expect(page).toContain(`${open_windows} windows stay open until they are read`);
    expect(await landedIds(range)).toEqual([]);
    const secret = `${cloud.endpoints.secrets}/v1/projects/${cloud.endpoints.project}/secrets/hubspot-token`;
    const added = await fetch(`${secret}:addVersion`, {
      method: 'POST',
      body: JSON.stringify({ payload: { data: Buffer.from('second\n').toString('base64') } }),
    });
    expect(added.status).toBe(200);
    await tickEvents();
    await expectArrived(range);
  });

  it('a missing scope: it is named, and granting it is enough', async () => {
    const range = await given('scope', { from: '2024-02-01', events: 30 });
    await fail({ kind: 'missing_scope', scopes: ['content'] });
    await readRange(range);
    await expectStopped(range, 'hubspot_scope', /Give the private app the scope content/);
    expect(await landedIds(range)).toEqual([]);
    await standIn('faults/clear', {});
    await tickEvents();
    await expectArrived(range);
  });

  it('a quota of zero: nothing moves, and the next day goes on by itself', async () => {
    const range = await given('quota', { from: '2024-03-01', events: 30 });
    await standIn('settings', { limits: { daily: 0 } });
    await readRange(range);
    await expectStopped(range, 'hubspot_daily_quota', /goes on by itself.*midnight/);
    expect(await landedIds(range)).toEqual([]);
    // The next day, in an instance that does not remember this one.
    await standIn('settings', { limits: LIMITS });
    await anotherInstance('pull-hubspot');
    await tickEvents();
    await expectArrived(range);
  });

  it('a quota that ends half-way: what was read stays, the rest waits', async () => {
    const range = await given('half', { from: '2024-07-01', events: 9_000 });
    await fail({ kind: 'rate_limit', policyName: 'DAILY' }, { skip: 8 });
    await readRange(range);
    await expectStopped(range, 'hubspot_daily_quota', /goes on by itself.*midnight/);
    const first = await landedIds(range);
    expect(first.length).toBeGreaterThan(0);
    expect(first.length).toBeLessThan(range.ids.length);
    await standIn('faults/clear', {});
    const windows = (await held()).open.length;
    await watching(range, tickEvents());
    const all = await landedIds(range);
    expect(await held()).toMatchObject({ open: [], trouble: null });
    expect([...new Set(all)]).toEqual(range.ids);
    // A window that goes on begins with the event it ended with: others may be of its millisecond.
    expect(all.length - range.ids.length).toBeLessThanOrEqual(windows);
  });

  it('a storm of refusals: everybody slows down, and the storm passes without a person', async () => {
    const range = await given('storm', { from: '2024-04-01', events: 9_000 });
    const before = await answered(429);
    await fail({ kind: 'rate_limit', policyName: 'TEN_SECONDLY_ROLLING' }, { times: 10 });
    await readRange(range);
    expect((await answered(429)) - before).toBe(10);
    await expectArrived(range);
    expect((await ofSource())?.trouble).toBeNull();
  });

  it('a page that is no JSON: it is asked for again', async () => {
    const range = await given('json', { from: '2024-05-01', events: 9_000 });
    await fail({ kind: 'broken_json' }, { times: 1, skip: 1 });
    await readRange(range);
    const again = logged('hubspot_retry').filter(({ code }) => code === 'hubspot_invalid_json');
    expect(again).toHaveLength(1);
    await expectArrived(range);
  });
});

describe('a discrepancy between our counts and those of HubSpot', { timeout: 60_000 }, () => {
  it('is pulled again, once, however often it is asked for', async () => {
    const from = Date.now() - 45 * DAY_MS;
    const range = await given('campaign', { from: iso(from), events: 30 });
    await readRange(range);
    await expectArrived(range);
    // What appears late, long after its window was read: only the counters tell of it.
    const late = { id: 'campaign-late', created: from + DAY_MS + 1, type: 'OPEN' };
    await standIn('events', { events: [{ ...late, emailCampaignId: 7001 }] });
    await warehouse(
      `INSERT INTO email.dim_campaign (campaign_id, first_sent_at, last_sent_at) VALUES ('7001', TIMESTAMP '${iso(from)}', TIMESTAMP '${iso(Date.now())}')`,
      `INSERT INTO email.reconciliation (campaign_id, event_type, ours, hubspot, difference) VALUES ('7001', 'open', 30, 31, -1)`,
    );
    await tick(target, ['reconcile-tick']);
    await expect.poll(reconciled, { timeout: 20_000 }).not.toEqual([]);
    await rested();
    const windows = await reconciled();
    expect(new Set(await landedIds(range))).toEqual(new Set([...range.ids, idOf(late)]));
    // Told twice more: the same difference is not read for again.
    await Promise.all([tick(target, ['reconcile-tick']), tick(target, ['reconcile-tick'])]);
    await expect.poll(unacknowledged, { timeout: 20_000 }).toEqual([]);
    await rested();
    expect(await reconciled()).toEqual(windows);
    expect((await landedIds(range)).filter((id) => id === idOf(late))).toHaveLength(1);
  });
});

describe('messages that come twice, early or late', { timeout: 60_000 }, () => {
  it('read every event once, make one claim and one batch, and load it once', async () => {
    const { world, config } = target;
    const range = await given('twice', { from: '2024-06-01', events: 30 });
    const windows = backfill(NAME, iso(range.from), iso(range.to), Date.now());
    await addWindows(world, config, { domain: 'email', source: 'email_events' }, windows);
    await Promise.all([1, 2, 3].map(() => pull(target, NAME)));
    await rested();
    await expectArrived(range);
    expect(logged('pull_busy').length).toBeGreaterThan(0);

    const runs = await world.objects.list(config.buckets.control, 'waiting/email/');
    const [first = ''] = runs.map(({ name }) => name.replace('waiting/', 'runs/'));
    // Told of a batch before it is there.
    await notify('batch-transformed', place.batch('email', 1));
    // Told of a run, of one that is still landing, and asked to begin: at once, and once more while
    // the batch is running.
    const now = Buffer.from(JSON.stringify({ domain: 'email', now: true }));
    const ask = () =>
      Promise.all([
        notify('run-landed', `${first}.json`),
        notify('run-landed', 'runs/email/email_events/not-yet.json'),
        world.queue.publish('submit-tick', { data: now }),
        world.queue.publish('submit-tick', { data: now }),
      ]);
    await ask();
    await expect.poll(() => batches.length, { timeout: 20_000 }).toBe(1);
    await ask();
    const early = ['load--batch-transformed'];
    await expect.poll(unacknowledged, { timeout: 20_000, interval: 100 }).toEqual(early);
    mayEnd.resolve();
    await expect.poll(loaded, { timeout: 20_000 }).toBe(1);

    // All of it once more, after everything is done.
    await Promise.all([
      ask(),
      notify('batch-transformed', place.batch('email', 1)),
      notify('batch-loaded', place.load('email', 1)),
    ]);
    await expect.poll(unacknowledged, { timeout: 40_000, interval: 100 }).toEqual([]);
    const { ledger } = await readLedger(world, config.buckets.control, 'email');
    expect(batches).toEqual([place.claim('email', 1, 1)]);
    expect(ledger).toMatchObject({ sequence: 1, loaded: 1, in_flight: null });
    expect(await warehouse('SELECT batch, state, runs FROM ops.batches')).toEqual([
      { batch: 'email-1-1', state: 'loaded', runs: runs.length },
    ]);
    expect(
      await warehouse(
        'SELECT state, COUNT(*) AS n, COUNT(DISTINCT CONCAT(source, run)) AS runs FROM ops.runs WHERE files > 0 GROUP BY state',
      ),
    ).toEqual([{ state: 'loaded', n: runs.length, runs: runs.length }]);
  });
});

const iso = (ms: number): string => new Date(ms).toISOString();

/** A Storage notification, as the control bucket sends it. */
const notify = (topic: string, objectId: string): Promise<void> =>
  target.world.queue.publish(topic, {
    data: Buffer.from('{}'),
    attributes: { eventType: 'OBJECT_FINALIZE', objectId },
  });

async function loaded(): Promise<number> {
  const { ledger } = await readLedger(target.world, target.config.buckets.control, 'email');
  return ledger.in_flight === null ? ledger.loaded : 0;
}

/** Windows that the reconciliation has asked for and that have been read. */
async function reconciled(): Promise<readonly Window[]> {
  const { done } = await held();
  return done.map(({ window }) => window).filter(({ only }) => only?.['campaign'] === '7001');
}

/** Runs statements one after the other; returns the rows of the last. */
async function warehouse(...statements: readonly string[]): Promise<readonly unknown[]> {
  let rows: readonly unknown[] = [];
  for (const sql of statements) rows = await target.world.warehouse.rows(sql);
  return rows;
}
