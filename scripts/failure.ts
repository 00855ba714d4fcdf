/** How a command ends badly: with a sentence for the person at the terminal. */
import { Permanent, Transient } from '../functions/errors.ts';

/** A command cannot do what it promises. The message says what to do next. */
export class Failure extends Error {
  override readonly name = 'Failure';
  readonly exitCode: number;
  constructor(
    message: string,
    options: { readonly exitCode?: number; readonly cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause });
    this.exitCode = options.exitCode ?? 1;
  }
}

/** One line for what a person can act on; the whole trace for what only a developer can. */
export function explained(error: unknown): string {
  if (error instanceof Failure || error instanceof Permanent || error instanceof Transient) {
    return error.message;
  }
  if (!(error instanceof Error)) return String(error);
  if (/ECONNREFUSED/.test(`${error.message} ${String(error.cause)}`)) {
    return `no answer from the cloud this command acts on (${error.message}); is ./tributary local still running?`;
  }
  if (/default credentials/i.test(error.message)) {
    return 'nobody is logged in to Google Cloud on this machine; run: gcloud auth application-default login';
  }
  if (/ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNRESET|EHOSTUNREACH|ENETUNREACH/.test(error.message)) {
    return `no connection, so try again later (${error.message})`;
  }
  // What Google's clients say of a refusal: it is whole without the place in their code.
  const { code } = error as Error & { readonly code?: unknown };
  if (typeof code === 'number' && code >= 400 && code < 500)
    return `refused (${code}): ${error.message}`;
  return error.stack ?? error.message;
}
