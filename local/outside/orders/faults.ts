/** What goes wrong. */
export type Trouble =
  | {
      readonly kind: 'status';
      readonly status: number;
      /** Seconds or a date. */
      readonly retryAfter?: string;
      readonly body?: string;
    }
  | { readonly kind: 'bad_token' }
  | { readonly kind: 'forbidden' }
  /** The status and half of the body, then the connection closes. */
  | { readonly kind: 'half_body' }
  /** The connection closes before any answer. */
  | { readonly kind: 'no_answer' }
  /** Never answers. */
  | { readonly kind: 'hang' }
  /** A whole body that is no JSON. */
  | { readonly kind: 'broken_json' }
  /** A page of HTML with status 200, as a gateway in trouble gives. */
  | { readonly kind: 'gateway_page' }
  /** A cursor is refused, however young. */
  | { readonly kind: 'expired_cursor' }
  /** The page names the cursor it was asked with as its next. */
  | { readonly kind: 'same_cursor' }
  /** No orders, but a next page that begins where this one does. */
  | { readonly kind: 'empty_page' }
  /** The token is repeated in the answer. */
  | { readonly kind: 'echoed_token' }
  /** Every page with this order on it cannot be read. */
  | { readonly kind: 'broken_order'; readonly order_id: string; readonly how: Breakage };

/**
 * How an order spoils its page: an escape that JSON does not know; the body ends inside of it; a
 * byte that is no UTF-8; or the body is something else altogether, with status 200.
 */
export type Breakage = 'garbled' | 'cut' | 'not_utf8' | 'replaced';

export interface Fault {
  /** Requests whose path and query contain all of these texts; none = every request. */
  readonly where?: readonly string[];
  readonly trouble: Trouble;
  /**
   * How many matching requests pass unharmed first, and how many then fail (default 1; of pages with
   * a broken order: all).
   */
  readonly skip?: number;
  readonly times?: number;
}

/** Faults in order; the first one that matches and is due strikes. */
export class Faults {
  #due: { readonly fault: Fault; skip: number; left: number }[] = [];

  add(faults: readonly Fault[]): void {
    for (const fault of faults) {
      const always = fault.trouble.kind === 'broken_order' ? Number.POSITIVE_INFINITY : 1;
      this.#due.push({ fault, skip: fault.skip ?? 0, left: fault.times ?? always });
    }
  }

  clear(): void {
    this.#due = [];
  }

  strike(target: string): Trouble | undefined {
    return this.#strike(
      ({ where = [], trouble }) =>
        trouble.kind !== 'broken_order' && where.every((part) => target.includes(part)),
    );
  }

  /** What spoils a page of these orders, and which of them; undefined = nothing does. */
  spoils(ids: readonly string[]): { readonly at: number; readonly how: Breakage } | undefined {
    const trouble = this.#strike(
      (fault) => fault.trouble.kind === 'broken_order' && ids.includes(fault.trouble.order_id),
    );
    if (trouble?.kind !== 'broken_order') return undefined;
    return { at: ids.indexOf(trouble.order_id), how: trouble.how };
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
