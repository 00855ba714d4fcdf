/** The deployed handlers in a simulated world, from an empty project to the end of all work. */

import type { Config } from '../../functions/config.ts';
import { handle as load } from '../../functions/load.ts';
import type { Handler } from '../../functions/message.ts';
import { handle as pull } from '../../functions/pull.ts';
import { handle as reconcile } from '../../functions/reconcile.ts';
import { functionOf, functions } from '../../functions/settings.ts';
import { handle as submit } from '../../functions/submit.ts';
import { handle as sweep } from '../../functions/sweep.ts';
import type { World } from '../../functions/world.ts';
import { scheduleOf } from '../../schemas/contract.ts';
import { Account, DAY_MS } from './account.ts';
import { Buckets } from './buckets.ts';
import { catalog } from './contracts.ts';
import { calm, Deliveries, type Mail } from './delivery.ts';
import { Oracle } from './oracle.ts';
import { type Fates, type Process, Simulation } from './simulation.ts';
import { calmSpark, Spark, type SparkWeather } from './spark.ts';
import { calmJobs, type JobWeather, Tables } from './warehouse.ts';
import { config, worldOf as simulatedWorld } from './world.ts';

const MINUTE_MS = 60_000;

/** Eighty minutes before the second reading of what lies before six. */
export const START = Date.UTC(2026, 10, 21, 5, 40);

const names = config.buckets;

const handlers: Readonly<Record<string, Handler>> = { pull, submit, load, sweep, reconcile };

/** The functions of the email path; drains are simulated apart (drained.ts). */
const simulated = functions.filter(
  ({ name, entry }) => entry in handlers && (entry !== 'pull' || name === 'pull-hubspot'),
);

/** Everything that goes wrong, and until when. */
export interface Weather {
  readonly fates: Fates;
  readonly mail: Mail;
  readonly spark: SparkWeather;
  readonly jobs: JobWeather;
  /** The account answers some requests with 429 and 502. */
  readonly hubspot: boolean;
  /** Longest time that the account takes for an answer, milliseconds. */
  readonly slow: number;
  /** Minutes after the start at which all of it stops. */
  readonly minutes: number;
}

export const fair: Weather = {
  fates: () => 'plain',
  mail: calm,
  spark: calmSpark,
  jobs: calmJobs,
  hubspot: false,
  slow: 0,
  minutes: 0,
};

export interface Plan {
  readonly seed: number;
  readonly weather: (simulation: Simulation) => Weather;
  readonly events: number;
  /** Events that break the job. */
  readonly poison?: number;
  /** Events that make every answer with them unreadable. */
  readonly garbled?: number;
  /** Minutes by which the account may show or change an event late; above 5, hot passes miss it. */
  readonly lateness?: number;
  /** Events of an answer. */
  readonly page: number;
  /** Objects of a listing's page. */
  readonly listed: number;
  /** Minutes until the first look whether all is done, and until it must be. */
  readonly settled: number;
  readonly patience: number;
  readonly trace?: boolean;
  /** Sets up what a scenario needs, before anything runs. */
  readonly prepare?: (pipeline: Pipeline) => void;
}

export interface Pipeline {
  readonly simulation: Simulation;
  readonly buckets: Buckets;
  readonly tables: Tables;
  readonly account: Account;
  readonly spark: Spark;
  readonly deliveries: Deliveries;
  readonly oracle: Oracle;
  readonly config: Config;
  /** A world for a process that no message started: an operator at the command line. */
  readonly worldOf: (process: Process) => World;
  /** How often each event was logged. */
  readonly logged: Map<string, number>;
  /** Minutes since the start, when all was done. */
  finished: number;
}

/**
 * Runs a plan to its end.
 * @throws Broken naming the seed, what did not hold, and the last events before it
 */
export async function run(plan: Plan): Promise<Pipeline> {
  const pipeline = build(plan);
  const { simulation, oracle } = pipeline;
  await simulation.guard(async () => {
    let faults: readonly string[] = [];
    for (let minutes = plan.settled; minutes <= plan.patience; minutes += 10) {
      await simulation.run(START + minutes * MINUTE_MS);
      faults = await oracle.unsettled();
      if (faults.length === 0) {
        pipeline.finished = minutes;
        return;
      }
    }
    simulation.break(`not done after ${plan.patience} minutes: ${faults.join('; ')}`);
  });
  return pipeline;
}

