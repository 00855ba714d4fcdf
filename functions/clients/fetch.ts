/** HTTP exchanges with the outside world: one request, one whole answer, one time limit. */
import { Permanent, Transient } from '../errors.ts';
import type { Fetch } from '../world.ts';

/**
 * Bytes of an answer, decompressed. It is held three times over while it is read (bytes, text,
 * values), beside what has been read ahead; functions that fetch have 1 GiB.
 */
export const LARGEST_ANSWER_BYTES = 64 * 1024 * 1024;

/**
 * Redirects are answers like any other: following one could carry a token to another host. An
 * answer shorter than its content-length rejects, as does one that takes longer than `timeoutMs`
 * from the first byte sent to the last one received.
 * @throws Transient `timed_out`, `no_answer`
 * @throws Permanent `answer_too_large`: the same question would be answered as largely again
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
    const bytes = await wholeBody(answer);
    if (bytes === null) {
      const { origin, pathname } = new URL(url);
      const code = 'answer_too_large';
      const message = `${method} ${origin}${pathname}: the answer is larger than ${LARGEST_ANSWER_BYTES} bytes`;
      throw new Permanent({ code, message });
    }
    return { status: answer.status, headers: Object.fromEntries(answer.headers), body: bytes };
  } catch (error) {
    if (error instanceof Permanent) throw error;
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

/** The body; null when there is too much of it, of which the rest is not even received. */
async function wholeBody({ body }: Response): Promise<Buffer | null> {
  const parts: Uint8Array[] = [];
  let length = 0;
  // Leaving the loop early ends the connection.
  for await (const part of body ?? []) {
    length += part.byteLength;
    if (length > LARGEST_ANSWER_BYTES) return null;
    parts.push(part);
  }
  return Buffer.concat(parts, length);
}
