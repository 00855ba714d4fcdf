/**
 * Submit: waiting runs of a domain become one Spark batch; one batch in flight per domain.
 *
 * The claim stands in the ledger before anything is submitted, and a batch's name follows from
 * sequence and attempt. So whoever comes next, after a crash anywhere, does the same thing again
 * and finds it done: the claim object exists, the batch exists, the load exists.
 */
import type { DomainContract } from '../schemas/contract.ts';
import { catalog } from '../schemas/rendered/catalog.ts';
import type { Config } from './config.ts';
import { classified, Permanent } from './errors.ts';
import { removeWaiting } from './land.ts';
import {
  type ClaimedRun,
  claimed,
  failed,
  type HeldLedger,
  type InFlight,
  type Ledger,
  moveLedger,
  readLedger,
} from './ledger.ts';
import {
  type BatchFailure,
  batchName,
  type Claim,
  createJson,
  type FailedRun,
  place,
  type RunManifest,
  readJson,
  runNamed,
} from './manifest.ts';
import { type Handler, notifiedObject } from './message.ts';
import type { BatchState, StoredObject, World } from './world.ts';

/** A claim whose batch Dataproc does not know for this long was never submitted. */
const LOST_AFTER_MS = 2 * 60_000;

/** Waiting runs looked at for one claim. */
const LISTED_RUNS = 2_000;

/** Domains that Spark transforms: those with sources. */
export const transformedDomains: readonly string[] = Object.keys(catalog.domains).filter((domain) =>
  Object.keys(catalog.sources).some((name) => name.startsWith(`${domain}.`)),
);

/** Messages: a notification of `runs/…` or `loads/…`, or `{domain?, now?}` from a tick or a person. */
export const handle: Handler = async (message, world, config) => {
  const object = notifiedObject(message);
  const named = object?.split('/')[1] ?? message.data['domain'];
  if (named !== undefined && !transformedDomains.includes(String(named))) {
    throw new Permanent({ code: 'unknown_domain', message: `no domain is called "${named}"` });
  }
  const now = message.data['now'] === true;
  if (named !== undefined) {
    await advance(world, config, String(named), { now });
    return;
  }
  // A tick is for all of them: one that is in trouble does not keep the others waiting.
  for (const domain of transformedDomains) {
    try {
      await advance(world, config, domain, { now });
    } catch (failure) {
      const { code, message: reason } = classified(failure);
      world.log('ERROR', 'advance_failed', { domain, code, reason });
    }
  }
};

/** Takes a domain one step further: mends what is in flight, or claims what waits. */
export async function advance(
  world: World,
  config: Config,
  domain: string,
  options: { readonly now: boolean },
): Promise<void> {
  const held = await readLedger(world, config.buckets.control, domain);
  if (held.ledger.in_flight !== null) {
    await follow(world, config, held, held.ledger.in_flight);
    return;
  }
  const work = await waitingWork(world, config, held.ledger, options);
  if (work === null) return;
  const moved = await moveLedger(
    world,
    config.buckets.control,
    held,
    claimed(held.ledger, work, iso(world.clock.now())),
  );
  // Refused: another instance has claimed; what it left is found by the next message.
  if (moved?.ledger.in_flight != null) {
    await submitClaim(world, config, moved.ledger, moved.ledger.in_flight);
  }
}

/** What the next batch should do, or null when it should not start yet. */
async function waitingWork(
  world: World,
  config: Config,
  ledger: Ledger,
  options: { readonly now: boolean },
): Promise<{ readonly runs: readonly ClaimedRun[]; readonly recompute: readonly string[] } | null> {
  const { domain } = ledger;
  const terms = catalog.domains[domain] as DomainContract;
  const bucket = config.buckets.control;
  const markers = await world.objects.list(bucket, place.waitingUnder(domain), {
    limit: LISTED_RUNS,
  });
  const recompute = (
    await world.objects.list(bucket, place.recomputeUnder(domain), { limit: 100 })
  ).map((object) => object.name);
  const runs = await landedRuns(world, config, terms, ledger, markers);
  if (ledger.abandoned !== null && world.clock.now() < abandonedUntil(ledger.abandoned))
    return null;
  if (runs.claimable.length === 0) {
    const stale = ledger.stale > 0 && !ledger.stalled;
    return recompute.length > 0 || stale ? { runs: [], recompute } : null;
  }
  const waited = world.clock.now() - runs.oldest;
  const due =
    options.now ||
    waited >= terms.longest_wait_minutes * 60_000 ||
    runs.bytes >= terms.start_at_bytes ||
    runs.full;
  return due ? { runs: runs.claimable, recompute } : null;
}

