/**
 * Pull: what a source has new becomes runs in bronze.
 *
 * A message names a source. The windows that are due are planned into its checkpoint; open windows
 * are read in parallel within one rate budget, for at most eight minutes; each piece is landed and
 * only then leaves the checkpoint. What is still open then is asked for again by a message of our
 * own, so that no invocation is long and a crash loses nothing but the piece it was reading.
 */
import { createHash } from 'node:crypto';
import type { Arrival, PulledArrival, SourceContract } from '../schemas/contract.ts';
import { catalog } from '../schemas/rendered/catalog.ts';
import {
  type Checkpoint,
  finished,
  planned,
  sameWindow,
  stepCheckpoint,
  windowKey,
} from './checkpoint.ts';
import type { Config } from './config.ts';
import { credentialOf, stopsAll } from './credential.ts';
import { classified, Permanent, Transient } from './errors.ts';
import { landed, openLanding } from './land.ts';
import type { RunManifest } from './manifest.ts';
import type { Handler } from './message.ts';
import { hubspotEmailEvents } from './readers/hubspot_email_events.ts';
import { hubspotObjects } from './readers/hubspot_objects.ts';
import { postgresTable } from './readers/postgres_table.ts';
import type { ReadContext, Reader } from './readers/reader.ts';
import { restList } from './readers/rest_list.ts';
import { tickSource } from './ticks.ts';
import type { Window } from './window.ts';
import type { World } from './world.ts';

/** A slice is shorter than the function's timeout by the time one last page may take. */
export const SLICE_MS = 8 * 60_000;

/**
 * A puller that says nothing for this long is gone. Longer than an answer may take, short enough
 * that a source whose puller was killed goes on with the next sweep.
 */
const LEASE_MS = 60_000;

/** With pages coming in, the lease is renewed this often. */
const RENEWAL_MS = 20_000;

/**
 * Compressed bytes after which a window's piece is landed. A piece ends where everything above has
 * been read: what other readers have read below is read again, so pieces are few; a crash loses at
 * most a slice's work of any window.
 */
const PIECE_BYTES = 128 << 20;

const readers: {
  readonly [K in PulledArrival['kind']]: Reader<Extract<Arrival, { kind: K }>>;
} = {
  hubspot_email_events: hubspotEmailEvents,
  hubspot_objects: hubspotObjects,
  rest_list: restList,
  postgres_table: postgresTable,
};

const readerOf = ({ kind }: Arrival): Reader<Arrival> => {
  const reader = (readers as Readonly<Record<string, Reader<Arrival>>>)[kind];
  if (reader !== undefined) return reader;
  throw new Permanent({ code: 'not_pulled', message: `what arrives as ${kind} is not pulled` });
};

export const handle: Handler = async (message, world, config) => {
  const name = String(message.data['source'] ?? '');
  const contract = catalog.sources[name];
  if (contract === undefined) {
    throw new Permanent({
      code: 'unknown_source',
      message: `no source is called "${name}"; there are ${Object.keys(catalog.sources).join(', ')}`,
    });
  }
  const [domain = '', source = ''] = name.split('.');
  await pullSource(world, config, { domain, source, contract });
};

interface Pulled {
  readonly domain: string;
  readonly source: string;
  readonly contract: SourceContract;
}

async function pullSource(world: World, config: Config, of: Pulled): Promise<void> {
  const { domain, source, contract } = of;
  const reader = readerOf(contract.arrives);
  const holder = world.random.id();
  const deadline = world.clock.now() + SLICE_MS;
  const checkpoint = await stepCheckpoint(world, config.buckets.control, domain, source, (held) => {
    const now = world.clock.now();
    if (held.lease !== null && Date.parse(held.lease.until) > now) return null;
    const plan = reader.plan(held, now, contract.arrives);
    return { ...planned(held, plan), lease: leaseOf(holder, now) };
  });
  if (checkpoint.lease?.holder !== holder) {
    world.log('INFO', 'pull_busy', {
      source: `${domain}.${source}`,
      until: checkpoint.lease?.until,
    });
    return;
  }
  const context = readContext(world, config, of, deadline);
  const stillHere = renewal(world, config, of, holder);
  const failures = await readOpen(world, config, of, reader, checkpoint, context, stillHere);
  const failure = failures.map(classified).sort(worstFirst)[0] ?? null;
  const left = await release(world, config, of, holder, failure);
  if (failure === null) {
    if (left.open.length > 0) {
      await tickSource(world, `${domain}.${source}`, { continues: true });
    }
    return;
  }
  const severity = failure instanceof Permanent ? 'ERROR' : 'WARNING';
  world.log(severity, 'pull_stopped', {
    source: `${domain}.${source}`,
    code: failure.code,
    reason: failure.message,
  });
  // Acknowledged all the same: what is open stands in the checkpoint, and the next tick or sweep
  // takes it up. Delivered again, a tick would only multiply.
}

