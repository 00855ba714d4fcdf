import { defineDomain } from '../contract.ts';

export const ops = defineDomain({
  about: 'The pipeline about itself, rebuilt by day from the manifests, which are the truth',
  longest_wait_minutes: 10,
  start_at_bytes: 64_000_000,
  batch_runs: 100,
  batch_bytes: 256_000_000,
  stale_partitions: 10,
  owner: 'data platform',
});
