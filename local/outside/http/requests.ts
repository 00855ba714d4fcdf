import type { Answer, Request } from './answer.ts';

export interface Stats {
  readonly requests: number;
  readonly in_flight_most: number;
  /** Method and path, ids left out. */
  readonly by_path: Readonly<Record<string, number>>;
  /** Status, or how the connection ended instead. */
  readonly by_status: Readonly<Record<string, number>>;
  readonly bytes: number;
}

const ID_AT_THE_END = /\/\d[^/]*\/?[0-9a-f-]*$/;

/** Keeps account of what was asked of a stand-in and how it was answered. */
export class Requests {
  #answered = 0;
  #bytes = 0;
  #inFlight = 0;
  #inFlightMost = 0;
  #byPath = new Map<string, number>();
  #byStatus = new Map<string, number>();

  get answered(): number {
    return this.#answered;
  }

  /** Around the whole time a request is under way, its latency included. */
  enter(): void {
    this.#inFlight++;
    this.#inFlightMost = Math.max(this.#inFlightMost, this.#inFlight);
  }

  leave(): void {
    this.#inFlight--;
  }

  count({ method, target }: Request, answer: Answer): void {
    const path = new URL(target, 'http://stand-in').pathname.replace(ID_AT_THE_END, '/:id');
    this.#answered++;
    this.#bytes += Buffer.byteLength(answer.body);
    countOne(this.#byPath, `${method} ${path}`);
    countOne(this.#byStatus, answer.ending === 'whole' ? String(answer.status) : answer.ending);
  }

  stats(): Stats {
    return {
      requests: this.#answered,
      bytes: this.#bytes,
      in_flight_most: this.#inFlightMost,
      by_path: Object.fromEntries([...this.#byPath].sort()),
      by_status: Object.fromEntries([...this.#byStatus].sort()),
    };
  }

  reset(): void {
    this.#answered = 0;
    this.#bytes = 0;
    this.#inFlightMost = this.#inFlight;
    this.#byPath.clear();
    this.#byStatus.clear();
  }
}

function countOne(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
