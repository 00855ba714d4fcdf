/** The catalog of the drain's simulation: one source that arrives as messages. */
import {
  type DomainContract,
  defineDomain,
  defineSource,
  type SourceContract,
  type TableContract,
} from '../../schemas/contract.ts';

const shop = defineDomain({
  about: 'Shop',
  longest_wait_minutes: 10,
  start_at_bytes: 60_000,
  batch_runs: 500,
  batch_bytes: 1_000_000,
  stale_partitions: 20,
  owner: 'nobody',
});

const events = defineSource({
  about: 'Events',
  owner: 'nobody',
  arrives: { kind: 'pubsub_messages', schedule: '* * * * *', topic: 'events' },
  records: null,
  key: ['id'],
  version: 'observed_at',
  bounds: { earliest: '2006-01-01', days_ahead: 2 },
  columns: { id: { type: 'STRING', required: true, about: 'Id' } },
});

/** Stands in for the rendered catalog; it must not import it, for it takes its place. */
export const catalog: {
  readonly domains: Readonly<Record<string, DomainContract>>;
  readonly sources: Readonly<Record<string, SourceContract>>;
  readonly tables: Readonly<Record<string, TableContract>>;
} = { domains: { shop }, sources: { 'shop.events': events }, tables: {} };
