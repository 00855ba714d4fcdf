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
  | { readonly kind: 'empty_page' };

export interface Fault {
  /** Requests whose method, path and query contain all of these texts; none = every request. */
  readonly where?: readonly string[];
  readonly trouble: Trouble;
  /** How many matching requests pass unharmed first, and how many then fail (default 1). */
  readonly skip?: number;
  readonly times?: number;
}

/** Faults in order; the first one that matches and is due strikes. */
export class Faults {
  #due: { readonly fault: Fault; skip: number; left: number }[] = [];

  add(faults: readonly Fault[]): void {
    for (const fault of faults)
      this.#due.push({ fault, skip: fault.skip ?? 0, left: fault.times ?? 1 });
  }

  clear(): void {
    this.#due = [];
  }

  strike(request: string): Trouble | undefined {
    for (const one of this.#due) {
      if (one.left <= 0 || !(one.fault.where ?? []).every((text) => request.includes(text)))
        continue;
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
