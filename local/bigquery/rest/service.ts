/** What the REST API's parts share, and how each says which calls it answers. */
import type { DuckdbStore } from '../duckdb.ts';
import type { State } from '../state.ts';

export interface Service {
  readonly store: DuckdbStore;
  readonly state: State;
  readonly projectId: string;
  /** The one location that all datasets lie in. */
  readonly location: string;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export type Body = Readonly<Record<string, unknown>>;

export interface Call {
  readonly query: URLSearchParams;
  readonly body: Body;
  /** What the route's pattern captured of the path. */
  readonly params: readonly string[];
}

/** Method, path below the project, and what answers with the resource; undefined is an empty answer. */
export type Route = readonly [
  method: string,
  path: RegExp,
  answer: (call: Call) => Promise<unknown> | unknown,
];
