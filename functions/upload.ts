/**
 * Upload: a file in the inbox bucket becomes a run of the source that its path names.
 *
 * The run is named for the object and its generation, so a file delivered twice is one run. The
 * object itself is copied into bronze first; then it is read as it streams, record by record. A
 * piece that cannot be read is landed too, marked with the reason, and Spark refuses it by name: a
 * bad file ends in `ops.rejected`, not in a retry. A tick looks for files whose notification was
 * lost.
 */
import { createHash } from 'node:crypto';
import type { UploadedFilesArrival } from '../schemas/contract.ts';
import { catalog } from '../schemas/rendered/catalog.ts';
import type { Config } from './config.ts';
import { classified, Permanent, Transient } from './errors.ts';
import { landed, openLanding } from './land.ts';
import { createJson, type MisplacedFile, place, readJson } from './manifest.ts';
import { type Handler, type Message, notifiedObject } from './message.ts';
import type { Refusal } from './readers/cut_text.ts';
import { fileRecords } from './readers/uploaded_files.ts';
import type { World } from './world.ts';

/** After this a file's rest is refused: the function's timeout ends the call soon after. */
const READING_MS = 7.5 * 60_000;

/** A file this young is its notification's: the longest a call may still be at work on it. */
const NOTIFIED_MS = 10 * 60_000;

/** Looked at again before the edge: Storage's clock and ours differ, and listings take time. */
const OVERLAP_MS = 60 * 60_000;

/** A tick begins no other file after this. */
const TICK_MS = 60_000;

/** Files of which it is asked at once whether they have been taken in. */
const LOOKED_UP_AT_ONCE = 50;

/** An object of the inbox, exactly this generation. */
interface Arrived {
  readonly name: string;
  readonly generation: string;
  /** Epoch ms since when it lies there: the observation of all its records, in every attempt. */
  readonly at: number;
}

export const handle: Handler = async (message, world, config) => {
  if (message.attributes['eventType'] === undefined) return lookThrough(world, config);
  const arrived = await notified(message, world, config);
  if (arrived !== null) await takeIn(world, config, arrived);
};

/** What the notification speaks of; null when it is nothing to be taken in. */
async function notified(message: Message, world: World, config: Config): Promise<Arrived | null> {
  const name = notifiedObject(message);
  const { objectGeneration: generation, bucketId, eventTime } = message.attributes;
  if (name === null || isAside(name)) return null;
  if (generation === undefined || bucketId !== config.buckets.inbox) {
    throw new Permanent({
      code: 'not_the_inbox',
      message: `the notification speaks of gs://${bucketId ?? ''}/${name}, generation ${generation ?? 'unknown'}, not of an object of the inbox`,
    });
  }
  const there = await world.objects.stat(config.buckets.inbox, name);
  if (there?.generation === generation) return { name, generation, at: there.updated };
  // Overwritten or removed meanwhile; the bucket still keeps it for a while.
  const at = Date.parse(eventTime ?? '');
  return { name, generation, at: Number.isNaN(at) ? world.clock.now() : at };
}

/** Folder markers and what its name puts aside (`_done/`, `.DS_Store`): nobody means these. */
const isAside = (name: string): boolean =>
  name.endsWith('/') ||
  name.split('/').some((part) => part.startsWith('_') || part.startsWith('.'));

interface Destination {
  readonly domain: string;
  readonly source: string;
  readonly arrives: UploadedFilesArrival;
}

/** `<domain>/<source>/<any name>` -> the source, if there is one that takes files. */
function destinationOf(name: string): Destination | null {
  const [domain = '', source = '', ...rest] = name.split('/');
  const arrives = Object.hasOwn(catalog.sources, `${domain}.${source}`)
    ? catalog.sources[`${domain}.${source}`]?.arrives
    : undefined;
  if (rest.length === 0 || arrives?.kind !== 'uploaded_files') return null;
  return { domain, source, arrives };
}

/** The same for every delivery of one generation of one object. */
export function uploadRun(bucket: string, name: string, generation: string): string {
  const object = JSON.stringify([bucket, name, generation]);
  const digest = createHash('sha256').update(object).digest('hex').slice(0, 16);
  return `upload-${generation}-${digest}`;
}

