/** The world of a simulated process: what the simulation has of it, and nothing else. */
import type { Config } from '../../functions/config.ts';
import type { World } from '../../functions/world.ts';
import type { Process, Simulation } from './simulation.ts';

/** Its buckets are named for what they are for. */
export const config: Config = {
  project: 'p',
  region: 'r',
  location: 'EU',
  environment: 'simulated',
  buckets: {
    bronze: 'bronze',
    control: 'control',
    lake: 'lake',
    rejected: 'rejected',
    inbox: 'inbox',
  },
  hubspot: { url: 'https://hubspot.test', secret: 'token', dailyShare: 0.9 },
  api: { url: '', secret: '' },
  database: { secret: '' },
  collect: null,
  spark: null,
  endpoints: {},
};

const absent = (): never => {
  throw new Error('this world has no such service');
};

/** The services of one process; those that are not given refuse every call. */
export function worldOf(
  simulation: Simulation,
  process: Process,
  services: Pick<World, 'objects' | 'queue' | 'log'> & Partial<World>,
): World {
  return {
    subscriptions: { take: absent, acknowledge: absent },
    batches: { create: absent, state: absent },
    warehouse: { load: absent, script: absent, job: absent, rows: absent, dropTable: absent },
    postgres: { session: absent },
    secrets: { read: absent },
    fetch: absent,
    clock: {
      now: () => Math.floor(simulation.now) + process.skew,
      sleep: (ms) => simulation.sleep(process, ms),
    },
    random: { next: () => simulation.random.next(), id: () => simulation.random.id() },
    ...services,
  };
}
