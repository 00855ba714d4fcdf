import { defineTable } from '../../contract.ts';
import { daysOfProducts, daysOfUploadedProducts } from '../days_of_products.ts';
import { daysOfUsers } from '../days_of_users.ts';

export const user_behavior = defineTable({
  about: 'Everything users did, from the stream of events and the orders API, each thing once',
  grain: 'one thing a user did; an order line seen in the stream and by the API is one row',
  key: ['event_id', 'event_at'],
  partition: 'date',
  cluster: ['event_name', 'product_id', 'user_id'],
  reads: {
    'commerce.behavior_events': {
      // Whatever else was seen of an order may lie on other days.
      days: `SELECT to_date(event_at) FROM changed
        UNION ALL
        SELECT explode(self.seen_on) FROM self JOIN changed ON trim(changed.order_id) = self.order_id`,
    },
    'commerce.orders': {
      // An order changes its state many times and is the same behavior. One whose date is corrected
      // lies on two days from then on, and the correction may be taken back: then a version that has
      // long been there counts again, which shows only in that no row looks like it.
      days: `WITH line AS (
          SELECT
            order_id,
            nullif(trim(order_line_id), '') AS order_line_id,
            product_id,
            nullif(trim(user_id), '') AS user_id,
            ordered_at,
            to_date(ordered_at) AS day,
            coalesce(quantity, 1) AS quantity,
            price,
            count(*) OVER images = 1 OR size(collect_set(
              struct(order_id, order_line_id, product_id, user_id, ordered_at, quantity, price)
            ) OVER images) > 1 AS is_moved
          FROM changed
          WINDOW images AS (PARTITION BY order_line_key)
        ),
        moved AS (
          SELECT order_id, day FROM line WHERE is_moved
          UNION ALL
          SELECT line.order_id, line.day FROM line
          LEFT ANTI JOIN self ON self.order_id = line.order_id
            AND self.is_in_orders
            AND self.product_id = line.product_id
            AND coalesce(self.order_line_id = line.order_line_id, line.order_line_id IS NULL)
            AND self.user_id <=> line.user_id
            AND self.quantity = line.quantity
            AND coalesce(self.price = line.price, line.price IS NULL)
            AND CASE
              WHEN self.is_in_stream THEN self.seen_on = array_sort(array_distinct(array(self.date, line.day)))
              ELSE self.event_at = line.ordered_at
            END
          WHERE NOT line.is_moved
        )
        SELECT day FROM moved
        UNION ALL
        SELECT explode(self.seen_on) FROM self JOIN moved ON moved.order_id = self.order_id`,
    },
    // Read as it stands: what moves it touches this table by its source.
    'commerce.order_sightings': 'ignore',
    'commerce.products': { days: daysOfProducts({ day: 'date', price: 'price', at: 'event_at' }) },
    'commerce.flipkart_products': {
      days: daysOfUploadedProducts({ day: 'date', price: 'price', at: 'event_at' }),
    },
    'commerce.users': { days: daysOfUsers('date') },
  },
  columns: {
    date: { type: 'DATE', required: true, about: 'UTC day of event_at' },
    event_id: {
      type: 'STRING',
      required: true,
      about:
        "Smallest id of the stream's events; order: and the line's key when only the API saw it",
    },
    event_name: {
      type: 'STRING',
      required: true,
      about: 'view, order, wishlist, return, or another name as sent; unknown = none',
    },
    price: {
      type: 'NUMERIC',
      about: "Price of one piece: the API's, else the event's, else the product's at that time",
    },
    product_id: { type: 'STRING', about: 'Product' },
    product_name: { type: 'STRING', about: 'Name of the product as now known' },
    user_id: { type: 'STRING', about: 'Shop user; none before they sign in' },
    user_name: { type: 'STRING', personal: true, about: 'Name of the user as now known' },
    order_id: { type: 'STRING', about: 'Order, of an order or a return' },
    event_at: {
      type: 'TIMESTAMP',
      required: true,
      about: "When it happened: the stream's time, else the API's",
    },
    session_id: {
      type: 'STRING',
      about:
        'Session as sent; else user@ the half hour in which the session began; none without a user',
    },
    category: { type: 'STRING', about: 'Category of the product as now known' },
    order_line_id: { type: 'STRING', about: 'Line of the order, where either side names it' },
    quantity: {
      type: 'INT64',
      about: 'Pieces of an order, 1 where nobody says; negative for a return',
    },
    amount: {
      type: 'NUMERIC',
      about: 'price x quantity of an order or a return; negative for a return',
    },
    is_price_estimated: {
      type: 'BOOL',
      required: true,
      about:
        "No side gave a price: it is the product's at that time, before the first one known the first",
    },
    is_derived_session: {
      type: 'BOOL',
      required: true,
      about: 'The session was derived: 30 minutes without an event, or midnight UTC, end it',
    },
    is_in_stream: { type: 'BOOL', required: true, about: 'The stream of events has it' },
    is_in_orders: { type: 'BOOL', required: true, about: 'The orders API has it' },
    seen_on: {
      type: 'DATE',
      repeated: true,
      about: 'Days on which an order line was seen by either side; empty for anything else',
    },
  },
});
