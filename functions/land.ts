/**
 * Landing: bytes -> gzip parts in bronze -> waiting marker -> run manifest.
 *
 * Parts lie under the attempt and count only if the manifest lists them. The marker comes before
 * the manifest, so a run that has a manifest is never forgotten; a marker without a manifest waits
 * for the next attempt and is swept after a week. The manifest is created once, last: a second
 * attempt adopts it, and its own parts are litter.
 */
import { isUtf8 } from 'node:buffer';
import { gzipSync } from 'node:zlib';
import type { Config } from './config.ts';
import { Transient } from './errors.ts';
import type { ClaimedRun } from './ledger.ts';
import {
  createJson,
  type LandedFile,
  place,
  type RunManifest,
  readJson,
  runNamed,
  type UploadedFile,
} from './manifest.ts';
import type { Window } from './window.ts';
import type { World } from './world.ts';

/** Raw bytes compressed by one call: small enough that the event loop is free again in milliseconds. */
const CHUNK_BYTES = 1 << 20;

/** Compressed bytes of a part: large enough for Spark, small enough to hold for ten windows at once. */
const PART_BYTES = 2 << 20;

/** A marker older than this is written anew, so that the weekly sweep cannot take it away meanwhile. */
const MARKER_RENEWAL_MS = 24 * 3600_000;

/** An attempt that was frozen for longer must not publish: the sweep may take its parts for litter. */
const LONGEST_ATTEMPT_MS = 6 * 3600_000;

export interface Landing {
  readonly run: string;
  /** Compressed bytes so far. */
  readonly bytes: () => number;
  append(line: {
    readonly payload: Buffer;
    readonly meta: Readonly<Record<string, unknown>>;
    /** Epoch ms of the observation; default: now. */
    readonly askedAt?: number;
    readonly records: number;
  }): Promise<void>;
  /** Many small lines at once, a record each, all observed at one time: messages. */
  appendAll(
    lines: readonly {
      readonly payload: Buffer;
      readonly meta: Readonly<Record<string, unknown>>;
    }[],
    askedAt: number,
  ): Promise<void>;
  /**
   * Copies what the lines are made of under the attempt, inside Storage. Not among `files`, whose
   * lines are read.
   */
  keepOriginal(from: {
    readonly bucket: string;
    readonly name: string;
    readonly generation: string;
  }): Promise<UploadedFile['original']>;
  /** Writes what is left and the manifest; returns the manifest that counts, ours or another attempt's. */
  finish(outcome: {
    readonly window: Window | null;
    readonly remaining: Window | null;
    readonly upload?: UploadedFile;
    readonly published?: Readonly<Record<string, number>>;
  }): Promise<RunManifest>;
}

/** Begins an attempt at a run. Nothing is visible to others until `finish`. */
export function openLanding(
  world: World,
  config: Config,
  of: { readonly domain: string; readonly source: string; readonly run: string },
): Landing {
  const attempt = world.random.id();
  const startedAt = world.clock.now();
  const folder = place.bronze(of.domain, of.source, iso(startedAt).slice(0, 10), of.run, attempt);
  const files: LandedFile[] = [];
  let raw: Buffer[] = [];
  let rawBytes = 0;
  let compressed: Buffer[] = [];
  let compressedBytes = 0;
  let lines = 0;
  let records = 0;

  const compress = (): void => {
    if (rawBytes === 0) return;
    const all = Buffer.concat(raw);
    raw = [];
    rawBytes = 0;
    // Gzip members one after another are one valid gzip file (RFC 1952, section 2.2).
    for (let at = 0; at < all.length; at += CHUNK_BYTES) {
      const member = gzipSync(all.subarray(at, at + CHUNK_BYTES), { level: 1 });
      compressed.push(member);
      compressedBytes += member.length;
    }
  };

  const writePart = async (): Promise<void> => {
    compress();
    if (compressedBytes === 0) return;
    const bytes = Buffer.concat(compressed);
    const name = `${folder}part-${String(files.length).padStart(5, '0')}.ndjson.gz`;
    const result = await world.objects.write(config.buckets.bronze, name, bytes, {
      ifGeneration: '0',
      contentType: 'application/gzip',
    });
    if (result.outcome === 'refused') {
      throw new Transient({
        code: 'part_exists',
        message: `${name} exists although its attempt is new; another attempt will use another folder`,
      });
    }
    const { generation, crc32c } = result;
    files.push({ name, generation, crc32c, bytes: bytes.length, lines });
    compressed = [];
    compressedBytes = 0;
    lines = 0;
  };

  const take = async (text: Buffer, count: number, found: number): Promise<void> => {
    raw.push(text);
    rawBytes += text.length;
    lines += count;
    records += found;
    if (rawBytes >= CHUNK_BYTES) compress();
    if (compressedBytes >= PART_BYTES) await writePart();
  };

  return {
    run: of.run,
    bytes: () => files.reduce((sum, file) => sum + file.bytes, compressedBytes),
    async append({ payload, meta, askedAt, records: found }) {
      await take(bronzeLine(payload, meta, askedAt ?? world.clock.now()), 1, found);
    },
    async appendAll(all, askedAt) {
      const observed = JSON.stringify(iso(askedAt));
      for (let from = 0; from < all.length; ) {
        // One buffer for many lines, unless they are large.
        let text = '';
        let count = 0;
        for (; from < all.length && text.length < CHUNK_BYTES; from += 1, count += 1) {
          const { payload, meta } = all[from] as (typeof all)[number];
          text += `{"observed_at":${observed},"meta":${JSON.stringify(meta)},${bodyOf(payload)}}\n`;
        }
        await take(Buffer.from(text), count, count);
      }
    },
    async keepOriginal(from) {
      const name = `${folder}original`;
      const to = { bucket: config.buckets.bronze, name, ifGeneration: '0' };
      const result = await world.objects.copy(from, to);
      const copy = await world.objects.stat(to.bucket, name);
      if (result.outcome === 'refused' || copy?.generation !== result.generation) {
        throw new Transient({
          code: 'part_exists',
          message: `${name} is not the copy that was just made; another attempt will use another folder`,
        });
      }
      const { generation, crc32c, size } = copy;
      return { name, generation, crc32c, bytes: size };
    },
    async finish({ window, remaining, upload, published }) {
      if (world.clock.now() - startedAt > LONGEST_ATTEMPT_MS) {
        throw new Transient({
          code: 'attempt_too_old',
          message: `the attempt at ${of.run} began at ${iso(startedAt)}: its parts may be gone as litter`,
        });
      }
      await writePart();
      const manifest: RunManifest = {
        format: 1,
        ...of,
        attempt,
        window,
        remaining,
        started_at: iso(startedAt),
        finished_at: iso(world.clock.now()),
        files,
        records,
        bytes: files.reduce((sum, file) => sum + file.bytes, 0),
        ...(upload === undefined ? {} : { upload }),
        ...(published === undefined ? {} : { published }),
      };
      // A run that brought nothing needs no batch; its manifest still says that it was read.
      if (files.length > 0) await markWaiting(world, config, of);
      else await markEmpty(world, config, of, manifest.finished_at);
      return publishManifest(world, config, manifest);
    },
  };
}

