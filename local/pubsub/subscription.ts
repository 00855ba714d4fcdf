/**
 * One subscription: what is waiting, what is out, what comes back when. Times are epoch ms, given
 * by the caller. A message is in exactly one place: `backlog` (never delivered), `ready` (to be
 * delivered again now), `retries` (later), leased, or held behind an earlier message of its key.
 */
import {
  DEFAULT_EXPIRATION,
  DEFAULT_RETENTION,
  type PushConfig,
  type SubscriptionConfig,
} from './config.ts';
import { compileFilter, type Filter } from './filter.ts';
import type { MessageStore } from './messages.ts';
import { Agenda, NumberQueue } from './queue.ts';

export interface Delivery {
  readonly ackId: string;
  readonly number: number;
  /** 1 and up. Shown to subscribers only under a dead-letter policy. */
  readonly attempt: number;
}

/** What one subscriber has out: the server's flow control reads it. */
export interface Flow {
  messages: number;
  bytes: number;
}

interface Lease {
  deadline: number;
  readonly serial: number;
  readonly key: string;
  readonly size: number;
  readonly flow: Flow | undefined;
}

/** `at`: when it is retried; READY, HELD, RESTORED = it waits for nothing but its turn. */
interface Failure {
  count: number;
  at: number;
}

interface KeyState {
  /** Leased messages of the key, rising. */
  readonly out: number[];
  /** Messages of the key that must wait, rising. */
  held: number[];
  blocked: boolean;
}

export interface LeaseOptions {
  readonly maxMessages: number;
  readonly maxBytes?: number;
  /** Default: the subscription's ack deadline. */
  readonly deadlineMs?: number;
  readonly flow?: Flow;
}

/** Decides what becomes of a message that failed `count` times. */
type OnFailure = (number: number, count: number) => 'dead-lettered' | 'again';

const READY = -1;
const HELD = -2;
const RESTORED = -3;
const LEASE_STEP_MS = 100;
const PUSH_BACKOFF_MS = 100;
const PUSH_BACKOFF_MAX_MS = 60_000;
const PUSHES_OUT = 64;

export class Subscription {
  readonly id: number;
  config: SubscriptionConfig;
  filter: Filter;
  /** Rises with every seek: acknowledgements of deliveries before it mean nothing any more. */
  epoch = 0;
  /** Last pull, push or acknowledgement. */
  active: number;
  readonly #store: MessageStore;
  readonly #onFailure: OnFailure;
  readonly #backlog = new NumberQueue();
  readonly #ready = new NumberQueue();
  readonly #retries = new Agenda<number>();
  readonly #leases = new Map<number, Lease>();
  readonly #deadlines = new Agenda<number>();
  readonly #failures = new Map<number, Failure>();
  /** Acknowledged while waiting in `ready`: dropped when their turn comes. */
  readonly #acknowledged = new Set<number>();
  readonly #keys = new Map<string, KeyState>();
  readonly #blockedKeys = new Agenda<string>();
  readonly #freeKeys = new Set<string>();
  /** Everything within the retention, where acknowledged messages are kept for seeks. */
  readonly #retained = new NumberQueue();
  #serial = 0;
  #pushFailures = 0;
  #pausedUntil = 0;

  constructor(options: {
    readonly id: number;
    readonly config: SubscriptionConfig;
    readonly store: MessageStore;
    readonly now: number;
    readonly onFailure: OnFailure;
  }) {
    this.id = options.id;
    this.config = options.config;
    this.filter = options.config.filter ? compileFilter(options.config.filter) : () => true;
    this.#store = options.store;
    this.#onFailure = options.onFailure;
    this.active = options.now;
  }

  get push(): PushConfig | undefined {
    return this.config.pushConfig?.pushEndpoint ? this.config.pushConfig : undefined;
  }

  get ackDeadlineMs(): number {
    return (this.config.ackDeadlineSeconds ?? 10) * 1000;
  }

  get retentionMs(): number {
    return (this.config.messageRetentionSeconds ?? DEFAULT_RETENTION) * 1000;
  }

