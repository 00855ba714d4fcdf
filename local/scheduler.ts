/** Cloud Scheduler: publishes a message when a schedule is due, in UTC, to the minute. */

export interface Schedule {
  readonly name: string;
  /** Five fields: minute, hour, day of the month, month, day of the week. */
  readonly cron: string;
  readonly paused: boolean;
  /** `projects/P/topics/T` */
  readonly topic: string;
  /** Base64. */
  readonly data: string;
  readonly attributes: Readonly<Record<string, string>>;
}

/** A schedule that cannot be read; the message says what is wrong with it. */
export class WrongSchedule extends Error {
  override readonly name = 'WrongSchedule';
}

const FIELDS = [
  { name: 'minute', from: 0, to: 59 },
  { name: 'hour', from: 0, to: 23 },
  { name: 'day of the month', from: 1, to: 31 },
  { name: 'month', from: 1, to: 12 },
  { name: 'day of the week', from: 0, to: 7 },
] as const;

/** Reads a schedule. @returns whether it is due in the minute of an instant (epoch ms) */
export function dueOf(cron: string): (ms: number) => boolean {
  const parts = cron.trim().split(/\s+/);
  if (parts.length !== FIELDS.length) throw new WrongSchedule(`"${cron}" has not five fields`);
  const sets = FIELDS.map(({ name, from, to }, i) => {
    const values = new Set<number>();
    for (const item of (parts[i] ?? '').split(',')) {
      const read = /^(?:\*|(\d+)(?:-(\d+))?)(?:\/(\d+))?$/.exec(item);
      const low = Number(read?.[1] ?? from);
      // `5/10` counts on from 5, as `5-59/10` does.
      const high = Number(
        read?.[2] ?? (read?.[1] !== undefined && read[3] === undefined ? low : to),
      );
      const step = Number(read?.[3] ?? 1);
      if (read === null || step < 1 || low < from || high > to || low > high) {
        throw new WrongSchedule(`"${cron}": ${item} is no ${name}`);
      }
      for (let value = low; value <= high; value += step) values.add(value);
    }
    return values;
  });
  const [minutes, hours, days, months, weekdays] = sets as [
    Set<number>,
    Set<number>,
    Set<number>,
    Set<number>,
    Set<number>,
  ];
  if (weekdays.has(7)) weekdays.add(0);
  const anyDay = parts[2]?.startsWith('*') === true;
  const anyWeekday = parts[4]?.startsWith('*') === true;
  return (ms) => {
    const time = new Date(ms);
    const inDays = days.has(time.getUTCDate());
    const inWeekdays = weekdays.has(time.getUTCDay());
    // cron's old rule: with both given, either suffices.
    const onDay = anyDay || anyWeekday ? inDays && inWeekdays : inDays || inWeekdays;
    return (
      onDay &&
      minutes.has(time.getUTCMinutes()) &&
      hours.has(time.getUTCHours()) &&
      months.has(time.getUTCMonth() + 1)
    );
  };
}

export interface SchedulerOptions {
  readonly schedules: readonly Schedule[];
  readonly publish: (
    topic: string,
    message: { readonly data: Buffer; readonly attributes: Readonly<Record<string, string>> },
  ) => Promise<unknown>;
  /** Nothing fires by itself. */
  readonly quiet: boolean;
  readonly log: (line: string) => void;
}

const MINUTE_MS = 60_000;

export class Scheduler {
  readonly schedules: readonly Schedule[];
  readonly #options: SchedulerOptions;
  readonly #due: ReadonlyMap<string, (ms: number) => boolean>;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: SchedulerOptions) {
    this.schedules = options.schedules;
    this.#options = options;
    this.#due = new Map(options.schedules.map(({ name, cron }) => [name, dueOf(cron)]));
  }

  /** Fires at every full minute from now on; minutes of an earlier life are not made up for. */
  start(): void {
    if (this.#options.quiet) return;
    const next = Math.floor(Date.now() / MINUTE_MS + 1) * MINUTE_MS;
    this.#timer = setTimeout(() => {
      void this.at(next);
      this.start();
    }, next - Date.now());
  }

  /** Fires what is due in the minute of an instant. */
  async at(ms: number): Promise<readonly string[]> {
    const due = this.schedules.filter(
      ({ name, paused }) => !paused && this.#due.get(name)?.(ms) === true,
    );
    await Promise.all(
      due.map(({ name }) =>
        this.run(name).catch((error: unknown) => {
          this.#options.log(`the schedule ${name} did not fire: ${String(error)}`);
        }),
      ),
    );
    return due.map(({ name }) => name);
  }

  /** Fires one schedule now, paused or not. */
  async run(name: string): Promise<void> {
    const schedule = this.schedules.find((each) => each.name === name);
    if (schedule === undefined) throw new WrongSchedule(`no schedule is called ${name}`);
    const { topic, data, attributes } = schedule;
    await this.#options.publish(topic, { data: Buffer.from(data, 'base64'), attributes });
  }

  close(): void {
    clearTimeout(this.#timer);
  }
}
