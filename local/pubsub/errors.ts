/**
 * The refusals of the local Pub/Sub, under gRPC's status names.
 * Retry or not: UNAVAILABLE and INTERNAL yes, the others no.
 */
type StatusName =
  | 'INVALID_ARGUMENT'
  | 'NOT_FOUND'
  | 'ALREADY_EXISTS'
  | 'FAILED_PRECONDITION'
  | 'UNIMPLEMENTED'
  | 'UNAVAILABLE'
  | 'INTERNAL';

/** gRPC code and the HTTP status that the REST face uses for it. */
export const STATUS: Readonly<
  Record<StatusName, { readonly code: number; readonly http: number }>
> = {
  INVALID_ARGUMENT: { code: 3, http: 400 },
  NOT_FOUND: { code: 5, http: 404 },
  ALREADY_EXISTS: { code: 6, http: 409 },
  FAILED_PRECONDITION: { code: 9, http: 400 },
  UNIMPLEMENTED: { code: 12, http: 501 },
  INTERNAL: { code: 13, http: 500 },
  UNAVAILABLE: { code: 14, http: 503 },
};

export class PubsubError extends Error {
  readonly status: StatusName;

  constructor(status: StatusName, message: string) {
    super(message);
    this.name = 'PubsubError';
    this.status = status;
  }

  /** gRPC's number, where the official clients have it. */
  get code(): number {
    return STATUS[this.status].code;
  }
}

export const invalid = (message: string): PubsubError =>
  new PubsubError('INVALID_ARGUMENT', message);

export const notFound = (name: string): PubsubError =>
  new PubsubError('NOT_FOUND', `Resource not found (resource=${name.split('/').at(-1)}).`);

export const exists = (name: string): PubsubError =>
  new PubsubError(
    'ALREADY_EXISTS',
    `Resource already exists in the project (resource=${name.split('/').at(-1)}).`,
  );

export const unsupported = (what: string): PubsubError =>
  new PubsubError('UNIMPLEMENTED', `${what} is not supported locally.`);
