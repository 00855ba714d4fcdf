/**
 * What BigQuery answers when it refuses: `reason` is one of its own reasons, `code` the HTTP status that goes with it.
 * A refusal of a job ends in `status.errorResult`, a refusal of a call in the error body; both carry the same words.
 */
type Reason =
  | 'invalid'
  | 'invalidQuery'
  | 'notFound'
  | 'duplicate'
  | 'backendError'
  | 'bytesBilledLimitExceeded'
  | 'notImplemented'
  | 'resourceInUse';

const CODES: Readonly<Record<Reason, number>> = {
  invalid: 400,
  invalidQuery: 400,
  notFound: 404,
  duplicate: 409,
  backendError: 503,
  bytesBilledLimitExceeded: 400,
  notImplemented: 501,
  resourceInUse: 400,
};

export class Refusal extends Error {
  readonly reason: Reason;
  readonly code: number;
  /** `query` for a fault in SQL, the URI for a fault in a file. */
  readonly location: string | undefined;

  constructor(reason: Reason, message: string, location?: string) {
    super(message);
    this.name = 'Refusal';
    this.reason = reason;
    this.code = CODES[reason];
    this.location = location;
  }
}

/** Line and column of an offset, as BigQuery writes them: `[1:8]`, both counted from 1. */
export function position(source: string, at: number): string {
  const before = source.slice(0, at);
  const line = before.split('\n').length;
  return `[${line}:${at - before.lastIndexOf('\n')}]`;
}

/** A fault in SQL. `at` is the offset in the source; the message gets its position when the source is known. */
export class QueryFault extends Error {
  readonly at: number;

  constructor(message: string, at: number) {
    super(message);
    this.name = 'QueryFault';
    this.at = at;
  }

  in(source: string): Refusal {
    return new Refusal('invalidQuery', `${this.message} at ${position(source, this.at)}`, 'query');
  }
}

/** Refuses a form or function that GoogleSQL has and this server does not: refused, never guessed. */
export function unsupported(what: string, at: number): QueryFault {
  return new QueryFault(`${what} is not supported locally`, at);
}

/** Any fault as what BigQuery would say; an unknown one is backendError, so that a caller tries again and the log tells. */
export function refusalOf(error: unknown, source: string): Refusal {
  if (error instanceof Refusal) return error;
  if (error instanceof QueryFault) return error.in(source);
  return new Refusal('backendError', error instanceof Error ? error.message : String(error));
}

/** How a refusal stands in an answer. */
export interface ErrorProto {
  readonly reason: string;
  readonly message: string;
  readonly location?: string;
}

export function errorProto({ reason, message, location }: Refusal): ErrorProto {
  return { reason, message, ...(location !== undefined && { location }) };
}
