import { deltaJars, type Environment } from '../environment.ts';

/** An example with plain values: copy it, name your own project and people (docs/deploy.md). */
export const environment: Environment = {
  project: 'example-tributary-dev',
  stateBucket: 'example-tributary-dev-state',
  region: 'europe-west1',
  location: 'europe-west1',
  alertAddress: 'data-alerts@example.com',
  hubspotUrl: 'https://api.hubapi.com',
  hubspotDailyShare: 0.8,
  databases: { network: 'default', range: '10.8.0.0/28' },
  apis: {},
  collect: { origins: ['https://shop.example.com'], requestsPerMinute: 600 },
  paused: false,
  spark: {
    project: 'example-tributary-dev-spark',
    subnetRange: '10.20.0.0/22',
    maxExecutors: 8,
    ttlSeconds: 2 * 3600,
    jars: deltaJars,
  },
  personalReaders: ['group:data-stewards@example.com'],
  readers: ['group:analysts@example.com'],
  rejectedDays: 90,
  budget: { billingAccount: '000000-000000-000000', currency: 'EUR', amount: 200 },
  endpoints: {},
};
