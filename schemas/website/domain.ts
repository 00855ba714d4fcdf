import { defineDomain } from '../contract.ts';
import { channel_rules } from './lists/channel_rules.ts';
import { conversion_types } from './lists/conversion_types.ts';

export const website = defineDomain({
  about: 'What readers do on the website',
  longest_wait_minutes: 10,
  start_at_bytes: 64_000_000,
  batch_runs: 500,
  batch_bytes: 2_000_000_000,
  stale_partitions: 60,
  owner: 'website editors',
  lists: { channel_rules, conversion_types },
  checks: {
    conversion_without_amount: {
      about: 'Conversions that should say an amount and do not: they count, and add nothing',
      subject: 'website.conversions_by_day',
      threshold: null,
    },
  },
});
