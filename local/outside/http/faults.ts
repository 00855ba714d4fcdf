/** What goes wrong with any HTTP API; each stand-in adds what only its own does. */
export type HttpTrouble =
  | {
      readonly kind: 'status';
      readonly status: number;
      /** Seconds or a date. */
      readonly retryAfter?: string;
      readonly body?: string;
    }
  | { readonly kind: 'bad_token' }
  /** The status and half of the body, then the connection closes. */
  | { readonly kind: 'half_body' }
  /** The connection closes before any answer. */
  | { readonly kind: 'no_answer' }
  /** Never answers. */
  | { readonly kind: 'hang' }
  /** A whole body that is no JSON. */
  | { readonly kind: 'broken_json' }
  /** Nothing on the page, and yet a next one that begins where this one does. */
  | { readonly kind: 'empty_page' }
  /** Every page with the record of this id on it cannot be read. */
  | BrokenRecord;

interface BrokenRecord {
  readonly kind: 'broken_record';
  readonly id: string;
  readonly how: Breakage;
}

/**
 * How a record spoils its page: an escape that JSON does not know; the body ends inside of it; a
 * byte that is no UTF-8; or the body is something else altogether, with status 200.
 */
export type Breakage = 'garbled' | 'cut' | 'not_utf8' | 'replaced';

/** A record that spoils its page: its place among the page's records. */
export interface Spoilt {
  readonly at: number;
  readonly how: Breakage;
}

export interface FaultOf<Trouble> {
  /** Requests whose method, path and query contain all of these texts; none = every request. */
  readonly where?: readonly string[];
  readonly trouble: Trouble;
  /**
   * How many matching requests pass unharmed first, and how many then fail (default 1; of pages with
   * a broken record: all).
   */
  readonly skip?: number;
  readonly times?: number;
}

/** Faults in order; the first one that matches and is due strikes. */
export class Faults<Own extends { readonly kind: string }> {
  #due: { readonly fault: FaultOf<HttpTrouble | Own>; skip: number; left: number }[] = [];

  add(faults: readonly FaultOf<HttpTrouble | Own>[]): void {
    for (const fault of faults) {
      const always = breaksRecord(fault.trouble) ? Number.POSITIVE_INFINITY : 1;
      this.#due.push({ fault, skip: fault.skip ?? 0, left: fault.times ?? always });
    }
  }

  clear(): void {
    this.#due = [];
  }

  /** @param request method, path and query */
  strike(request: string): HttpTrouble | Own | undefined {
    return this.#strike(
      ({ where = [], trouble }) =>
        !breaksRecord(trouble) && where.every((text) => request.includes(text)),
    );
  }

  get breakRecords(): boolean {
    return this.#due.some(({ fault, left }) => left > 0 && breaksRecord(fault.trouble));
  }

  /** What spoils a page of these records, and which of them; undefined = nothing does. */
  spoils(ids: readonly string[]): Spoilt | undefined {
    const trouble = this.#strike(
      (fault) => breaksRecord(fault.trouble) && ids.includes(fault.trouble.id),
    );
    if (trouble === undefined || !breaksRecord(trouble)) return undefined;
    return { at: ids.indexOf(trouble.id), how: trouble.how };
  }

  #strike(matches: (fault: FaultOf<HttpTrouble | Own>) => boolean): HttpTrouble | Own | undefined {
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

function breaksRecord(trouble: { readonly kind: string }): trouble is BrokenRecord {
  return trouble.kind === 'broken_record';
}
