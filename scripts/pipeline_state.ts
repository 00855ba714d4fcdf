/** What a pipeline has still to do, read from its control objects and its subscriptions. */
import { type Checkpoint, readCheckpoint } from '../functions/checkpoint.ts';
import { type Ledger, readLedger } from '../functions/ledger.ts';
import { place } from '../functions/manifest.ts';
import { drainedSubscription, functions, isPulled } from '../functions/settings.ts';
import { transformedDomains } from '../functions/submit.ts';
import { catalog } from '../schemas/rendered/catalog.ts';
import type { Target } from './target.ts';

export interface SourceState {
  readonly name: string;
  readonly checkpoint: Checkpoint;
  readonly leased: boolean;
}

export interface DomainState {
  readonly name: string;
  readonly ledger: Ledger;
  readonly waiting: number;
  readonly recompute: number;
  /** Runs set aside because they failed alone. */
  readonly failed: number;
}

export interface PipelineState {
  readonly sources: readonly SourceState[];
  readonly domains: readonly DomainState[];
  /** Messages that functions have not acknowledged, by subscription. */
  readonly messages: ReadonlyMap<string, number>;
  /** Messages that nobody takes any more, by subscription of a dead letter topic. */
  readonly dead: ReadonlyMap<string, number>;
}

/** Sources by the subscription that their messages are drained from. */
export const drained: ReadonlyMap<string, string> = new Map(
  Object.entries(catalog.sources).flatMap(([name, { arrives }]) =>
    arrives.kind === 'pubsub_messages' ? [[drainedSubscription(arrives.topic), name]] : [],
  ),
);

/** Names of the functions' own subscriptions, as infra/function.ts makes them, and of drained ones. */
const inboxes: ReadonlySet<string> = new Set([
  ...functions.flatMap(({ name, inboxes }) => inboxes.map(({ topic }) => `${name}--${topic}`)),
  ...drained.keys(),
]);

const pulled = Object.entries(catalog.sources).flatMap(([name, { arrives }]) =>
  isPulled(arrives) ? [name] : [],
);

export async function readPipeline(target: Target): Promise<PipelineState> {
  const { world, config } = target;
  const { control } = config.buckets;
  const now = world.clock.now();
  const [sources, domains, backlog] = await Promise.all([
    Promise.all(
      pulled.map(async (name) => {
        const [domain = '', source = ''] = name.split('.');
        const checkpoint = await readCheckpoint(world, control, domain, source);
        const leased = checkpoint.lease !== null && Date.parse(checkpoint.lease.until) > now;
        return { name, checkpoint, leased };
      }),
    ),
    Promise.all(
      transformedDomains.map(async (name) => {
        const [{ ledger }, waiting, recompute, failed] = await Promise.all([
          readLedger(world, control, name),
          world.objects.list(control, place.waitingUnder(name)),
          world.objects.list(control, place.recomputeUnder(name)),
          world.objects.list(control, `failed/${name}/`),
        ]);
        return {
          name,
          ledger,
          waiting: waiting.length,
          recompute: recompute.length,
          failed: failed.length,
        };
      }),
    ),
    target.backlog(),
  ]);
  const some = [...backlog].filter(([, count]) => count > 0);
  return {
    sources,
    domains,
    messages: new Map(some.filter(([name]) => inboxes.has(name))),
    dead: new Map(some.filter(([name]) => !inboxes.has(name))),
  };
}

/** Spark's messages carry whole plans after their first line. */
const brief = (reason: string): string => (reason.split('\n')[0] ?? '').slice(0, 300);

/** Sentences on what is not done, and whether it can move on by itself. */
export interface Unsettled {
  readonly what: string;
  /** False = it stays as it is until a person does something. */
  readonly moves: boolean;
}

export function unsettled(state: PipelineState): readonly Unsettled[] {
  const moving = (what: string): Unsettled => ({ what, moves: true });
  return [
    ...state.sources.flatMap(({ name, checkpoint, leased }): Unsettled[] => {
      if (checkpoint.open.length === 0 && !leased) return [];
      const windows = `${name}: ${checkpoint.open.length} windows to read`;
      const { trouble } = checkpoint;
      if (trouble === null) return [moving(windows)];
      return [
        { what: `${windows}, stopped by ${trouble.code}: ${trouble.message}`, moves: leased },
      ];
    }),
    ...state.domains.flatMap(({ name, ledger, waiting, recompute }): Unsettled[] => {
      const flight = ledger.in_flight;
      const failure = flight?.failures.at(-1);
      return [
        ...(flight === null
          ? []
          : [
              moving(
                `${name}: batch ${flight.sequence}, attempt ${flight.attempt}, of ${flight.runs.length} runs is not loaded${failure === undefined ? '' : `; the attempt before failed: ${brief(failure.reason)}`}`,
              ),
            ]),
        ...(flight === null && waiting > 0 ? [moving(`${name}: ${waiting} runs wait`)] : []),
        ...(recompute > 0 ? [moving(`${name}: ${recompute} requests to compute again`)] : []),
        ...(ledger.stale > 0 ? [moving(`${name}: ${ledger.stale} partitions are stale`)] : []),
      ];
    }),
    ...[...state.messages].map(([subscription, count]) =>
      moving(`${subscription}: ${count} messages not acknowledged`),
    ),
  ];
}
