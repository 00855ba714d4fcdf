/**
 * The refusals of the local Cloud Storage, worded and numbered as the JSON API does.
 * Retry or not: 5xx and 429 yes, everything else no (304 and 412 are answers, not failures).
 */
export class StorageError extends Error {
  readonly status: number;
  /** The API's reason: notFound, conditionNotMet, invalid, conflict, ... */
  readonly reason: string;
  readonly location: { readonly locationType: string; readonly location: string } | undefined;

  constructor(
    status: number,
    reason: string,
    message: string,
    location?: { readonly locationType: string; readonly location: string },
  ) {
    super(message);
    this.name = 'StorageError';
    this.status = status;
    this.reason = reason;
    this.location = location;
  }

  /** The same number under the name the official clients use, so that one handler reads both. */
  get code(): number {
    return this.status;
  }

  /** As `errors` of the official client's ApiError. */
  get errors(): readonly { readonly reason: string; readonly message: string }[] {
    return [{ reason: this.reason, message: this.message }];
  }

  /** The JSON API's error body. */
  body(): Record<string, unknown> {
    const { status: code, message } = this;
    const detail = { message, domain: 'global', reason: this.reason, ...this.location };
    return { error: { code, message, errors: [detail] } };
  }
}

export const noSuchObject = (bucket: string, name: string, generation?: number): StorageError =>
  new StorageError(
    404,
    'notFound',
    `No such object: ${bucket}/${name}${generation === undefined ? '' : `#${generation}`}`,
  );

export const noSuchBucket = (): StorageError =>
  new StorageError(404, 'notFound', 'The specified bucket does not exist.');

export const conditionNotMet = (): StorageError =>
  new StorageError(
    412,
    'conditionNotMet',
    'At least one of the pre-conditions you specified did not hold.',
    { locationType: 'header', location: 'If-Match' },
  );

/** A read whose `...NotMatch` condition says that the caller already has this version. */
export const notModified = (): StorageError => new StorageError(304, 'notModified', 'Not Modified');

export const invalid = (message: string): StorageError => new StorageError(400, 'invalid', message);

export const required = (message: string): StorageError =>
  new StorageError(400, 'required', message);

export const conflict = (message: string): StorageError =>
  new StorageError(409, 'conflict', message);
