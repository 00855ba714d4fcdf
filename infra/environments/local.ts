import type { Environment } from '../environment.ts';

/**
 * What the local cloud starts. It puts its own endpoints and HubSpot's stand-in in the place of
 * `endpoints` and `hubspotUrl`, because its ports are only known once it runs.
 */
export const environment: Environment = {
  project: 'tributary-local',
  stateBucket: null,
  region: 'europe-west1',
  location: 'europe-west1',
  alertAddress: 'nobody@example.com',
  hubspotUrl: 'https://api.hubapi.com',
  hubspotDailyShare: 0.8,
  databases: null,
  apis: {},
  collect: { origins: ['*'], requestsPerMinute: 600_000 },
  paused: false,
  spark: { subnetRange: '10.20.0.0/22', maxExecutors: 2, ttlSeconds: 3600, jars: [] },
  personalReaders: [],
  readers: [],
  rejectedDays: 90,
  budget: null,
  endpoints: {},
};
