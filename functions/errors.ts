/** Errors answer one question: is trying again of any use? */

interface Detail {
  /** Stable, lower snake case; logs, `ops` and tests name it. */
  readonly code: string;
  /** What happened, what was received, and what to do. Never a secret, never personal data. */
  readonly message: string;
  readonly cause?: unknown;
}

/** The same step may succeed later: the message is not acknowledged, the schedule comes again. */
export class Transient extends Error {
  override readonly name = 'Transient';
  readonly code: string;
  /** Not before this many milliseconds, where the other side said so. */
  readonly retryAfterMs: number | null;
  constructor(detail: Detail & { readonly retryAfterMs?: number }) {
    super(detail.message, { cause: detail.cause });
    this.code = detail.code;
    this.retryAfterMs = detail.retryAfterMs ?? null;
  }
}

/** Trying again changes nothing until a person does something; the message says what. */
export class Permanent extends Error {
  override readonly name = 'Permanent';
  readonly code: string;
  constructor(detail: Detail) {
    super(detail.message, { cause: detail.cause });
    this.code = detail.code;
  }
}

/** What an unknown throw means: unforeseen, so worth another try, under a code that shows it. */
export function classified(error: unknown): Transient | Permanent {
  if (error instanceof Transient || error instanceof Permanent) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new Transient({ code: 'unforeseen', message, cause: error });
}
