import type { PolicyName } from './limits.ts';

/** What goes wrong. */
export type Trouble =
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly retryAfter?: string;
      readonly body?: string;
    }
  | { readonly kind: 'rate_limit'; readonly policyName: PolicyName; readonly retryAfter?: string }
  /** 477: the account is being moved to another data centre. */
  | { readonly kind: 'migrating'; readonly retryAfter?: string }
  | { readonly kind: 'bad_token' }
  | { readonly kind: 'missing_scope'; readonly scopes: readonly string[] }
  /** The status and half of the body, then the connection closes. */
  | { readonly kind: 'half_body' }
  /** The connection closes before any answer. */
  | { readonly kind: 'no_answer' }
  /** Never answers. */
  | { readonly kind: 'hang' }
  /** A whole body that is no JSON. */
  | { readonly kind: 'broken_json' }
  /** `offset` is refused, however young. */
  | { readonly kind: 'expired_offset' }
  /** The page's `offset` is the one it was asked with. */
  | { readonly kind: 'same_offset' }
  /** No events, but `hasMore` and an offset. */
  | { readonly kind: 'empty_page' }
  /** Every page of email events with this one among them cannot be read. */
  | { readonly kind: 'broken_event'; readonly id: string; readonly how: Breakage };

/**
 * How an event spoils its page: an escape that JSON does not know; the body ends inside of it; a
 * byte that is no UTF-8; or the body is something else altogether, with status 200.
 */
export type Breakage = 'garbled' | 'cut' | 'not_utf8' | 'replaced';

export interface Fault {
  /** Requests whose method, path and query contain all of these texts; none = every request. */
  readonly where?: readonly string[];
  readonly trouble: Trouble;
  /**
   * How many matching requests pass unharmed first, and how many then fail (default 1; of pages with
   * a broken event: all).
   */
  readonly skip?: number;
  readonly times?: number;
}

/** Faults in order; the first one that matches and is due strikes. */
export class Faults {
  #due: { readonly fault: Fault; skip: number; left: number }[] = [];

  add(faults: readonly Fault[]): void {
    for (const fault of faults) {
      const always = fault.trouble.kind === 'broken_event' ? Number.POSITIVE_INFINITY : 1;
      this.#due.push({ fault, skip: fault.skip ?? 0, left: fault.times ?? always });
    }
  }

  clear(): void {
    this.#due = [];
  }

  strike(request: string): Trouble | undefined {
    return this.#strike(
      ({ where = [], trouble }) =>
        trouble.kind !== 'broken_event' && where.every((text) => request.includes(text)),
    );
  }

  get breakEvents(): boolean {
    return this.#due.some(({ fault, left }) => left > 0 && fault.trouble.kind === 'broken_event');
  }

  /** The event that spoils a page of these; undefined = none of them does. */
  spoils(ids: readonly string[]): { readonly at: number; readonly how: Breakage } | undefined {
    const trouble = this.#strike(
      (fault) => fault.trouble.kind === 'broken_event' && ids.includes(fault.trouble.id),
    );
    if (trouble?.kind !== 'broken_event') return undefined;
    return { at: ids.indexOf(trouble.id), how: trouble.how };
  }

  #strike(matches: (fault: Fault) => boolean): Trouble | undefined {
    for (const one of this.#due) {
      if (one.left <= 0 || !matches(one.fault)) continue;
      if (one.skip > 0) {
        one.skip--;
        continue;
      }
      one.left--;
      return one.fault.trouble;
    }
    return undefined;
  }
}
