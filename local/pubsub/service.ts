/**
 * What both faces (gRPC and REST) need of the running service: the state, the waiting pullers, and
 * the promises that a change is on the disk.
 */
import type { Dispatcher } from './dispatch.ts';
import type { PubsubState } from './state.ts';

export interface Service {
  readonly state: PubsubState;
  readonly dispatcher: Dispatcher;
  /** Resolves when every published message so far is on the disk. */
  readonly messagesDurable: () => Promise<void>;
  /** Resolves when every other change so far is on the disk. */
  readonly journalDurable: () => Promise<void>;
  /** How long an empty pull waits. */
  readonly pullWaitMs: number;
}
