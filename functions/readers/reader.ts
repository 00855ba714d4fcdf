/** What every kind of pulled source offers to `pull.ts`. */
import type { Arrival } from '../../schemas/contract.ts';
import type { Checkpoint } from '../checkpoint.ts';
import type { Window } from '../window.ts';
import type { World } from '../world.ts';

/** One answer of the source, as it came. */
export interface Page {
  /** The body, byte for byte. */
  readonly payload: Buffer;
  /**
   * Kept beside the payload in bronze: request path without secrets, status, page number;
   * `unreadable: true` on what could not be read and is landed for Spark to refuse by name;
   * `format` and `columns` where the payload is not JSON.
   */
  readonly meta: Readonly<Record<string, string | number | boolean | readonly string[]>>;
  /**
   * Epoch ms when it was asked for: later observations win, and pages wait in buffers before they
   * are landed. Absent = it is made now.
   */
  readonly askedAt?: number;
  /** Records in it, as far as the reader can tell. */
  readonly records: number;
  /**
   * What is left of the window if the reading stops after this page: null = nothing, it is done;
   * absent = it cannot stop here (a later page would be missed).
   */
  readonly remaining?: Window | null;
}

export interface ReadContext<A extends Arrival> {
  readonly world: World;
  readonly arrival: A;
  readonly domain: string;
  readonly source: string;
  readonly controlBucket: string;
  /** Base URL of the service, without a trailing slash. */
  readonly baseUrl: string;
  readonly token: () => Promise<string>;
  /** Shared by every window of the run. */
  readonly budget: Budget;
  /** Epoch ms after which no new page is begun: the slice is over. */
  readonly deadline: number;
}

/** A rate budget: `take` resolves when one more request may go out. */
export interface Budget {
  take(): Promise<void>;
  /** Learns from an answer's headers. */
  learn(status: number, headers: Readonly<Record<string, string>>): void;
}

export interface Reader<A extends Arrival> {
  /** Windows due now that the checkpoint does not know, and the edges they move. Pure. */
  plan(
    checkpoint: Checkpoint,
    now: number,
    arrival: A,
  ): {
    readonly windows: readonly Window[];
    readonly edges: Readonly<Record<string, string>>;
  };
  /** Cuts a range a person asked for (backfill) into windows. Pure. */
  range(from: string, to: string, pass: string, arrival: A): readonly Window[];
  /** Windows read at once within one run. */
  readonly parallel: number;
  pages(window: Window, context: ReadContext<A>): AsyncIterable<Page>;
}
