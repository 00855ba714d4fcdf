import { defineSource } from '../../contract.ts';

/**
 * What shoppers do, published as it happens. Names of events are open: one never seen before is
 * kept. Anything but the event's own identity may be missing: a view has no order, a visitor who
 * has not signed in no user.
 */
export const behavior_events = defineSource({
  about: 'What shoppers do in the shop, one event each, as it happens',
  owner: 'shop operations',
  arrives: {
    kind: 'pubsub_messages',
    schedule: '* * * * *',
    topic: 'behavior-events',
  },
  records: null,
  // An id is trusted only together with its time.
  key: ['event_id', 'event_at'],
  version: 'observed_at',
  event_time: 'event_at',
  // Late events are kept however late.
  bounds: { earliest: '1990-01-01', days_ahead: 2 },
  columns: {
    event_id: { type: 'STRING', required: true, about: 'Event, unique together with event_at' },
    event_at: { type: 'TIMESTAMP', required: true, from: 'date', about: 'When it happened' },
    event_name: {
      type: 'STRING',
      about: 'What happened: view, order, wishlist, return; others are kept as sent',
    },
    product_id: { type: 'STRING', about: 'Product it happened to' },
    user_id: { type: 'STRING', about: 'Shop user; none before they sign in' },
    order_id: { type: 'STRING', about: 'Order, of an order or a return' },
    order_line_id: { type: 'STRING', about: 'Line of the order, if the sender numbers them' },
    price: { type: 'NUMERIC', about: 'Price of one piece as the sender saw it' },
    session_id: { type: 'STRING', about: 'Session, if the sender keeps them' },
  },
});
