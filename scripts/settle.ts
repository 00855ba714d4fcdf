/** Starts what waits, and waits until everything that has come in stands in the tables. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, InvalidArgumentError } from 'commander';
import { place } from '../functions/manifest.ts';
import { Failure } from './failure.ts';
import {
  drained,
  type PipelineState,
  readPipeline,
  type Unsettled,
  unsettled,
} from './pipeline_state.ts';
import { duration, say } from './progress.ts';
import { openTarget, type Target, type TargetOptions, withTarget } from './target.ts';

/** How often the state is read: quickly on this machine, sparingly on Google Cloud. */
const POLL_MS = { local: 250, deployed: 3_000 };

/** A batch in flight is looked after this often: its failure sends no message. */
const FOLLOW_MS = 3_000;

/** Without any change for this long, the sweep looks for what was lost. */
const SWEEP_MS = 120_000;

/** The same when there are windows to read that nobody reads. */
const READ_MS = 10_000;

/** A backlog is drained anew this often: a slice goes on by itself while there is one. */
const DRAIN_MS = 10_000;

/** A batch manifest that nobody loads for this long may have lost its notification. */
const LOAD_MS = 30_000;

/** People are told what is left at most this often. */
const TOLD_MS = 5_000;

/** Two looks in a row must find nothing: a message may be between two stages. */
const LOOKS = 2;

/**
 * @returns what is stuck; empty = settled
 * @param told called with what is left when that changes, now and then
 */
export async function settle(
  target: Target,
  options: {
    readonly timeoutMs: number;
    /** Only these; default: all. */
    readonly domains?: readonly string[];
    readonly told?: (left: readonly Unsettled[]) => void;
  },
): Promise<readonly Unsettled[]> {
  const poll = POLL_MS[target.name === 'local' ? 'local' : 'deployed'];
  const deadline = Date.now() + options.timeoutMs;
  let quiet = 0;
  let before = '';
  let changedAt = Date.now();
  let toldAt = 0;
  let told = '';
  let asked = new Map<string, number>();
  for (;;) {
    const state = only(await readPipeline(target), options.domains);
    const left = unsettled(state);
    quiet = left.length === 0 ? quiet + 1 : 0;
    if (quiet >= LOOKS) return [];
    const now = Date.now();
    const picture = JSON.stringify(left);
    if (picture !== before) {
      before = picture;
      changedAt = now;
    }
    // Messages come and go all the time; people are told of the work.
    const work = left.map(({ what }) => what).filter((what) => !what.endsWith('acknowledged'));
    if (work.join() !== told && now - toldAt >= TOLD_MS) {
      told = work.join();
      toldAt = now;
      options.told?.(work.length === 0 ? left : left.filter(({ what }) => work.includes(what)));
    }
    // What no retry mends is said at once; waiting would not change it.
    if (left.length > 0 && left.every(({ moves }) => !moves)) return left;
    if (now > deadline) return left;
    asked = await hurry(target, state, asked, now - changedAt);
    await sleep(poll);
  }
}

/** The state as far as it concerns these domains; messages concern everybody. */
function only(state: PipelineState, domains: readonly string[] | undefined): PipelineState {
  if (domains === undefined) return state;
  return {
    ...state,
    sources: state.sources.filter(({ name }) => domains.includes(name.split('.')[0] ?? '')),
    domains: state.domains.filter(({ name }) => domains.includes(name)),
  };
}

/** Asks for the next step of every domain that has one, and for a sweep when nothing moves. */
async function hurry(
  target: Target,
  state: PipelineState,
  asked: ReadonlyMap<string, number>,
  /** For how long nothing has changed. */
  stalledMs: number,
): Promise<Map<string, number>> {
  const now = Date.now();
  const next = new Map(asked);
  const ask = async (key: string, everyMs: number, topic: string, data: object): Promise<void> => {
    if (now - (asked.get(key) ?? 0) < everyMs) return;
    next.set(key, now);
    await target.world.queue.publish(topic, { data: Buffer.from(JSON.stringify(data)) });
  };
  for (const [subscription, source] of drained) {
    if ((state.messages.get(subscription) ?? 0) === 0) continue;
    await ask(`drain ${source}`, DRAIN_MS, 'drain', { source });
  }
  for (const { name, ledger, waiting, recompute } of state.domains) {
    const work = waiting + recompute + ledger.stale > 0 || ledger.in_flight !== null;
    // Runs still being read would miss this batch, and soon make another.
    const reading =
      state.sources.some((source) => source.leased) ||
      [...drained.keys()].some((subscription) => state.messages.has(subscription));
    if (work && (ledger.in_flight !== null || !reading)) {
      await ask(`submit ${name}`, FOLLOW_MS, 'submit-tick', { domain: name, now: true });
    }
  }
  let transforming = false;
  for (const { name, ledger } of state.domains) {
    if (ledger.in_flight === null || stalledMs < LOAD_MS) continue;
    const batch = place.batch(name, ledger.in_flight.sequence);
    const manifest = await target.world.objects.stat(target.config.buckets.control, batch);
    if (manifest !== null) await ask(`load ${name}`, LOAD_MS, 'batch-transformed', { batch });
    else transforming = true;
  }
  // Windows that nobody reads: whoever held the lease died, or only a sweep begins them again.
  const left = state.sources.some(
    ({ checkpoint, leased }) => !leased && checkpoint.open.length > 0 && !checkpoint.trouble,
  );
  if (left && stalledMs > READ_MS) await ask('sweep', READ_MS, 'sweep-tick', {});
  // A batch may take minutes in which nothing is seen to change; it is looked after by submit.
  else if (!transforming && stalledMs > SWEEP_MS) await ask('sweep', SWEEP_MS, 'sweep-tick', {});
  return next;
}

const seconds = (text: string): number => {
  const number = Number(text);
  if (!(number > 0)) throw new InvalidArgumentError('it must be a number of seconds above 0');
  return number;
};

export function declare(command: Command): void {
  withTarget(command)
    .option('--timeout <seconds>', 'give up after this long', seconds, 300)
    .option('--json', 'print JSON', false)
    .addHelpText(
      'after',
      `
Waiting runs start at once instead of after their domain's longest wait. Exit code 0: nothing is
waiting, stale, in flight or unloaded. Exit code 1: what is printed is stuck.

Examples:
  ./tributary tick && ./tributary settle
  ./tributary settle --timeout 900 --env dev`,
    )
    .action(async (options: TargetOptions & { timeout: number; json: boolean }) => {
      const target = await openTarget(options);
      const begun = Date.now();
      const stuck = await settle(target, {
        timeoutMs: options.timeout * 1000,
        told: (left) => {
          if (left.length > 0) say(`waiting: ${left.map(({ what }) => what).join('; ')}`);
        },
      });
      const ms = Date.now() - begun;
      if (options.json) {
        const text = stuck.map(({ what }) => what);
        console.log(
          JSON.stringify({ settled: stuck.length === 0, stuck: text, seconds: ms / 1000 }),
        );
      }
      if (stuck.length > 0) {
        const why = stuck.map(({ what }) => `\n  - ${what}`).join('');
        throw new Failure(`not settled after ${duration(ms)}; stuck:${why}`);
      }
      if (!options.json) console.log(`settled after ${duration(ms)}`);
    });
}
