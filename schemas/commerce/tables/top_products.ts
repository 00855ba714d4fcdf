import { defineTable } from '../../contract.ts';

export const top_products = defineTable({
  about: 'Products by what happened to them on a day, ranked',
  grain: 'one day x event_name x product',
  key: ['date', 'event_name', 'product_id'],
  partition: 'date',
  cluster: ['event_name', 'product_id'],
  reads: {
    'commerce.user_behavior': 'same',
  },
  columns: {
    date: { type: 'DATE', required: true, about: 'UTC day of the events' },
    event_name: { type: 'STRING', required: true, about: 'What happened' },
    product_id: { type: 'STRING', required: true, about: 'Product' },
    product_name: { type: 'STRING', about: 'Name as now known' },
    category: { type: 'STRING', about: 'Category as now known' },
    events: { type: 'INT64', required: true, about: 'Events; order lines for orders' },
    users: { type: 'INT64', required: true, about: 'Different users' },
    amount: {
      type: 'NUMERIC',
      required: true,
      about: 'What orders cost, negative for returns; 0 for other events',
    },
    day_rank: {
      type: 'INT64',
      required: true,
      about: '1 = most events; then users, amount and product_id decide',
    },
  },
});
