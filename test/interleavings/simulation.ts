/**
 * A world in which time is a number and every order is drawn from a seed.
 *
 * Whatever a process asks of the world is a call of two steps, its effect and its answer, each at
 * an instant of virtual time that the seed draws; so calls of several processes interleave, overtake
 * each other and stay unanswered when their process is killed. Nothing here reads real time or real
 * randomness: the same seed gives the same run, event by event.
 */

/** Seeded random numbers (mulberry32). */
export class Seeded {
  #state: number;
  constructor(seed: number) {
    this.#state = seed >>> 0;
    // Neighbouring seeds begin alike: stir before the first draw.
    for (let i = 0; i < 3; i += 1) this.next();
  }
  /** In [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  }
  /** In every other run none, else some share up to the most: each trouble is also seen alone. */
  rate(most: number): number {
    return this.chance(0.5) ? most * this.next() : 0;
  }
  chance(share: number): boolean {
    return share > 0 && this.next() < share;
  }
  /** A whole number from `from` to `to`, both included. */
  whole(from: number, to: number): number {
    return from + Math.floor(this.next() * (to - from + 1));
  }
  between(from: number, to: number): number {
    return from + this.next() * (to - from);
  }
  pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.next() * list.length)] as T;
  }
  id(): string {
    const half = (): string =>
      Math.floor(this.next() * 4294967296)
        .toString(16)
        .padStart(8, '0');
    return half() + half();
  }
}

/** One running program: a handler at work on a message, or a Spark driver. */
export interface Process {
  readonly id: number;
  readonly name: string;
  /** How far its clock is off, milliseconds. */
  readonly skew: number;
  alive: boolean;
  /** Nothing of it moves before this instant: an instance without a processor for a while. */
  frozenUntil: number;
  /** Told once when it is killed. */
  onKilled: () => void;
}

/** What becomes of one call. */
export type Fate =
  | 'plain'
  /** The process dies before the effect, or after it and before the answer. */
  | 'cut_before'
  | 'cut_after'
  /** Refused without effect, as by a 503 that outlasted the client's own tries. */
  | 'refused'
  /** The effect happened, the caller hears of a failure. */
  | 'answer_lost'
  /** The effect happened, the client did not hear of it and asked again. */
  | 'repeated'
  /** The effect, or the answer, comes minutes later. */
  | 'late_effect'
  | 'late_answer'
  /** The whole process stands still for up to 25 minutes, beyond its lease and its timeout. */
  | 'frozen';

/** Decides the fate of every call, in the order in which they are made. */
export type Fates = (
  call: { readonly service: string; readonly verb: string; readonly what: string },
  process: Process,
) => Fate;

/** What must hold does not. */
export class Broken extends Error {
  override readonly name = 'Broken';
}

/** A failure of the other side: what a deployed client throws when its own tries are used up. */
class Unavailable extends Error {
  override readonly name = 'Unavailable';
}

interface Event {
  readonly at: number;
  readonly order: number;
  readonly run: () => void | Promise<void>;
}

/** Events that a failure shows, and of those that changed something; more with TRACE=5000. */
const TRACE = Number(globalThis.process.env['TRACE'] ?? 60);

export class Simulation {
  /** Epoch milliseconds. */
  now: number;
  readonly random: Seeded;
  fates: Fates = () => 'plain';
  /** Set by a broken invariant; the run ends with it. */
  broken: Broken | null = null;
  /** Calls made so far. */
  calls = 0;
  events = 0;
  readonly #trace: string[] = [];
  readonly #landmarks: string[] = [];
  readonly #traced: boolean;
  readonly #seed: number;
  #heap: Event[] = [];
  #order = 0;
  #processes = 0;

  constructor(options: { readonly seed: number; readonly start: number; readonly trace: boolean }) {
    this.random = new Seeded(options.seed);
    this.now = options.start;
    this.#traced = options.trace;
    this.#seed = options.seed;
  }

  spawn(name: string, skew = 0): Process {
    this.#processes += 1;
    return {
      id: this.#processes,
      name,
      skew,
      alive: true,
      frozenUntil: 0,
      onKilled: () => undefined,
    };
  }

  kill(process: Process): void {
    if (!process.alive) return;
    process.alive = false;
    this.note(process, 'KILLED', 'landmark');
    process.onKilled();
  }

  /** Runs something after so many milliseconds of virtual time. */
  after(ms: number, run: () => void | Promise<void>): void {
    this.#push({ at: this.now + Math.max(0, ms), order: ++this.#order, run });
  }

  /** The same for a process: never when it is dead, later when it is frozen. */
  afterIn(process: Process, ms: number, run: () => void | Promise<void>): void {
    this.after(ms, () => {
      if (!process.alive) return;
      if (process.frozenUntil <= this.now) return run();
      this.afterIn(process, process.frozenUntil - this.now, run);
    });
  }

  /** Resolves after so many milliseconds, unless the process is dead by then. */
  sleep(process: Process, ms: number): Promise<void> {
    return new Promise((resolve) => this.afterIn(process, ms, resolve));
  }

