import { defineDomain } from '../contract.ts';

export const website = defineDomain({
  about: 'What readers do on the website',
  longest_wait_minutes: 10,
  start_at_bytes: 64_000_000,
  batch_runs: 500,
  batch_bytes: 2_000_000_000,
  stale_partitions: 60,
  owner: 'website editors',
});
