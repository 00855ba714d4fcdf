import { defineTable } from '../../contract.ts';

/**
 * Events and orders name the same purchase without knowing of each other, and not always on the
 * same day. This is where the two are laid side by side, so that what belongs together is found
 * by its order, however far apart the days are.
 */
export const order_sightings = defineTable({
  about:
    'Each time an order line or a return was seen, in the stream of events or by the orders API',
  grain: 'one event of an order, or one order line of the API (two, when its date was corrected)',
  key: ['seen_in', 'sighting_id', 'seen_at'],
  partition: 'seen_date',
  cluster: ['order_id'],
  reads: { 'commerce.behavior_events': 'same', 'commerce.orders': 'same' },
  columns: {
    seen_date: { type: 'DATE', required: true, about: 'UTC day of seen_at' },
    seen_in: { type: 'STRING', required: true, about: 'stream or orders (the API)' },
    sighting_id: {
      type: 'STRING',
      required: true,
      about: 'event_id, or the key of the order line',
    },
    seen_at: { type: 'TIMESTAMP', required: true, about: 'Time of the event, or of the order' },
    event_name: {
      type: 'STRING',
      required: true,
      about: 'order, or return (by the API: a negative quantity)',
    },
    order_id: { type: 'STRING', required: true, about: 'Order' },
    order_line_id: { type: 'STRING', about: 'Line of the order, where the sender names it' },
    product_id: { type: 'STRING', about: 'Product' },
    user_id: { type: 'STRING', about: 'Shop user; may be unknown' },
    session_id: { type: 'STRING', about: "Session as sent; the API's orders have none" },
    price: { type: 'NUMERIC', about: 'Price of one piece as sent' },
    quantity: { type: 'INT64', about: 'Pieces, negative = a return; events do not say' },
    status: { type: 'STRING', about: 'State of the order as the API gives it' },
    changed_at: { type: 'TIMESTAMP', about: "Version of the API's line; the newest counts" },
  },
});
