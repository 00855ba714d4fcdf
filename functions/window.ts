/** A half-open span of a source's time that one pass has to read. */
export interface Window {
  /** `hot`, `again-72h`, `full`, `backfill-<id>`, `reconcile-<id>` */
  readonly pass: string;
  /** ISO 8601 with milliseconds, inclusive. */
  readonly from: string;
  /** ISO 8601 with milliseconds, exclusive. */
  readonly to: string;
  /** Narrower than the span: a reader's own filter, such as `{campaign: '75310262'}`. */
  readonly only?: Readonly<Record<string, string>>;
  /** Where a listing that cannot be cut by time goes on. */
  readonly cursor?: string;
}