/** Every batch in a row that BigQuery refused doubles the pause, up to an hour. */
const abandonedUntil = (trouble: { readonly count: number; readonly at: string }): number =>
  Date.parse(trouble.at) + Math.min(60, 2 ** trouble.count) * 60_000;

/** Waiting runs that have a manifest, oldest first, within what one batch takes. */
async function landedRuns(
  world: World,
  config: Config,
  terms: DomainContract,
  ledger: Ledger,
  markers: readonly StoredObject[],
): Promise<{
  readonly claimable: readonly ClaimedRun[];
  readonly bytes: number;
  readonly oldest: number;
  readonly full: boolean;
}> {
  const most = Math.min(terms.batch_runs, ledger.limit ?? terms.batch_runs);
  const oldestFirst = [...markers].sort(
    (a, b) => a.updated - b.updated || (a.name < b.name ? -1 : 1),
  );
  const claimable: ClaimedRun[] = [];
  let bytes = 0;
  let oldest = Number.POSITIVE_INFINITY;
  let full = false;
  for (const marker of oldestFirst) {
    const of = runNamed(marker.name);
    if (of === null) continue;
    if (claimable.length >= most || bytes >= terms.batch_bytes) {
      full = true;
      break;
    }
    const name = place.run(of.domain, of.source, of.run);
    const manifest = await readJson<RunManifest>(world.objects, config.buckets.control, name);
    if (manifest === null) continue; // still landing, or its attempt died: not accepted yet
    claimable.push({ manifest: name, marker: marker.generation });
    bytes += manifest.value.bytes;
    oldest = Math.min(oldest, marker.updated);
  }
  return { claimable, bytes, oldest, full };
}

/** Writes the claim and submits its batch; both find themselves done when they were done before. */
async function submitClaim(
  world: World,
  config: Config,
  ledger: Ledger,
  flight: InFlight,
): Promise<void> {
  const { domain } = ledger;
  const { sequence, attempt } = flight;
  const claim: Claim = {
    format: 1,
    domain,
    sequence,
    attempt,
    runs: flight.runs.map((run) => run.manifest),
    recompute: flight.recompute,
    base: ledger.base,
    claimed_at: flight.attempted_at,
  };
  const name = place.claim(domain, sequence, attempt);
  await createJson(world.objects, config.buckets.control, name, claim);
  const batch = batchName(domain, sequence, attempt);
  const outcome = await world.batches.create(batch, { args: jobArguments(config, domain, name) });
  world.log('INFO', 'batch_submitted', { domain, batch, runs: flight.runs.length, outcome });
}

/** The job's named arguments; it refuses any it does not know. */
function jobArguments(config: Config, domain: string, claim: string): readonly string[] {
  const { buckets, endpoints, spark } = config;
  const given: readonly (readonly [string, string | undefined])[] = [
    ['--domain', domain],
    ['--claim', claim],
    ['--control-bucket', buckets.control],
    ['--bronze-bucket', buckets.bronze],
    ['--lake-bucket', buckets.lake],
    ['--rejected-bucket', buckets.rejected],
    ['--project', config.project],
    ['--hash-key-secret', spark?.hashKeySecret],
    ['--code-version', spark?.mainPythonFileUri.split('/').at(-2)],
    ['--storage-endpoint', endpoints.storage],
    ['--secrets-endpoint', endpoints.secrets],
  ];
  return given.flatMap(([name, value]) => (value === undefined ? [] : [name, value]));
}

/** Looks after the batch in flight: submits what was lost, answers a failure, leaves the rest alone. */
async function follow(
  world: World,
  config: Config,
  held: HeldLedger,
  flight: InFlight,
): Promise<void> {
  const { domain } = held.ledger;
  const bucket = config.buckets.control;
  // A manifest means this sequence is transformed, whatever became of its attempts.
  if ((await world.objects.stat(bucket, place.batch(domain, flight.sequence))) !== null) return;
  const batch = batchName(domain, flight.sequence, flight.attempt);
  const state = await world.batches.state(batch);
  if (state.state === 'missing') {
    const age = world.clock.now() - Date.parse(flight.attempted_at);
    if (age >= patience(flight)) await submitClaim(world, config, held.ledger, flight);
    return;
  }
  if (state.state === 'pending' || state.state === 'running') return;
  await afterFailure(world, config, held, flight, state);
}

