/** Structured lines on standard output, as Cloud Logging reads them. */
import type { Log } from './world.ts';

/** Field names that must never reach a log, whatever their value. */
const hidden = /token|secret|password|authorization|recipient|email_address/i;

export const log: Log = (severity, event, fields = {}) => {
  const shown = Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, hidden.test(name) ? '(hidden)' : value]),
  );
  process.stdout.write(`${JSON.stringify({ severity, message: event, event, ...shown })}\n`);
};