const leaseOf = (holder: string, now: number): { holder: string; until: string } => ({
  holder,
  until: new Date(now + LEASE_MS).toISOString(),
});

/** Called with every page: renews the lease now and then, unless somebody else has taken it. */
function renewal(world: World, config: Config, of: Pulled, holder: string): () => Promise<void> {
  let renewedAt = world.clock.now();
  return async () => {
    const now = world.clock.now();
    if (now - renewedAt < RENEWAL_MS) return;
    renewedAt = now;
    await stepCheckpoint(world, config.buckets.control, of.domain, of.source, (held) =>
      held.lease?.holder === holder ? { ...held, lease: leaseOf(holder, now) } : null,
    );
  };
}

/** Reads open windows, several at once, until none is left or the slice is over. */
async function readOpen(
  world: World,
  config: Config,
  of: Pulled,
  reader: Reader<Arrival>,
  checkpoint: Checkpoint,
  context: ReadContext<Arrival>,
  stillHere: () => Promise<void>,
): Promise<readonly unknown[]> {
  const waiting: Window[] = [...checkpoint.open];
  const failures: unknown[] = [];
  const lane = async (): Promise<void> => {
    for (;;) {
      const window = waiting.shift();
      if (window === undefined || world.clock.now() >= context.deadline) return;
      if (failures.some(stopsAll)) return;
      try {
        const manifest = await readPiece(world, config, of, reader, window, context, stillHere);
        if (manifest.remaining !== null) waiting.unshift(manifest.remaining);
      } catch (failure) {
        failures.push(failure);
        // Only an order: not being able to write it down must not end the other lanes' invocation.
        await putLast(world, config, of, window).catch((second: unknown) => failures.push(second));
      }
    }
  };
  await Promise.all(Array.from({ length: reader.parallel }, lane));
  return failures;
}

/** Reads a window until it is done, a piece is large enough or the slice is over; lands; moves on. */
async function readPiece(
  world: World,
  config: Config,
  of: Pulled,
  reader: Reader<Arrival>,
  window: Window,
  context: ReadContext<Arrival>,
  stillHere: () => Promise<void>,
): Promise<RunManifest> {
  const { domain, source } = of;
  const run = runName(window);
  const before = await landed(world, config, { domain, source, run });
  const piece =
    before === null
      ? await landPiece(world, config, { domain, source, run }, reader, window, context, stillHere)
      : { manifest: before, failure: null };
  const { manifest } = piece;
  if (manifest.remaining !== null && sameWindow(manifest.remaining, window)) {
    throw new Permanent({
      code: 'window_does_not_shrink',
      message: `${run} says that all of its window remains; its reader is at fault`,
    });
  }
  await stepCheckpoint(world, config.buckets.control, domain, source, (held) =>
    finished(held, {
      window,
      remaining: manifest.remaining,
      run,
      records: manifest.records,
      at: manifest.finished_at,
    }),
  );
  if (piece.failure !== null) throw piece.failure;
  return manifest;
}