/** How long to wait before an attempt is submitted (again): longer with every failure. */
function patience(flight: InFlight): number {
  const spoiled = flight.attempt - 1;
  return spoiled < 2 ? LOST_AFTER_MS : Math.min(60, 2 ** spoiled) * 60_000;
}

async function afterFailure(
  world: World,
  config: Config,
  held: HeldLedger,
  flight: InFlight,
  state: BatchState,
): Promise<void> {
  const { domain } = held.ledger;
  const bucket = config.buckets.control;
  const said = await readJson<BatchFailure>(
    world.objects,
    bucket,
    place.failure(domain, flight.sequence, flight.attempt),
  );
  // Looked at again: the manifest may have come between the first look and the batch's end.
  if ((await world.objects.stat(bucket, place.batch(domain, flight.sequence))) !== null) return;
  const message = 'message' in state ? state.message : 'ended without a manifest';
  const reason = said === null ? message : `${said.value.code}: ${said.value.message}`;
  const batch = batchName(domain, flight.sequence, flight.attempt);
  world.log('ERROR', 'batch_failed', { domain, batch, reason, runs: flight.runs.length });
  const failure = { reason, blame: blameOf(flight, state, said?.value ?? null) };
  const now = iso(world.clock.now());
  const after = failed(held.ledger, flight, failure, now);
  if (after.next === 'set_aside') await setAside(world, config, flight, after.run, reason);
  if (after.next === 'requests_dropped') {
    await dropRequests(world, config, flight, after.requests, reason);
  }
  if (after.next === 'waits') world.log('ERROR', 'domain_waits', { domain, batch, reason });
  const moved = await moveLedger(world, bucket, held, after.ledger);
  if (moved === null) return;
  const next = moved.ledger.in_flight;
  if (next === null) {
    await advance(world, config, domain, { now: true });
  } else if (next.attempt <= 2 || after.next === 'halved' || after.next === 'requests_dropped') {
    await submitClaim(world, config, moved.ledger, next);
  }
}

/** Batches that ran and were ended from outside this often died of their work: memory, or time. */
const DEATHS_OF_ITS_WORK = 2;

function blameOf(
  flight: InFlight,
  state: BatchState,
  said: BatchFailure | null,
): 'claim' | 'code' | 'environment' {
  if (said?.outside) return 'environment';
  if (said !== null) return said.merged ? 'code' : 'claim';
  if ('ran' in state && !state.ran) return 'environment';
  const deaths = flight.failures.filter((failure) => failure.blame === 'environment').length;
  return deaths >= DEATHS_OF_ITS_WORK ? 'claim' : 'environment';
}

/** A run that fails alone is kept, named and alerted, and no longer stops its domain. */
async function setAside(
  world: World,
  config: Config,
  flight: InFlight,
  run: ClaimedRun,
  reason: string,
): Promise<void> {
  const of = runNamed(run.manifest);
  if (of === null) return;
  const name = place.failed(of.domain, of.source, of.run, flight.sequence);
  await keepFailure(world, config, name, run.manifest, flight, reason);
  await removeWaiting(world, config, [run]);
  world.log('ERROR', 'run_set_aside', { run: run.manifest, reason });
}

/** Requests of an operator with which the batch failed twice: kept beside, no longer asked for. */
async function dropRequests(
  world: World,
  config: Config,
  flight: InFlight,
  requests: readonly string[],
  reason: string,
): Promise<void> {
  const bucket = config.buckets.control;
  for (const request of requests) {
    const name = `failed/${request}`;
    await keepFailure(world, config, name, request, flight, reason);
    const there = await world.objects.stat(bucket, request);
    if (there !== null) {
      await world.objects.remove(bucket, request, { ifGeneration: there.generation });
    }
    world.log('ERROR', 'recompute_dropped', { request, reason });
  }
}

async function keepFailure(
  world: World,
  config: Config,
  name: string,
  run: string,
  flight: InFlight,
  reason: string,
): Promise<void> {
  const record: FailedRun = {
    run,
    sequence: flight.sequence,
    reason,
    failed_at: iso(world.clock.now()),
  };
  await createJson(world.objects, config.buckets.control, name, record);
}

const iso = (ms: number): string => new Date(ms).toISOString();