  /** One call of a process to the world; `repeat` is what the client's second try would find. */
  call<T>(
    process: Process,
    service: string,
    verb: string,
    what: string,
    effect: () => T | Promise<T>,
    repeat?: (first: T) => T | Promise<T>,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      if (!process.alive) return;
      this.calls += 1;
      const fate = this.fates({ service, verb, what }, process);
      const late = (): number => this.random.between(10_000, 300_000);
      const answer = (ms: number, settle: () => void): void => this.afterIn(process, ms, settle);
      if (fate === 'frozen') {
        process.frozenUntil = this.now + this.random.between(60_000, 1_500_000);
        this.note(process, 'FREEZES', 'landmark');
      }
      const act = async (): Promise<void> => {
        if (fate === 'cut_before') {
          this.note(process, `${service}.${verb} ${what}: cut before`);
          return this.kill(process);
        }
        if (fate === 'refused') {
          this.note(process, `${service}.${verb} ${what}: refused`);
          return answer(this.#latency(), () => reject(new Unavailable(`${service} ${verb}: 503`)));
        }
        let result: T;
        try {
          result = await effect();
        } catch (error) {
          this.note(process, `${service}.${verb} ${what}: throws ${String(error)}`);
          return answer(this.#latency(), () => reject(error));
        }
        if (this.#traced) {
          this.note(process, `${service}.${verb} ${what} -> ${shown(result)} (${fate})`);
        }
        if (fate === 'cut_after') return this.kill(process);
        if (fate === 'answer_lost') {
          return answer(this.#latency(), () =>
            reject(new Unavailable(`${service} ${verb}: no answer`)),
          );
        }
        if (fate === 'repeated' && repeat !== undefined) {
          const first = result;
          return this.afterIn(process, this.random.between(50, 5_000), async () => {
            const second = await repeat(first);
            this.note(process, `${service}.${verb} ${what} again -> ${shown(second)}`);
            answer(this.#latency(), () => resolve(second));
          });
        }
        answer(fate === 'late_answer' ? late() : this.#latency(), () => resolve(result));
      };
      this.afterIn(process, fate === 'late_effect' ? late() : this.#latency(), act);
    });
  }

  /** Mostly milliseconds, sometimes seconds: enough for any two calls to overtake each other. */
  #latency(): number {
    const draw = this.random.next();
    return draw < 0.9 ? 1 + 60 * draw : 1_000 * draw * this.random.next() * 4;
  }

  /** Writes an event into the trace; landmarks are kept longer than what lies between them. */
  note(process: Process | null, text: string, kind: 'event' | 'landmark' = 'event'): void {
    if (!this.#traced) return;
    const who = process === null ? '' : `${process.name}#${process.id} `;
    const line = `${new Date(this.now).toISOString()} ${who}${text}`;
    const kept = kind === 'landmark' ? this.#landmarks : this.#trace;
    kept.push(line);
    if (kept.length > TRACE) kept.shift();
  }

  /** Ends the run: this does not hold. */
  break(what: string): void {
    this.broken ??= new Broken(what);
  }

  /** What did not hold, with the seed and the last events before it. */
  failure(what: string): Broken {
    const trace = ['-- what happened', ...this.#landmarks, '-- the last calls', ...this.#trace];
    return new Broken([`seed ${this.#seed}: ${what}`, ...trace].join('\n    '));
  }

  /** Around a whole run. @throws Broken with its seed and trace when something does not hold */
  async guard(work: () => Promise<void>): Promise<void> {
    // A rejection that nobody waits for would end the instance of a deployed function.
    const floating = (reason: unknown): void =>
      this.break(`a promise was left alone and rejected: ${String(reason)}`);
    globalThis.process.on('unhandledRejection', floating);
    const { stackTraceLimit } = Error;
    // Refusals are everyday answers here; writing their stacks would be most of the work.
    Error.stackTraceLimit = 0;
    try {
      await work();
      await settled();
      if (this.broken !== null) throw this.broken;
    } catch (error) {
      throw this.failure(error instanceof Error ? error.message : String(error));
    } finally {
      Error.stackTraceLimit = stackTraceLimit;
      globalThis.process.off('unhandledRejection', floating);
    }
  }

  /** Runs events until the given instant, a broken invariant, or `until` says so. */
  async run(end: number, until: () => boolean = () => false): Promise<void> {
    for (;;) {
      const next = this.#heap[0];
      if (next === undefined || next.at > end || until()) break;
      this.#pop();
      this.now = next.at;
      this.events += 1;
      await next.run();
      await settled();
      if (this.broken !== null) throw this.broken;
    }
    if (this.now < end && !until()) this.now = end;
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(event, heap[parent] as Event)) break;
      heap[at] = heap[parent] as Event;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Event;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1] as Event, heap[child] as Event)) {
        child += 1;
      }
      if (!before(heap[child] as Event, last)) break;
      heap[at] = heap[child] as Event;
      at = child;
    }
    heap[at] = last;
  }
}

const before = (a: Event, b: Event): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);

/** Lets every continuation that is ready run: nothing in the simulation waits for real I/O. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function shown(value: unknown): string {
  if (value === undefined) return 'ok';
  const text = JSON.stringify(value, (key, inner: unknown) =>
    key === 'bytes' || key === 'body' ? '…' : inner,
  );
  return text.length > 160 ? `${text.slice(0, 160)}…` : text;
}
