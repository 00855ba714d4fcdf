/**
 * How long a pull bears with an API that does not answer as it should: one request, asked until there
 * is an answer that can be used, or a reason to stop.
 */
import { Permanent, Transient } from '../errors.ts';
import type { Budget } from '../readers/reader.ts';
import type { HttpAnswer, World } from '../world.ts';
import { LARGEST_ANSWER_BYTES } from './fetch.ts';

/** Full jitter: the n-th wait is anything up to `FIRST_WAIT_MS * 2^n`, at most `LONGEST_WAIT_MS`. */
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 30_000;
const ATTEMPTS = 9;

/** From the first byte sent to the last received; an answer that takes longer is not coming. */
export const TIMEOUT_MS = 30_000;

/** A request may begin this long after the deadline, where a reader needs it to come to a point at
 * which it can stop: with the time limit still within the minute that a function has left then. */
export const GRACE_MS = 20_000;

/** Ends a message about what mends itself: whoever reads it need not do anything. */
export const GOES_ON = 'pulling goes on by itself with the next tick';

/** What a request needs of the run it belongs to. */
export interface Access {
  readonly world: Pick<World, 'fetch' | 'clock' | 'random' | 'log'>;
  readonly baseUrl: string;
  readonly token: () => Promise<string>;
  readonly budget: Budget;
  /** Epoch ms; no wait between attempts goes beyond it. */
  readonly deadline: number;
}

/** What an answer means. */
export type Verdict<A, B> =
  | { readonly kind: 'answer'; readonly answer: A }
  /** A person has to do something. */
  | { readonly kind: 'refused'; readonly failure: Permanent }
  | {
      readonly kind: 'retry';
      /** `<api>_rate_limit` is no failure of the request: waiting for it is bounded by the slice. */
      readonly code: string;
      readonly message: string;
      /** What the API said, or what is known, about when. */
      readonly afterMs?: number;
      /** Trying again within this slice is of no use. */
      readonly pointless?: boolean;
      /** What came whole and is no JSON. */
      readonly broken?: B;
    };

/** When a request went out: what its answer says was true no earlier. */
export interface Asked {
  /** Epoch ms. */
  readonly askedAt: number;
  /** How long the rate budget kept the request back. */
  readonly waitedMs: number;
}

/** One request, as its API wants it asked and answers it. */
export interface Question<A, B> {
  /** `hubspot` or `api`: codes and log lines begin with it. */
  readonly api: string;
  /** Method and path, for messages; the query stays out of them, for it may name a person. */
  readonly named: string;
  /** Beside what every retry tells. */
  readonly told?: Readonly<Record<string, string>>;
  /** The token as a header can carry it. @throws Permanent when none can */
  readonly sendable?: (secret: string) => string;
  /** Waits for whatever there is beside the budget. */
  readonly turn?: () => Promise<void>;
  readonly send: (token: string) => Promise<HttpAnswer>;
  readonly judge: (answer: HttpAnswer, token: string, now: number) => Verdict<A, B>;
  /** What is wrong with an answer that was as broken every time; thrown. */
  readonly unreadable: (message: string, broken: B & Asked) => Transient;
  /** How often a whole answer that is no JSON is asked for in all; default: as any other failure. */
  readonly unreadableTries?: number | undefined;
  /** What to do about an answer too large to be held. */
  readonly tooLarge: string;
}

/** Tokens by the run's own accessor: read once, and again when the API says that it is wrong. */
const tokens = new WeakMap<() => Promise<string>, Promise<string>>();

/**
 * Asks until there is an answer that can be used.
 * @throws Permanent what `judge` and `sendable` refuse, `<api>_answer_too_large`
 * @throws Transient what `judge` says, `<api>_unavailable`, `slice_over`; with `retryAfterMs` where
 *   it is known
 */
export async function askPatiently<A, B>(
  access: Access,
  question: Question<A, B>,
): Promise<A & Asked> {
  const { world, budget } = access;
  const { api, named, judge } = question;
  let token = await tokenOf(access, question);
  let renewed = false;
  let failed = 0;
  let unreadable = 0;
  for (let attempt = 0; ; attempt += 1) {
    await question.turn?.();
    const began = world.clock.now();
    await budget.take();
    const askedAt = world.clock.now();
    const asked = { askedAt, waitedMs: askedAt - began };
    if (askedAt > access.deadline + GRACE_MS) {
      const message = `the slice was over before ${named} could be asked; the next one goes on`;
      throw new Transient({ code: 'slice_over', message });
    }
    let verdict: Verdict<A, B>;
    try {
      verdict = judge(await question.send(token), token, world.clock.now());
    } catch (error) {
      verdict = unanswered(question, error);
    }
    if (verdict.kind === 'answer') return { ...verdict.answer, ...asked };
    if (verdict.kind === 'refused') {
      // A token that was replaced while the run went on.
      if (verdict.failure.code === `${api}_token` && !renewed) {
        renewed = true;
        const fresh = await tokenOf(access, question, { anew: true });
        if (fresh !== token) {
          token = fresh;
          continue;
        }
      }
      throw verdict.failure;
    }
    const { code, message, afterMs, pointless, broken } = verdict;
    if (broken !== undefined) {
      unreadable += 1;
      if (unreadable >= (question.unreadableTries ?? ATTEMPTS)) {
        throw question.unreadable(message, { ...broken, ...asked });
      }
    }
    const wait = pause(afterMs, attempt, world.random.next());
    const tooLate = world.clock.now() + wait > access.deadline;
    if (code !== `${api}_rate_limit`) failed += 1;
    if (failed >= ATTEMPTS || tooLate || pointless === true) {
      const when = afterMs === undefined ? {} : { retryAfterMs: afterMs };
      throw new Transient({ code, message, ...when });
    }
    const waitMs = Math.round(wait);
    world.log('INFO', `${api}_retry`, {
      ...question.told,
      code,
      attempt: attempt + 1,
      wait_ms: waitMs,
    });
    await world.clock.sleep(wait);
  }
}

/** Never with its cause: what a client says of a request may hold the request's headers. */
function unanswered<A, B>({ api, named, tooLarge }: Question<A, B>, error: unknown): Verdict<A, B> {
  if (error instanceof Permanent) {
    const message = `the answer to ${named} is larger than ${LARGEST_ANSWER_BYTES / 2 ** 20} MiB. ${tooLarge}`;
    const code = `${api}_answer_too_large`;
    return { kind: 'refused', failure: new Permanent({ code, message }) };
  }
  const message = `no complete answer to ${named}; ${GOES_ON}`;
  return { kind: 'retry', code: `${api}_unavailable`, message };
}

function pause(afterMs: number | undefined, attempt: number, random: number): number {
  const jitter = random * Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** attempt);
  // A moment after the one that was named, so that those told the same do not return together.
  return afterMs === undefined ? jitter : afterMs + Math.min(1_000, jitter);
}

function tokenOf<A, B>(
  { token }: Access,
  { sendable }: Question<A, B>,
  options = { anew: false },
): Promise<string> {
  const known = tokens.get(token);
  if (known !== undefined && !options.anew) return known;
  const reading = sendable === undefined ? token() : token().then(sendable);
  tokens.set(token, reading);
  // A secret that could not be read is asked for again next time.
  reading.catch(() => tokens.delete(token));
  return reading;
}
