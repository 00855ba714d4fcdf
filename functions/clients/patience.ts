/** How long a pull bears with a service that does not answer as it should. */

/** Full jitter: the n-th wait is anything up to `FIRST_WAIT_MS * 2^n`, at most `LONGEST_WAIT_MS`. */
export const FIRST_WAIT_MS = 500;
export const LONGEST_WAIT_MS = 30_000;
export const ATTEMPTS = 9;

/** From the first byte sent to the last received; an answer that takes longer is not coming. */
export const TIMEOUT_MS = 30_000;

/** A request may begin this long after the deadline, where a reader needs it to come to a point at
 * which it can stop: with the time limit still within the minute that a function has left then. */
export const GRACE_MS = 20_000;

/** Ends a message about what mends itself: whoever reads it need not do anything. */
export const GOES_ON = 'pulling goes on by itself with the next tick';