async function takeIn(world: World, config: Config, arrived: Arrived): Promise<void> {
  const { name, generation } = arrived;
  const bucket = config.buckets.inbox;
  const run = uploadRun(bucket, name, generation);
  const of = destinationOf(name);
  if (of === null) return misplaced(world, config, arrived, run);
  const { domain, source, arrives } = of;
  if ((await landed(world, config, { domain, source, run })) !== null) {
    world.log('INFO', 'upload_known', { source: `${domain}.${source}`, run });
    return;
  }
  const stream = await world.objects.stream(bucket, name, generation);
  if (stream === null) {
    world.log('WARNING', 'upload_gone', { file: name, generation });
    return;
  }
  const landing = openLanding(world, config, { domain, source, run });
  const original = await landing.keepOriginal({ bucket, name, generation });
  const deadline = world.clock.now() + READING_MS;
  const records = fileRecords(stream, {
    name,
    size: original.bytes,
    arrives,
    inTime: () => world.clock.now() < deadline,
  });
  let ragged = 0;
  let refused = 0;
  let first: Refusal | null = null;
  let next = await records.next();
  try {
    for (; next.done !== true; next = await records.next()) {
      for (const { payload, line, fields, refused: reason } of next.value) {
        if (fields !== undefined) ragged += 1;
        if (reason !== undefined) {
          refused += 1;
          first ??= reason;
        }
        const meta = {
          file: name,
          line,
          ...(fields === undefined ? {} : { fields }),
          ...(reason === undefined ? {} : { refused: reason }),
        };
        await landing.append({ payload, meta, askedAt: arrived.at, records: 1 });
      }
    }
  } finally {
    await records.return(0);
  }
  const blank = next.value;
  const counts = { blank, ragged, refused };
  const manifest = await landing.finish({
    window: null,
    remaining: null,
    upload: { name, generation, original, ...counts },
  });
  const about = { source: `${domain}.${source}`, run, file: name, records: manifest.records };
  world.log('INFO', 'upload_landed', { ...about, ...counts });
  if (first !== null) {
    world.log('WARNING', 'upload_refused', { ...about, ...counts, reason: first.message });
  }
}

/** No source is there to refuse it: it is written down, said aloud, and left alone. */
async function misplaced(
  world: World,
  config: Config,
  { name, generation, at }: Arrived,
  run: string,
): Promise<void> {
  const sources = Object.entries(catalog.sources)
    .filter(([, { arrives }]) => arrives.kind === 'uploaded_files')
    .map(([source]) => `${source.replace('.', '/')}/`);
  const reason = `no source takes files there; put it under ${sources.sort().join(' or ')}`;
  const met: MisplacedFile = {
    format: 1,
    file: name,
    generation,
    arrived_at: new Date(at).toISOString(),
    reason,
  };
  const { control } = config.buckets;
  const created = await createJson(world.objects, control, place.misplaced(run), met);
  if (created === 'created') world.log('ERROR', 'upload_misplaced', { file: name, run, reason });
}

/** Up to when every file of the inbox has been taken in. */
interface Edge {
  readonly format: 1;
  readonly edge: string;
}

/**
 * Takes in files whose notification was lost. A listing costs a call per thousand names; only those
 * younger than the edge are looked up, so the work does not grow with what has been uploaded.
 */
async function lookThrough(world: World, config: Config): Promise<void> {
  const { control, inbox } = config.buckets;
  const begun = world.clock.now();
  const held = await readJson<Edge>(world.objects, control, place.uploadsEdge);
  const edge = held === null ? 0 : Date.parse(held.value.edge);
  const young = (await world.objects.list(inbox, ''))
    .filter(({ name, updated }) => updated >= edge && !isAside(name))
    .sort((a, b) => a.updated - b.updated || (a.name < b.name ? -1 : 1));
  let reached = begun - OVERLAP_MS;
  let tried = 0;
  const late = (): boolean => world.clock.now() - begun > TICK_MS;
  for (let at = 0; at < young.length; at += LOOKED_UP_AT_ONCE) {
    const some = young.slice(at, at + LOOKED_UP_AT_ONCE);
    if (late()) {
      reached = Math.min(reached, (some[0] as (typeof some)[number]).updated);
      break;
    }
    const known = await Promise.all(
      some.map(({ name, generation }) => isTakenIn(world, config, name, generation)),
    );
    for (const [i, { name, generation, updated }] of some.entries()) {
      if (known[i] || updated > begun - NOTIFIED_MS) continue;
      // One file at least, or a slow hour would be one in which nothing moves.
      const mayTry = tried === 0 || !late();
      if (mayTry) tried += 1;
      const taken = mayTry && (await attempted(world, config, { name, generation, at: updated }));
      if (!taken) reached = Math.min(reached, updated);
    }
  }
  if (reached <= edge) return;
  const value: Edge = { format: 1, edge: new Date(reached).toISOString() };
  // Refused: another tick has moved it, and looked as far.
  await world.objects.write(control, place.uploadsEdge, Buffer.from(JSON.stringify(value)), {
    ifGeneration: held?.generation ?? '0',
    contentType: 'application/json',
  });
}

async function isTakenIn(
  world: World,
  config: Config,
  name: string,
  generation: string,
): Promise<boolean> {
  const run = uploadRun(config.buckets.inbox, name, generation);
  const of = destinationOf(name);
  const proof = of === null ? place.misplaced(run) : place.run(of.domain, of.source, run);
  return (await world.objects.stat(config.buckets.control, proof)) !== null;
}

/** One file that cannot be taken in keeps no other from it; the next tick comes back to it. */
async function attempted(world: World, config: Config, arrived: Arrived): Promise<boolean> {
  try {
    world.log('WARNING', 'upload_resumed', { file: arrived.name, generation: arrived.generation });
    await takeIn(world, config, arrived);
    return true;
  } catch (failure) {
    const { code, message } = classified(failure);
    const severity = failure instanceof Transient ? 'WARNING' : 'ERROR';
    world.log(severity, 'upload_stopped', { file: arrived.name, code, reason: message });
    return false;
  }
}
