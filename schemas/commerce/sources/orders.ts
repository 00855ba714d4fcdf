import { defineSource } from '../../contract.ts';

/** Order lines of the shop's API. A negative quantity is a return, a price of zero is valid. */
export const orders = defineSource({
  about: 'Order lines as the orders API gives them, one version each time an order changes',
  owner: 'shop operations',
  arrives: {
    kind: 'rest_list',
    schedule: '*/10 * * * *',
    api: 'orders',
    url: 'https://api.shop.example',
    path: '/orders',
    auth: 'bearer',
    paging: { by: 'cursor', parameter: 'cursor', at: 'next_cursor' },
    page_size: { parameter: 'limit', records: 500 },
    since: { parameter: 'updated_since', as: 'iso', changed: 'updated_at' },
    overlap_minutes: 15,
    requests_per_minute: 120,
    first_days: 365,
  },
  records: 'orders',
  // A line whose date is corrected lies on two days from then on: a key alone is looked for on one.
  key: ['order_line_key', 'ordered_at'],
  version: 'changed_at',
  event_time: 'ordered_at',
  bounds: { earliest: '2000-01-01', days_ahead: 2 },
  columns: {
    order_line_key: {
      type: 'STRING',
      required: true,
      // Lines are often counted anew within each order.
      sql: "order_id || ':' || coalesce(nullif(trim(order_line_id), ''), product_id)",
      about: 'The line: its order, and its own id or else its product',
    },
    order_id: { type: 'STRING', required: true, about: 'Order' },
    order_line_id: { type: 'STRING', about: 'Line of the order, where the API names it' },
    product_id: { type: 'STRING', required: true, about: 'Product ordered' },
    user_id: { type: 'STRING', about: 'Shop user who ordered; may be unknown' },
    ordered_at: { type: 'TIMESTAMP', required: true, from: 'date', about: 'When it was ordered' },
    quantity: { type: 'INT64', about: 'Pieces; negative = a return' },
    price: {
      type: 'NUMERIC',
      about: 'Price of one piece as sent; zero and negative ones are kept',
    },
    status: { type: 'STRING', about: 'State of the order as sent' },
    updated_at: { type: 'TIMESTAMP', about: 'Last change of the order, as the API says' },
    changed_at: {
      type: 'TIMESTAMP',
      sql: 'coalesce(updated_at, observed_at)',
      about: 'The version: updated_at, else when it was read',
    },
  },
});