/** The manifest of a run if some attempt has finished it. */
export async function landed(
  world: World,
  config: Config,
  of: { readonly domain: string; readonly source: string; readonly run: string },
): Promise<RunManifest | null> {
  const name = place.run(of.domain, of.source, of.run);
  const found = await readJson<RunManifest>(world.objects, config.buckets.control, name);
  return found?.value ?? null;
}

/**
 * Puts a run on the list of its domain's next batch.
 * @param options.anew also over a marker that is there: a replay, which must come after whatever
 *   batch has claimed that marker
 */
export async function markWaiting(
  world: World,
  config: Config,
  of: { readonly domain: string; readonly source: string; readonly run: string },
  options: { readonly anew: boolean } = { anew: false },
): Promise<void> {
  const name = place.waiting(of.domain, of.source, of.run);
  const bucket = config.buckets.control;
  const marker = Buffer.from(JSON.stringify({ at: iso(world.clock.now()) }));
  const condition = { contentType: 'application/json' };
  const { outcome } = await world.objects.write(bucket, name, marker, {
    ...condition,
    ifGeneration: '0',
  });
  if (outcome === 'written') return;
  const there = await world.objects.stat(bucket, name);
  const young = there !== null && world.clock.now() - there.updated < MARKER_RENEWAL_MS;
  if (young && !options.anew) return;
  const renewed = await world.objects.write(bucket, name, marker, {
    ...condition,
    ifGeneration: there?.generation ?? '0',
  });
  if (renewed.outcome === 'refused') {
    throw new Transient({
      code: 'marker_contended',
      message: `${name} changed while it was renewed`,
    });
  }
}

/** Has a run that brought nothing found by its day: no part of bronze tells of it. */
async function markEmpty(
  world: World,
  config: Config,
  of: { readonly domain: string; readonly source: string; readonly run: string },
  at: string,
): Promise<void> {
  const name = place.empty(of.domain, of.source, at.slice(0, 10), of.run);
  // Refused: another attempt of the same run has said so.
  await world.objects.write(config.buckets.control, name, Buffer.from('{}'), {
    ifGeneration: '0',
    contentType: 'application/json',
  });
}

/** Takes claimed runs off the waiting list; gone already, or asked for anew meanwhile, is fine. */
export async function removeWaiting(
  world: World,
  config: Config,
  runs: readonly ClaimedRun[],
): Promise<void> {
  for (const { manifest, marker } of runs) {
    const of = runNamed(manifest);
    if (of === null) continue;
    const name = place.waiting(of.domain, of.source, of.run);
    await world.objects.remove(config.buckets.control, name, { ifGeneration: marker });
  }
}

async function publishManifest(
  world: World,
  config: Config,
  manifest: RunManifest,
): Promise<RunManifest> {
  const name = place.run(manifest.domain, manifest.source, manifest.run);
  const created = await createJson(world.objects, config.buckets.control, name, manifest);
  if (created === 'created') return manifest;
  const winner = await readJson<RunManifest>(world.objects, config.buckets.control, name);
  if (winner === null) {
    throw new Transient({ code: 'manifest_vanished', message: `${name} was there and is gone` });
  }
  if (winner.value.attempt !== manifest.attempt) {
    world.log('INFO', 'attempt_adopted', { run: manifest.run, attempt: winner.value.attempt });
  }
  return winner.value;
}

/** One line of bronze: the payload byte for byte, as text where it is UTF-8. */
export function bronzeLine(
  payload: Buffer,
  meta: Readonly<Record<string, unknown>>,
  observedAt: number,
): Buffer {
  const observed = JSON.stringify(iso(observedAt));
  const text = `{"observed_at":${observed},"meta":${JSON.stringify(meta)},${bodyOf(payload)}}\n`;
  return Buffer.from(text);
}

const bodyOf = (payload: Buffer): string =>
  isUtf8(payload)
    ? `"payload":${JSON.stringify(payload.toString('utf8'))}`
    : `"payload_base64":"${payload.toString('base64')}"`;

const iso = (ms: number): string => new Date(ms).toISOString();
