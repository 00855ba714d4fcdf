/** Trying again: which answers of Google's APIs are worth it, and how long to wait between. */
import { Permanent, Transient } from '../errors.ts';

/** One try's failure, in the terms that decide what follows. */
export interface Refused {
  /** HTTP status, or 0 when there was no answer. */
  readonly status: number;
  readonly message: string;
}

/** Network trouble, overload and the server's own faults pass; other refusals do not. */
export const passes = ({ status }: Refused): boolean =>
  status === 0 || status === 408 || status === 429 || status >= 500;

/** Tries within one call; whoever called is itself called again after that. */
const TRIES = 5;
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 8_000;

/**
 * Calls until it works, with full-jitter backoff.
 * @param attempt one try; `tries` counts from 0, so a later one knows that an earlier may have
 *   taken effect although its answer was lost
 * @param refused reads a throw; null = not a refusal of the service, passed on as it is
 * @throws Transient after the last try, Permanent for what no retry mends
 */
export async function tryAgain<T>(
  about: string,
  attempt: (tries: number) => Promise<T>,
  refused: (error: unknown) => Refused | null,
): Promise<T> {
  for (let tries = 0; ; tries += 1) {
    try {
      return await attempt(tries);
    } catch (error) {
      const why = refused(error);
      if (why === null) throw error;
      const message = `${about}: ${why.status === 0 ? '' : `${why.status} `}${why.message}`;
      if (!passes(why)) {
        throw new Permanent({ code: `refused_${why.status}`, message, cause: error });
      }
      if (tries + 1 >= TRIES) {
        throw new Transient({ code: `unavailable_${why.status}`, message, cause: error });
      }
    }
    const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 4 ** tries);
    await new Promise((resolve) => setTimeout(resolve, Math.random() * longest));
  }
}
