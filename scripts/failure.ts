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
  return error.stack ?? error.message;
}