function build(plan: Plan): Pipeline {
  const simulation = new Simulation({ seed: plan.seed, start: START, trace: plan.trace === true });
  const weather = plan.weather(simulation);
  const ends = START + weather.minutes * MINUTE_MS;
  const stormy = (): boolean => simulation.now < ends;
  simulation.fates = (call, process) => (stormy() ? weather.fates(call, process) : 'plain');

  const oracle = new Oracle();
  const buckets = new Buckets(simulation, {
    names: Object.values(names),
    page: plan.listed,
    watcher: {
      written: (object, bytes, replaced) => {
        if (object.bucket === names.lake) oracle.goldWritten(object, bytes);
        oracle.written(object, bytes, replaced);
      },
      removed: (object) => oracle.removed(object),
    },
  });
  const tables = new Tables(simulation, buckets);
  const account = new Account(simulation, {
    page: plan.page,
    refusing: () => weather.hubspot && stormy(),
  });
  if (weather.slow > 0) {
    account.slowness = () => (stormy() ? simulation.random.between(0, weather.slow) : 0);
  }
  const spark = new Spark(simulation, {
    objectsOf: (process) => buckets.objects(process),
    buckets: names,
  });
  const logged = new Map<string, number>();
  const worldOf = (process: Process): World =>
    simulatedWorld(simulation, process, {
      objects: buckets.objects(process),
      queue: deliveries.queue(process),
      batches: spark.client(process),
      warehouse: tables.client(process),
      secrets: {
        read: (name) => simulation.call(process, 'secrets', 'read', name, () => 'secret'),
      },
      fetch: account.fetch(process),
      log: (severity, event, fields) => {
        logged.set(event, (logged.get(event) ?? 0) + 1);
        if (plan.trace === true && severity !== 'DEBUG') {
          const kind = severity === 'INFO' ? 'event' : 'landmark';
          simulation.note(process, `LOGS ${event} ${JSON.stringify(fields ?? {})}`, kind);
        }
      },
    });
  const deliveries: Deliveries = new Deliveries(simulation, {
    functions: simulated,
    handlers,
    config,
    worldOf,
  });
  deliveries.mail = weather.mail;
  spark.weather = weather.spark;
  tables.weather = weather.jobs;
  simulation.after(weather.minutes * MINUTE_MS, () => {
    deliveries.mail = calm;
    spark.weather = calmSpark;
    tables.weather = calmJobs;
  });

  notifications(buckets, deliveries, simulation);
  schedules(deliveries, simulation, stormy);
  oracle.watch({ simulation, buckets, tables, account, spark, names });
  account.fill({
    events: plan.events,
    historyDays: 2,
    from: START,
    to: START + 19 * MINUTE_MS,
    lateness: (plan.lateness ?? 28) * MINUTE_MS,
    poison: plan.poison ?? 0,
    garbled: plan.garbled ?? 0,
  });
  const pipeline: Pipeline = {
    simulation,
    buckets,
    tables,
    account,
    spark,
    deliveries,
    oracle,
    config,
    worldOf,
    logged,
    finished: 0,
  };
  plan.prepare?.(pipeline);
  return pipeline;
}

/** The control bucket's notifications, as the functions' inboxes declare them. */
function notifications(buckets: Buckets, deliveries: Deliveries, simulation: Simulation): void {
  const declared = simulated.flatMap(({ inboxes }) =>
    inboxes.flatMap(({ topic, notifies }) =>
      notifies?.bucket !== 'control'
        ? []
        : [
            {
              topic: `projects/p/topics/${topic}`,
              event_types: ['OBJECT_FINALIZE'],
              object_name_prefix: notifies.prefix,
              payload_format: 'NONE',
            },
          ],
    ),
  );
  buckets.state.notifications.declare(names.control, declared);
  buckets.owed = () => {
    for (const notification of buckets.state.notifications.pending()) {
      buckets.state.notifications.notified([notification.id]);
      const topic = notification.topic.split('/').at(-1) ?? '';
      simulation.after(simulation.random.between(1, 300), () =>
        deliveries.publish(topic, { data: {}, attributes: notification.attributes }),
      );
    }
  };
}

function schedules(deliveries: Deliveries, simulation: Simulation, stormy: () => boolean): void {
  const everyMinutes = (schedule: string): number | null => {
    const every = /^\*\/(\d+) \* \* \* \*$/.exec(schedule)?.[1];
    return every === undefined ? null : Number(every);
  };
  const jitter = (): number => (stormy() ? simulation.random.between(0, 5_000) : 0);
  for (const { inboxes } of simulated) {
    for (const { topic, schedule } of inboxes) {
      const minutes = schedule === undefined ? null : everyMinutes(schedule);
      if (minutes !== null) deliveries.every(minutes, jitter(), topic, () => ({}));
    }
  }
  for (const [source, contract] of Object.entries(catalog.sources)) {
    if (!source.startsWith('email.')) continue;
    const minutes = everyMinutes(scheduleOf(contract.arrives) ?? '');
    if (minutes === null) throw new Error(`${source} has a schedule that the model cannot read`);
    deliveries.every(minutes, jitter(), functionOf(contract.arrives), () => ({ source }));
  }
}

export { DAY_MS, MINUTE_MS };
