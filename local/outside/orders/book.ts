/** The shop's orders as they now stand, in the order in which the API lists them. */

/** One order line as the API gives it. Fields that it does not know are kept. */
export interface OrderRow {
  readonly order_id: string;
  readonly product_id: string;
  /** ISO 8601; a line is listed by it, and appears when it has come. */
  readonly updated_at: string;
  readonly user_id?: string | null;
  /** When it was ordered, ISO 8601. */
  readonly date?: string;
  readonly order_line_id?: string;
  readonly quantity?: number;
  readonly price?: number | string;
  readonly status?: string;
  readonly [more: string]: unknown;
}

/**
 * How lines are listed: oldest update first; so, but each up to `ms` out of its place; newest first;
 * or by order id.
 */
export type Listing = 'updated' | { readonly roughly: number } | 'newest' | 'id';

export interface Line {
  readonly key: string;
  readonly row: OrderRow;
  /** `updated_at`, ms. */
  readonly time: number;
  readonly place: number;
}

/** What makes two rows versions of one line. */
export const keyOf = (row: OrderRow): string =>
  `${row.order_id}:${row.order_line_id ?? row.product_id}`;

export class OrderBook {
  readonly #listing: Listing;
  readonly #byKey = new Map<string, Line>();
  /** By place, then key. */
  #lines: Line[] = [];
  /** Versions whose time has not come, latest first. */
  #later: { readonly at: number; readonly row: OrderRow }[] = [];

  constructor(listing: Listing = 'updated') {
    this.#listing = listing;
  }

  /**
   * Adds versions of lines, in any order; of one line the latest counts.
   * @param visibleAt when they appear, ms; default: at their `updated_at`
   */
  add(rows: readonly OrderRow[], now: number, visibleAt?: number): void {
    const due: OrderRow[] = [];
    const waiting = this.#later.length;
    for (const row of rows) {
      const time = Date.parse(row.updated_at);
      if (Number.isNaN(time)) throw new TypeError(`order ${row.order_id} has no updated_at`);
      const at = visibleAt ?? time;
      if (at > now) this.#later.push({ at, row });
      else due.push(row);
    }
    if (this.#later.length > waiting) this.#later.sort((a, b) => b.at - a.at);
    this.#show(due);
  }

  /** Lets appear what is due. */
  advance(now: number): void {
    const due: OrderRow[] = [];
    for (let next = this.#later.at(-1); next !== undefined && next.at <= now; ) {
      due.push(next.row);
      this.#later.pop();
      next = this.#later.at(-1);
    }
    if (due.length > 0) this.#show(due);
  }

  get(key: string): OrderRow | undefined {
    return this.#byKey.get(key)?.row;
  }

  keys(): readonly string[] {
    return [...this.#byKey.keys()];
  }

  rows(): readonly OrderRow[] {
    return [...this.#byKey.values()].map(({ row }) => row);
  }

  remove(key: string): void {
    const there = this.#byKey.get(key);
    if (there === undefined) return;
    this.#byKey.delete(key);
    this.#lines.splice(this.#indexOf(there), 1);
  }

  /** Lines changed within [since, until), as they are listed. */
  listed(since: number, until: number): readonly Line[] {
    if (this.#listing === 'updated') {
      const from = lowerBound(this.#lines, (line) => line.time < since);
      const to = lowerBound(this.#lines, (line) => line.time < until);
      return this.#lines.slice(from, to);
    }
    return this.#lines.filter(({ time }) => time >= since && time < until);
  }

  #show(rows: readonly OrderRow[]): void {
    // One by one into their places, or all at once when there are many.
    const many = rows.length > 100;
    for (const row of rows) {
      const key = keyOf(row);
      const time = Date.parse(row.updated_at);
      const there = this.#byKey.get(key);
      if (there !== undefined && there.time > time) continue;
      const line = { key, row, time, place: this.#place(key, time) };
      if (there !== undefined && !many) this.#lines.splice(this.#indexOf(there), 1);
      this.#byKey.set(key, line);
      if (!many) this.#lines.splice(this.#indexOf(line), 0, line);
    }
    if (many) this.#lines = [...this.#byKey.values()].sort(byPlace);
  }

  #place(key: string, time: number): number {
    if (this.#listing === 'updated') return time;
    if (this.#listing === 'newest') return -time;
    if (this.#listing === 'id') return 0;
    return time + this.#listing.roughly * (2 * share(`${key} ${time}`) - 1);
  }

  #indexOf(line: Line): number {
    return lowerBound(this.#lines, (other) => byPlace(other, line) < 0);
  }
}

const byPlace = (a: Line, b: Line): number =>
  a.place - b.place || (a.key < b.key ? -1 : a.key > b.key ? 1 : 0);

/** Index of the first line for which `before` does not hold. */
function lowerBound(lines: readonly Line[], before: (line: Line) => boolean): number {
  let low = 0;
  let high = lines.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (before(lines[middle] as Line)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** A number in [0, 1) that depends on the text only (FNV-1a, then murmur3's finaliser). */
function share(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  return ((h ^ (h >>> 13)) >>> 0) / 4_294_967_296;
}