  /** Undefined = never. */
  get expiresAt(): number | undefined {
    const seconds = this.config.expirationSeconds ?? DEFAULT_EXPIRATION;
    return seconds === 0 ? undefined : this.active + seconds * 1000;
  }

  get out(): number {
    return this.#leases.size;
  }

  /** Unacknowledged messages, for status pages; may count expired ones that nobody has met yet. */
  get unacknowledged(): number {
    let held = 0;
    for (const key of this.#keys.values()) held += key.held.length;
    const waiting = this.#backlog.length + this.#ready.length - this.#acknowledged.size;
    let retries = 0;
    for (const _ of this.#retries) retries += 1;
    return waiting + retries + held + this.#leases.size;
  }

  // --- in

  /** The store holds one release for us. */
  offer(number: number): void {
    this.#backlog.push(number);
    if (this.config.retainAckedMessages) this.#retained.push(number);
  }

  /** Takes up a message of an earlier process. */
  restore(number: number, unacknowledged: boolean, failures: number): void {
    if (unacknowledged || this.config.retainAckedMessages) this.#store.retain(number);
    if (this.config.retainAckedMessages) this.#retained.push(number);
    if (!unacknowledged) return;
    this.#backlog.push(number);
    if (failures > 0) this.#failures.set(number, { count: failures, at: RESTORED });
  }

  /** Changes the declaration; the filter stays what it was. */
  change(config: SubscriptionConfig): void {
    const before = this.config.retainAckedMessages === true;
    const after = config.retainAckedMessages === true;
    this.config = config;
    if (before === after) return;
    const unacknowledged = this.unacknowledgedNumbers();
    if (after) {
      for (const number of unacknowledged) this.#retained.push(number);
      return;
    }
    const kept = new Set(unacknowledged);
    for (const number of this.#retained) if (!kept.has(number)) this.#store.release(number);
    this.#retained.clear();
  }

  /** Lets every message go: the subscription is deleted. */
  drop(): void {
    const held = this.config.retainAckedMessages ? this.#retained : this.unacknowledgedNumbers();
    for (const number of held) this.#store.release(number);
  }

  // --- out

  /** Whether `lease` may find something. */
  hasDeliverable(): boolean {
    return this.#ready.length > 0 || this.#backlog.length > 0 || this.#freeKeys.size > 0;
  }

  /**
   * Leases up to `maxMessages` whose bodies sum to at most `maxBytes`; the first is always given.
   */
  lease(
    now: number,
    {
      maxMessages,
      maxBytes = Number.POSITIVE_INFINITY,
      deadlineMs = this.ackDeadlineMs,
      flow,
    }: LeaseOptions,
  ): Delivery[] {
    const deliveries: Delivery[] = [];
    let bytes = 0;
    while (deliveries.length < maxMessages) {
      const number = this.#next(now);
      if (number === undefined) break;
      const size = this.#store.size(number);
      if (deliveries.length > 0 && bytes + size > maxBytes) {
        this.#giveBack(number);
        break;
      }
      bytes += size;
      deliveries.push(this.#deliver(number, { deadline: now + deadlineMs, size, flow }));
    }
    if (deliveries.length > 0) this.active = now;
    return deliveries;
  }

  /** Returns a message that `#next` took to its place at the front. */
  #giveBack(number: number): void {
    const name = this.#keyOf(number);
    const failure = this.#failures.get(number);
    if (failure) failure.at = name === '' ? READY : HELD;
    if (name === '') {
      this.#ready.unshift(number);
      return;
    }
    this.#keyState(name).held.unshift(number);
    this.#freeKeys.add(name);
  }

  #next(now: number): number | undefined {
    for (const name of this.#freeKeys) {
      const key = this.#keys.get(name);
      while (key && this.#mayDeliver(key)) {
        const number = key.held.shift();
        if (number === undefined) break;
        if (!this.#expired(number, now)) return number;
      }
      this.#freeKeys.delete(name);
      if (key) this.#freeKey(name, key);
    }
    for (;;) {
      const number = this.#ready.shift() ?? this.#backlog.shift();
      if (number === undefined) return undefined;
      if (this.#acknowledged.delete(number) || this.#expired(number, now)) continue;
      const name = this.#keyOf(number);
      const key = name === '' ? undefined : this.#keys.get(name);
      if (!key || (key.held.length === 0 && this.#mayDeliver(key))) return number;
      key.held.push(number);
      const failure = this.#failures.get(number);
      if (failure) failure.at = HELD;
    }
  }

  #expired(number: number, now: number): boolean {
    if (this.#store.publishTime(number) + this.retentionMs > now) return false;
    this.#settle(number);
    return true;
  }

  /** A push endpoint gets one message of a key at a time, a puller all in order. */
  #mayDeliver(key: KeyState): boolean {
    return !key.blocked && (this.push === undefined || key.out.length === 0);
  }

  #keyOf(number: number): string {
    return this.config.enableMessageOrdering ? this.#store.orderingKey(number) : '';
  }

  #keyState(name: string): KeyState {
    let key = this.#keys.get(name);
    if (!key) {
      key = { out: [], held: [], blocked: false };
      this.#keys.set(name, key);
    }
    return key;
  }

  #deliver(number: number, { deadline, size, flow }: Omit<Lease, 'serial' | 'key'>): Delivery {
    const name = this.#keyOf(number);
    if (name !== '') {
      this.#keyState(name).out.push(number);
    }
    this.#serial += 1;
    const lease = { deadline: roundUp(deadline), serial: this.#serial, key: name, size, flow };
    if (flow) {
      flow.messages += 1;
      flow.bytes += size;
    }
    this.#leases.set(number, lease);
    this.#deadlines.add(lease.deadline, number);
    const ackId = `${this.id}-${this.epoch}-${number}-${this.#serial}`;
    return { ackId, number, attempt: (this.#failures.get(number)?.count ?? 0) + 1 };
  }

  // --- back

  /**
   * Acknowledges; a late acknowledgement of a message that waits for its next delivery counts too.
   * Returns the number of the message, or undefined if it was settled before or the id is foreign.
   */
  acknowledge(ackId: string, now: number): number | undefined {
    const number = this.#parse(ackId)?.number;
    if (number === undefined) return undefined;
    const lease = this.#leases.get(number);
    const failure = this.#failures.get(number);
    if (!lease && !failure) return undefined;
    this.active = now;
    if (lease) {
      this.#unlease(number, lease);
      this.#removeFromKey(number, lease.key);
    } else if (failure) {
      if (failure.at >= 0) this.#retries.delete(failure.at, number);
      else if (failure.at === HELD) this.#unhold(number);
      // The delivery was another process's; the message comes once more.
      else if (failure.at === RESTORED) return undefined;
      else if (this.#acknowledged.has(number)) return undefined;
      else this.#acknowledged.add(number);
    }
    this.#pushFailures = 0;
    this.#settle(number);
    return number;
  }

  /** Moves the deadline of a current lease to `now + ms`; 0 gives the message back. */
  modify(ackId: string, ms: number, now: number): void {
    const parsed = this.#parse(ackId);
    const lease = parsed && this.#leases.get(parsed.number);
    if (!parsed || !lease || lease.serial !== parsed.serial) return;
    this.active = now;
    if (ms <= 0) {
      this.fail(parsed.number, now);
      return;
    }
    this.#deadlines.delete(lease.deadline, parsed.number);
    lease.deadline = roundUp(now + ms);
    this.#deadlines.add(lease.deadline, parsed.number);
  }

  /** A push that was not answered well: the message fails, and the endpoint may get a pause. */
  refuse(ackId: string, now: number): void {
    this.modify(ackId, 0, now);
    if (this.config.retryPolicy || now < this.#pausedUntil) return;
    // Without a policy the redelivery is immediate, but an endpoint that keeps failing is given
    // the service's push backoff: 100 ms, doubled up to 60 s, until something succeeds.
    const pause = Math.min(PUSH_BACKOFF_MAX_MS, PUSH_BACKOFF_MS * 2 ** this.#pushFailures);
    this.#pausedUntil = now + pause;
    this.#pushFailures += 1;
  }

  /** How many pushes may start now. */
  pushRoom(now: number): number {
    return now < this.#pausedUntil ? 0 : Math.max(0, PUSHES_OUT - this.#leases.size);
  }

  /** The message was nacked or its lease ran out. */
  fail(number: number, now: number): void {
    const lease = this.#leases.get(number);
    if (!lease) return;
    this.#unlease(number, lease);
    const failure = this.#failures.get(number) ?? { count: 0, at: READY };
    failure.count += 1;
    this.#failures.set(number, failure);
    if (this.#onFailure(number, failure.count) === 'dead-lettered') {
      this.#removeFromKey(number, lease.key);
      this.#settle(number);
      return;
    }
    const delay = this.#backoffMs(failure.count);
    if (lease.key !== '') {
      this.#blockKey(number, lease.key, now + delay, delay > 0);
    } else if (delay > 0) {
      failure.at = now + delay;
      this.#retries.add(failure.at, number);
    } else {
      failure.at = READY;
      this.#ready.push(number);
    }
  }

  #backoffMs(count: number): number {
    const policy = this.config.retryPolicy;
    if (!policy) return 0;
    const low = (policy.minimumBackoffSeconds ?? 10) * 1000;
    const high = (policy.maximumBackoffSeconds ?? 600) * 1000;
    return Math.min(high, low * 2 ** Math.min(count - 1, 30));
  }

  failuresOf(number: number): number {
    return this.#failures.get(number)?.count ?? 0;
  }

  #unlease(number: number, lease: Lease): void {
    this.#leases.delete(number);
    this.#deadlines.delete(lease.deadline, number);
    if (lease.flow) {
      lease.flow.messages -= 1;
      lease.flow.bytes -= lease.size;
    }
  }

  #settle(number: number): void {
    this.#failures.delete(number);
    if (!this.config.retainAckedMessages) this.#store.release(number);
  }

  #parse(ackId: string): { readonly number: number; readonly serial: number } | undefined {
    const [id, epoch, number, serial] = ackId.split('-');
    if (Number(id) !== this.id || Number(epoch) !== this.epoch) return undefined;
    const parsed = { number: Number(number), serial: Number(serial) };
    return Number.isSafeInteger(parsed.number) ? parsed : undefined;
  }

  // --- ordering

  /** An earlier message of the key comes back: all later ones of the key come back behind it. */
  #blockKey(number: number, name: string, until: number, wait: boolean): void {
    const key = this.#keys.get(name) as KeyState;
    const back = key.out.filter((other) => other >= number);
    key.out.splice(0, key.out.length, ...key.out.filter((other) => other < number));
    for (const other of back) {
      const lease = this.#leases.get(other);
      if (lease) this.#unlease(other, lease);
      const failure = this.#failures.get(other) ?? { count: 0, at: HELD };
      failure.at = HELD;
      this.#failures.set(other, failure);
    }
    key.held = [...back, ...key.held];
    if (wait) {
      if (!key.blocked) this.#blockedKeys.add(until, name);
      key.blocked = true;
    } else {
      this.#freeKeys.add(name);
    }
  }

  #removeFromKey(number: number, name: string): void {
    if (name === '') return;
    const key = this.#keys.get(name);
    if (!key) return;
    const at = key.out.indexOf(number);
    if (at >= 0) key.out.splice(at, 1);
    this.#freeKey(name, key);
  }

  #unhold(number: number): void {
    const name = this.#keyOf(number);
    const key = this.#keys.get(name);
    if (!key) return;
    key.held = key.held.filter((other) => other !== number);
    this.#freeKey(name, key);
  }

  #freeKey(name: string, key: KeyState): void {
    if (key.held.length > 0) {
      if (this.#mayDeliver(key)) this.#freeKeys.add(name);
    } else if (key.out.length === 0 && !key.blocked) {
      this.#keys.delete(name);
      this.#freeKeys.delete(name);
    }
  }

  // --- time

  /** The next moment at which `advance` or a push has something to do; undefined = never. */
  nextDueAt(now: number): number | undefined {
    const times = [this.#deadlines.nextAt(), this.#retries.nextAt(), this.#blockedKeys.nextAt()];
    if (this.push && this.hasDeliverable() && this.#leases.size < PUSHES_OUT) {
      times.push(Math.max(now, this.#pausedUntil));
    }
    const head = this.#backlog.peek();
    if (head !== undefined) times.push(this.#store.publishTime(head) + this.retentionMs);
    const kept = this.#retained.peek();
    if (kept !== undefined) times.push(this.#store.publishTime(kept) + this.retentionMs);
    times.push(this.expiresAt);
    return earliest(times);
  }

  /** Applies what has become due. Returns whether something became deliverable. */
  advance(now: number): boolean {
    let changed = false;
    for (const number of this.#deadlines.take(now)) {
      // An earlier message of the key may have taken this one back already.
      if (!this.#leases.has(number)) continue;
      changed = true;
      this.fail(number, now);
    }
    for (const number of this.#retries.take(now)) {
      const failure = this.#failures.get(number);
      if (failure) failure.at = READY;
      this.#ready.push(number);
      changed = true;
    }
    for (const name of this.#blockedKeys.take(now)) {
      const key = this.#keys.get(name);
      if (!key) continue;
      key.blocked = false;
      this.#freeKey(name, key);
      changed = true;
    }
    this.#trim(now);
    return changed;
  }

  /** Drops what is older than the retention. */
  #trim(now: number): void {
    const limit = now - this.retentionMs;
    for (;;) {
      const head = this.#backlog.peek();
      if (head === undefined || this.#store.publishTime(head) > limit) break;
      this.#backlog.shift();
      if (!this.#acknowledged.delete(head)) this.#settle(head);
    }
    for (;;) {
      const head = this.#retained.peek();
      if (head === undefined || this.#store.publishTime(head) > limit) break;
      this.#retained.shift();
      this.#store.release(head);
    }
  }

  // --- everything

  /** Numbers of all unacknowledged messages, rising. */
  unacknowledgedNumbers(): Float64Array {
    const numbers: number[] = [...this.#leases.keys(), ...this.#ready, ...this.#retries];
    for (const key of this.#keys.values()) for (const number of key.held) numbers.push(number);
    const all = new Float64Array(numbers.length + this.#backlog.length);
    let used = 0;
    for (const number of numbers) if (!this.#acknowledged.has(number)) all[used++] = number;
    for (const number of this.#backlog) if (!this.#acknowledged.has(number)) all[used++] = number;
    return all.subarray(0, used).sort();
  }

  *failureCounts(): Generator<readonly [number, number]> {
    for (const [number, { count }] of this.#failures) if (count > 0) yield [number, count];
  }

  /**
   * Seek: everything published before `time` counts as acknowledged, everything kept since then as
   * not. `more` are numbers (rising) since `time` that only the topic still keeps.
   */
  seek(time: number, more: readonly number[]): void {
    const since = (number: number): boolean => this.#store.publishTime(number) >= time;
    const before = this.unacknowledgedNumbers();
    const own = this.config.retainAckedMessages ? [...this.#retained] : [...before];
    const known = new Set(own);
    const added = more.filter((number) => !known.has(number));
    for (const number of added) this.#store.retain(number);
    const all = [...own, ...added].sort((a, b) => a - b);
    const fresh = all.filter(since);
    if (this.config.retainAckedMessages) {
      this.#retained.clear();
      for (const number of all) this.#retained.push(number);
    } else {
      for (const number of before) if (!since(number)) this.#store.release(number);
    }
    this.epoch += 1;
    this.#ready.clear();
    this.#retries.clear();
    for (const [number, lease] of this.#leases) this.#unlease(number, lease);
    this.#deadlines.clear();
    this.#failures.clear();
    this.#acknowledged.clear();
    this.#keys.clear();
    this.#blockedKeys.clear();
    this.#freeKeys.clear();
    this.#backlog.clear();
    for (const number of fresh) this.#backlog.push(number);
  }
}

const roundUp = (at: number): number => Math.ceil(at / LEASE_STEP_MS) * LEASE_STEP_MS;

/** The smallest defined time. */
export function earliest(times: readonly (number | undefined)[]): number | undefined {
  let first: number | undefined;
  for (const at of times) {
    if (at !== undefined && (first === undefined || at < first)) first = at;
  }
  return first;
}
