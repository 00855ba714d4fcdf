import { describe, expect, it } from 'vitest';
import { readConfig } from '../../../functions/config.ts';
import { Permanent } from '../../../functions/errors.ts';
import { functions, type Variable, variables } from '../../../functions/settings.ts';

const complete: Readonly<Record<Variable, string>> = {
  TRIBUTARY_PROJECT: 'p',
  TRIBUTARY_REGION: 'europe-west1',
  TRIBUTARY_LOCATION: 'EU',
  TRIBUTARY_ENVIRONMENT: 'dev',
  TRIBUTARY_BUCKET_BRONZE: 'b',
  TRIBUTARY_BUCKET_CONTROL: 'c',
  TRIBUTARY_BUCKET_LAKE: 'l',
  TRIBUTARY_BUCKET_REJECTED: 'r',
  TRIBUTARY_HUBSPOT_URL: 'https://api.example.com/',
  TRIBUTARY_HUBSPOT_SECRET: 'hubspot-token',
  TRIBUTARY_HUBSPOT_DAILY_SHARE: '0.8',
  TRIBUTARY_BUCKET_INBOX: 'i',
  TRIBUTARY_API_URL: 'https://orders.example.com',
  TRIBUTARY_API_SECRET: 'orders-api-token',
  TRIBUTARY_DATABASE_SECRET: 'shop-database-url',
  TRIBUTARY_COLLECT: '{"origins":["*"],"requestsPerMinute":600}',
  TRIBUTARY_SPARK: '{"runtimeVersion":"2.3"}',
  TRIBUTARY_ENDPOINTS: '{}',
};
const of = (names: readonly Variable[]) =>
  Object.fromEntries(names.map((name) => [name, complete[name]]));

describe('the configuration', () => {
  it.each(functions.map((settings) => [settings.name, settings] as const))(
    'of %s is read from exactly the variables it declares',
    (_name, settings) => {
      const config = readConfig(of(settings.variables), settings.variables);
      expect(config.project).toBe('p');
    },
  );

  it('reports every fault at once, and no value of a secret kind', () => {
    const broken = {
      ...of(['TRIBUTARY_PROJECT', 'TRIBUTARY_REGION']),
      TRIBUTARY_HUBSPOT_DAILY_SHARE: '7',
      TRIBUTARY_TYPO: 'x',
    };
    const read = () =>
      readConfig(broken, [
        'TRIBUTARY_PROJECT',
        'TRIBUTARY_REGION',
        'TRIBUTARY_LOCATION',
        'TRIBUTARY_HUBSPOT_DAILY_SHARE',
      ]);
    expect(read).toThrow(Permanent);
    expect(read).toThrow(/TRIBUTARY_LOCATION is missing/);
    expect(read).toThrow(/TRIBUTARY_HUBSPOT_DAILY_SHARE is 7/);
    expect(read).toThrow(/TRIBUTARY_TYPO is unknown/);
  });

  it('has a parser and a use for every variable', () => {
    const used = new Set(functions.flatMap((settings) => settings.variables));
    expect([...used].sort()).toEqual(Object.keys(variables).sort());
  });
});
