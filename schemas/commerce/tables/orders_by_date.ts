import { defineTable } from '../../contract.ts';

export const orders_by_date = defineTable({
  about: 'Orders of the orders API by the day they were placed',
  grain: 'one day',
  key: ['date'],
  partition: 'date',
  reads: {
    'commerce.orders_enriched': 'same',
  },
  columns: {
    date: { type: 'DATE', required: true, about: 'UTC day of the orders' },
    orders: {
      type: 'INT64',
      required: true,
      about: 'Different orders; lines with a negative quantity are none',
    },
    order_lines: { type: 'INT64', required: true, about: 'Their lines' },
    buyers: { type: 'INT64', required: true, about: 'Different users who ordered' },
    amount: {
      type: 'NUMERIC',
      required: true,
      about: 'What these lines cost; returns are not subtracted',
    },
    average_order_amount: { type: 'NUMERIC', about: 'amount / orders' },
    returns: {
      type: 'INT64',
      required: true,
      about: 'Lines returned: a negative quantity, or the status returned',
    },
    amount_returned: { type: 'NUMERIC', required: true, about: 'What the returned lines had cost' },
  },
});
