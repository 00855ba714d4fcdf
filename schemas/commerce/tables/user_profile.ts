import { defineTable } from '../../contract.ts';

export const user_profile = defineTable({
  about: 'Users with what they did and bought over all time',
  grain: 'one user, registered or only seen',
  key: ['user_id'],
  cluster: ['user_id'],
  reads: {
    'commerce.user_behavior': 'all',
    'commerce.sessions': 'all',
    'commerce.users': 'all',
  },
  columns: {
    user_id: { type: 'STRING', required: true, about: 'Shop user' },
    user_name: {
      type: 'STRING',
      personal: true,
      about: 'Name as now known; none when the user is gone from the shop',
    },
    first_seen_date: {
      type: 'DATE',
      about: 'UTC day of the first event; NULL = registered, never seen',
    },
    last_seen_date: { type: 'DATE', about: 'UTC day of the last event' },
    sessions: {
      type: 'INT64',
      required: true,
      about: 'Sessions in which they were the first user known',
    },
    views: { type: 'INT64', required: true, about: 'View events' },
    orders: { type: 'INT64', required: true, about: 'Different orders' },
    wishlists: { type: 'INT64', required: true, about: 'Wishlist events' },
    returns: { type: 'INT64', required: true, about: 'Order lines returned' },
    amount_spent: {
      type: 'NUMERIC',
      required: true,
      about: 'What the orders cost; returns are not subtracted',
    },
    favourite_category: {
      type: 'STRING',
      about: 'Category with the most events; of equals the first by name',
    },
    conversion_rate: { type: 'FLOAT64', about: 'Sessions with an order / sessions' },
    return_rate: { type: 'FLOAT64', about: 'returns / order_lines' },
    order_lines: { type: 'INT64', required: true, about: 'Order lines' },
    amount_returned: { type: 'NUMERIC', required: true, about: 'What the returned lines had cost' },
    signed_up_date: { type: 'DATE', about: 'Day the user signed up' },
    is_registered: { type: 'BOOL', required: true, about: 'The shop knows the user' },
    is_deleted: { type: 'BOOL', required: true, about: 'Gone from the shop' },
  },
});
