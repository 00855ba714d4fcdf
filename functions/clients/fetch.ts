/** HTTP exchanges with the outside world: one request, one whole answer, one time limit. */
import { Transient } from '../errors.ts';
import type { Fetch } from '../world.ts';

/**
 * Redirects are answers like any other: following one could carry a token to another host. An
 * answer shorter than its content-length rejects, as does one that takes longer than `timeoutMs`
 * from the first byte sent to the last one received.
 */
export const wholeFetch: Fetch = async ({ method, url, headers, body, timeoutMs }) => {
  try {
    const answer = await fetch(url, {
      method,
      headers,
      redirect: 'manual',
      signal: AbortSignal.timeout(timeoutMs),
      ...(body === undefined ? {} : { body }),
    });
    // Reading the body is part of the exchange: a cut connection shows only here.
    const bytes = Buffer.from(await answer.arrayBuffer());
    return { status: answer.status, headers: Object.fromEntries(answer.headers), body: bytes };
  } catch (error) {
    const { origin, pathname } = new URL(url);
    const cause = error instanceof Error ? (error.cause ?? error) : error;
    const reason = cause instanceof Error ? cause.message : String(cause);
    const late = error instanceof Error && error.name === 'TimeoutError';
    throw new Transient({
      code: late ? 'timed_out' : 'no_answer',
      // The query may carry personal data, such as an address that is searched for.
      message: `${method} ${origin}${pathname}: ${late ? `no whole answer in ${timeoutMs} ms` : reason}`,
      cause: error,
    });
  }
};
