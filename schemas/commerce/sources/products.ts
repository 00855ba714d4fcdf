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
  key: ['product_id'],
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
    is_deleted: { type: 'BOOL', from: '_deleted', about: 'Gone from the table' },
  },
});
