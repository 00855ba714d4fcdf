/** As whom the sources of one credential are asked: address, token, and how often. */
import type { Arrival } from '../schemas/contract.ts';
import { hubspotBudget } from './clients/rate_budget.ts';
import { restBudget } from './clients/rest_budget.ts';
import type { Config } from './config.ts';
import { classified } from './errors.ts';
import type { Budget } from './readers/reader.ts';
import type { World } from './world.ts';

export interface Credential {
  /** Base URL of the service; empty where the token says it too. */
  readonly baseUrl: string;
  readonly token: () => Promise<string>;
  readonly budget: Budget;
}

/** One budget per process and secret: every run that uses the credential draws from it. */
const budgets = new WeakMap<World, Map<string, Budget>>();

const shared = (world: World, secret: string, begin: () => Budget): Budget => {
  const known = budgets.get(world) ?? new Map<string, Budget>();
  budgets.set(world, known);
  const budget = known.get(secret) ?? begin();
  known.set(secret, budget);
  return budget;
};

/** A database says itself when it has had enough. */
const unlimited: Budget = { take: async () => {}, learn: () => {} };

export function credentialOf(world: World, config: Config, arrives: Arrival): Credential {
  switch (arrives.kind) {
    case 'rest_list':
      return {
        baseUrl: config.api.url,
        token: () => world.secrets.read(config.api.secret),
        budget: shared(world, config.api.secret, () =>
          restBudget(world, { requestsPerMinute: arrives.requests_per_minute }),
        ),
      };
    case 'postgres_table':
      return {
        baseUrl: '',
        token: () => world.secrets.read(config.database.secret),
        budget: unlimited,
      };
    default:
      return {
        baseUrl: config.hubspot.url,
        token: () => world.secrets.read(config.hubspot.secret),
        budget: shared(world, config.hubspot.secret, () =>
          hubspotBudget(world, { dailyShare: config.hubspot.dailyShare }),
        ),
      };
  }
}

/** Refusals of the credential, or of all there is behind it: every other window would meet the same. */
const refusals: ReadonlySet<string> = new Set([
  'hubspot_token',
  'hubspot_scope',
  'hubspot_daily_quota',
  'hubspot_migrating',
  'api_token',
  'api_scope',
  'api_not_found',
  'api_shape',
  'database_url',
  'database_tls',
  'database_refused',
  'database_missing',
  'database_shape',
  'database_query',
]);

export const stopsAll = (failure: unknown): boolean => refusals.has(classified(failure).code);