/** @returns the piece that counts, and what stopped the reading before the piece was whole */
async function landPiece(
  world: World,
  config: Config,
  of: { readonly domain: string; readonly source: string; readonly run: string },
  reader: Reader<Arrival>,
  window: Window,
  context: ReadContext<Arrival>,
  stillHere: () => Promise<void>,
): Promise<{ readonly manifest: RunManifest; readonly failure: unknown }> {
  const landing = openLanding(world, config, of);
  let remaining: Window | undefined;
  let unreadable = 0;
  const finish = async (left: Window | null): Promise<RunManifest> => {
    const manifest = await landing.finish({ window, remaining: left });
    if (unreadable > 0) {
      const source = `${of.domain}.${of.source}`;
      world.log('WARNING', 'unreadable_landed', { source, run: of.run, pages: unreadable });
    }
    return manifest;
  };
  try {
    for await (const page of reader.pages(window, context)) {
      await stillHere();
      if (page.records > 0) await landing.append(page);
      if (page.meta['unreadable'] === true) unreadable += 1;
      // Nothing read of the window is no piece: a run must shrink it.
      if (page.remaining === undefined) continue;
      if (page.remaining !== null && sameWindow(page.remaining, window)) continue;
      const enough = landing.bytes() >= PIECE_BYTES || world.clock.now() >= context.deadline;
      if (page.remaining === null || enough) {
        // Awaited here: leaving the loop waits for the reader, and a rejection must not be alone meanwhile.
        const manifest = await finish(page.remaining);
        return { manifest, failure: null };
      }
      remaining = page.remaining;
    }
    throw new Transient({
      code: 'window_unfinished',
      message: `${of.source} ended its pages of ${windowKey(window)} without saying what remains`,
    });
  } catch (failure) {
    // What was read before the source gave up is landed: it need not be asked for again.
    if (remaining === undefined) throw failure;
    return { manifest: await finish(remaining), failure };
  }
}

function readContext(
  world: World,
  config: Config,
  of: Pulled,
  deadline: number,
): ReadContext<Arrival> {
  return {
    world,
    arrival: of.contract.arrives,
    domain: of.domain,
    source: of.source,
    controlBucket: config.buckets.control,
    ...credentialOf(world, config, of.contract.arrives),
    deadline,
  };
}

/** A window that failed stands behind the others, so that it does not keep them from being read. */
function putLast(world: World, config: Config, of: Pulled, window: Window): Promise<Checkpoint> {
  const { domain, source } = of;
  return stepCheckpoint(world, config.buckets.control, domain, source, (held) => {
    const others = held.open.filter((open) => !sameWindow(open, window));
    if (others.length === held.open.length || others.length === 0) return null;
    return { ...held, open: [...others, window] };
  });
}

/** Gives the lease back and writes down what stopped us, for `status` and for people. */
function release(
  world: World,
  config: Config,
  of: Pulled,
  holder: string,
  failure: Transient | Permanent | null,
): Promise<Checkpoint> {
  const at = new Date(world.clock.now()).toISOString();
  const trouble =
    failure === null
      ? null
      : {
          code: failure.code,
          message: failure.message,
          at,
          needs_person: failure instanceof Permanent,
        };
  return stepCheckpoint(world, config.buckets.control, of.domain, of.source, (held) => ({
    ...held,
    trouble,
    lease: held.lease?.holder === holder ? null : held.lease,
  }));
}

/** Adds windows a person or the reconciliation asks for; they are read with the others. */
export async function addWindows(
  world: World,
  config: Config,
  of: { readonly domain: string; readonly source: string },
  windows: readonly Window[],
): Promise<Checkpoint> {
  return stepCheckpoint(world, config.buckets.control, of.domain, of.source, (held) =>
    planned(held, { windows, edges: {} }),
  );
}

/** A range read again, cut into windows; `pass` names the request. */
export function rangeOf(name: string, from: string, to: string, pass: string): readonly Window[] {
  const contract = catalog.sources[name];
  if (contract === undefined) {
    throw new Permanent({ code: 'unknown_source', message: `no source is called "${name}"` });
  }
  const reader = readerOf(contract.arrives);
  return reader.range(from, to, pass, contract.arrives);
}

/** The run that begins with this window; the same window is the same run in every attempt. */
export function runName(window: Window): string {
  const digits = (instant: string): string => instant.replace(/[^0-9]/g, '');
  const span = `${window.pass}-${digits(window.from)}-${digits(window.to)}`;
  if (window.only === undefined && window.cursor === undefined) return span;
  // Cursors may differ in nothing but case and signs that object names should not carry.
  return `${span}-${createHash('sha256').update(windowKey(window)).digest('hex').slice(0, 12)}`;
}

/** What a person must mend is shown before what mends itself. */
const worstFirst = (a: Transient | Permanent, b: Transient | Permanent): number =>
  Number(b instanceof Permanent) - Number(a instanceof Permanent);
