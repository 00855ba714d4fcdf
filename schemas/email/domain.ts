import { defineDomain } from '../contract.ts';
import { bounce_categories } from './lists/bounce_categories.ts';
import { countries } from './lists/countries.ts';
import { event_types } from './lists/event_types.ts';

export const email = defineDomain({
  about: 'How people take our email (HubSpot)',
  longest_wait_minutes: 60,
  start_at_bytes: 32_000_000,
  batch_runs: 500,
  batch_bytes: 1_000_000_000,
  stale_partitions: 60,
  owner: 'marketing operations',
  lists: { bounce_categories, countries, event_types },
  checks: {
    orphaned_events: {
      about: 'Events of sends whose SENT has not been seen, over all days',
      subject: 'email.campaign_performance',
      threshold: null,
    },
    unknown_bounce_category: {
      about: 'Bounces of a category that is not in the list: they count as soft',
      subject: 'email.domain_deliverability',
      threshold: null,
    },
    ambiguous_address: {
      about: 'Addresses that several contacts share: their events belong to no user',
      subject: 'email.dim_user',
      threshold: null,
    },
    unknown_country: {
      about: 'Contacts whose country is no name or code we know: they count as ZZ',
      subject: 'email.dim_country',
      threshold: null,
    },
  },
});
