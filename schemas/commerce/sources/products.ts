import { defineSource } from '../../contract.ts';

export const products = defineSource({
  about: 'Products of the shop with their current price',
  owner: 'shop operations',
  arrives: {
    kind: 'postgres_table',
    schedule: '*/30 * * * *',
    database: 'shop',
    table: 'products',
    primary_key: ['product_id'],
    cursor: 'updated_at',
    overlap_minutes: 10,
    full_every_hours: 24,
  },
  records: null,
  // Every version that was seen stays: an event without a price is given the price of its time.
  key: ['product_id', 'version_at'],
  // Of two updates the one that is committed last may carry the earlier time: snapshots are in order.
  version: 'observed_at',
  deleted: 'is_deleted',
  bounds: { earliest: '1990-01-01', days_ahead: 2 },
  columns: {
    product_id: { type: 'STRING', required: true, about: 'Product' },
    product_name: { type: 'STRING', about: 'Name as shown' },
    category: { type: 'STRING', about: 'Category as the shop names it' },
    price: { type: 'NUMERIC', about: 'Current price' },
    date: { type: 'DATE', about: 'Day the product was added' },
    updated_at: { type: 'TIMESTAMP', about: 'When the row last changed' },
    version_at: {
      type: 'TIMESTAMP',
      required: true,
      // An absence carries no time of its own: it was true when it was noticed.
      sql: 'coalesce(updated_at, observed_at)',
      about: 'Since when the row has been so, as far as it says',
    },
    is_deleted: { type: 'BOOL', from: '_deleted', about: 'Gone from the table' },
  },
});
