/**
 * Checkpoints of pulled sources: which windows are planned, open and done.
 *
 * A pass's edge is a window's end by our clock, never a date found in data: everything before it
 * is planned, and what is planned and not done stands in `open`. Windows finish in any order; one
 * that was read in part is replaced by what remains of it. Every move is a pure function and a
 * compare-and-set.
 */
import { Transient } from './errors.ts';
import { place, readJson } from './manifest.ts';
import type { Window } from './window.ts';
import type { World } from './world.ts';

export interface Checkpoint {
  readonly format: 1;
  readonly domain: string;
  readonly source: string;
  /** Per pass: everything before this instant is planned. */
  readonly edges: Readonly<Record<string, string>>;
  readonly open: readonly Window[];
  /** The newest finished windows, newest first, at most 50: for people, never for decisions. */
  readonly done: readonly {
    readonly window: Window;
    readonly run: string;
    readonly records: number;
    readonly at: string;
  }[];
  /** One puller at a time; expires by itself. Correctness never depends on it, only economy. */
  readonly lease: { readonly holder: string; readonly until: string } | null;
  /** What stopped the last slice, for people; null = nothing did. */
  readonly trouble: {
    readonly code: string;
    readonly message: string;
    readonly at: string;
    /** It does not pass by itself. */
    readonly needs_person: boolean;
  } | null;
}

export const emptyCheckpoint = (domain: string, source: string): Checkpoint => ({
  format: 1,
  domain,
  source,
  edges: {},
  open: [],
  done: [],
  lease: null,
  trouble: null,
});

export const sameWindow = (a: Window, b: Window): boolean => windowKey(a) === windowKey(b);

/** A window's identity as text. */
export const windowKey = (window: Window): string =>
  JSON.stringify([
    window.pass,
    window.from,
    window.to,
    Object.entries(window.only ?? {}).sort(),
    window.cursor ?? null,
  ]);

/** Adds planned windows and moves the edges of their passes; a window already open stays once. */
export function planned(
  checkpoint: Checkpoint,
  plan: {
    readonly windows: readonly Window[];
    readonly edges: Readonly<Record<string, string>>;
  },
): Checkpoint {
  const fresh = plan.windows.filter(
    (window) => !checkpoint.open.some((open) => sameWindow(open, window)),
  );
  return {
    ...checkpoint,
    edges: { ...checkpoint.edges, ...plan.edges },
    open: [...checkpoint.open, ...fresh],
  };
}

/**
 * A window was read, whole (`remaining` null) or in part, and its run manifest exists. When the
 * window is not open any more somebody else has finished it: nothing changes.
 */
export function finished(
  checkpoint: Checkpoint,
  outcome: {
    readonly window: Window;
    readonly remaining: Window | null;
    readonly run: string;
    readonly records: number;
    readonly at: string;
  },
): Checkpoint {
  const { window, remaining, run, records, at } = outcome;
  if (!checkpoint.open.some((open) => sameWindow(open, window))) return checkpoint;
  return {
    ...checkpoint,
    open: checkpoint.open.flatMap((open) => {
      if (!sameWindow(open, window)) return [open];
      return remaining === null ? [] : [remaining];
    }),
    done: [{ window, run, records, at }, ...checkpoint.done].slice(0, 50),
  };
}

export async function readCheckpoint(
  world: World,
  bucket: string,
  domain: string,
  source: string,
): Promise<Checkpoint> {
  const name = place.checkpoint(domain, source);
  const found = await readJson<Checkpoint>(world.objects, bucket, name);
  return found?.value ?? emptyCheckpoint(domain, source);
}

/** Moves a checkpoint by a pure step; `null` from the step leaves it as it is. */
export async function stepCheckpoint(
  world: World,
  bucket: string,
  domain: string,
  source: string,
  step: (checkpoint: Checkpoint) => Checkpoint | null,
): Promise<Checkpoint> {
  const name = place.checkpoint(domain, source);
  for (let tries = 0; tries < 30; tries += 1) {
    const found = await readJson<Checkpoint>(world.objects, bucket, name);
    const held = found?.value ?? emptyCheckpoint(domain, source);
    const next = step(held);
    if (next === null) return held;
    const { outcome } = await world.objects.write(bucket, name, Buffer.from(JSON.stringify(next)), {
      ifGeneration: found?.generation ?? '0',
      contentType: 'application/json',
    });
    if (outcome === 'written') return next;
    await world.clock.sleep(20 + 200 * world.random.next() * tries);
  }
  throw new Transient({
    code: 'checkpoint_contended',
    message: `the checkpoint of ${domain}.${source} moved 30 times while a step was decided`,
  });
}
