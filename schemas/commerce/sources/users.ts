import { defineSource } from '../../contract.ts';

export const users = defineSource({
  about: 'Users of the shop',
  owner: 'shop operations',
  arrives: {
    kind: 'postgres_table',
    schedule: '*/30 * * * *',
    database: 'shop',
    table: 'users',
    primary_key: ['user_id'],
    cursor: 'updated_at',
    overlap_minutes: 10,
    full_every_hours: 24,
  },
  records: null,
  key: ['user_id'],
  // Of two updates the one that is committed last may carry the earlier time: snapshots are in order.
  version: 'observed_at',
  deleted: 'is_deleted',
  bounds: { earliest: '1990-01-01', days_ahead: 2 },
  columns: {
    user_id: { type: 'STRING', required: true, about: 'User' },
    user_name: { type: 'STRING', personal: true, about: 'Name as shown' },
    date: { type: 'DATE', about: 'Day the user signed up' },
    email: { type: 'STRING', personal: true, about: 'Address' },
    email_hash: {
      type: 'STRING',
      hash_of: 'email',
      about: 'Keyed hash of the address, joins domains',
    },
    country: { type: 'STRING', about: 'Country as entered' },
    updated_at: { type: 'TIMESTAMP', about: 'When the row last changed' },
    is_deleted: { type: 'BOOL', from: '_deleted', about: 'Gone from the table' },
  },
});
