/** Requests that are let out one after another. */
import type { Clock } from '../world.ts';

/**
 * @param waitMs how long the next one has still to wait at this moment, ms; 0 = it goes, and is
 *   counted. What it throws is that one's own; those behind it are asked about in their turn.
 */
export function inTurn(
  clock: Pick<Clock, 'now' | 'sleep'>,
  waitMs: (now: number) => number,
): () => Promise<void> {
  let queue: Promise<void> = Promise.resolve();
  const admit = async (): Promise<void> => {
    for (;;) {
      const wait = waitMs(clock.now());
      if (wait <= 0) return;
      await clock.sleep(wait);
    }
  };
  return () => {
    const turn = queue.then(admit);
    queue = turn.catch(() => undefined);
    return turn;
  };
}
