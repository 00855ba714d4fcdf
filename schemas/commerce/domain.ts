import { defineDomain } from '../contract.ts';

export const commerce = defineDomain({
  about: 'What shoppers do and buy',
  longest_wait_minutes: 10,
  start_at_bytes: 64_000_000,
  batch_runs: 500,
  batch_bytes: 2_000_000_000,
  stale_partitions: 60,
  owner: 'shop operations',
  checks: {
    negative_price: {
      about: 'Order lines with a price below zero: they are kept and count as they stand',
      subject: 'commerce.orders_enriched',
      threshold: null,
    },
    unknown_product: {
      about: 'Events of products that neither the shop nor an uploaded catalog knows',
      subject: 'commerce.user_behavior',
      threshold: null,
    },
    unknown_user: {
      about: 'Visitors who are no users of the shop',
      subject: 'commerce.user_profile',
      threshold: null,
    },
    unknown_event_name: {
      about: 'Events of names never seen before: they are in every count that asks for no name',
      subject: 'commerce.daily_traffic',
      threshold: null,
    },
  },
});
