import { defineTable } from '../../contract.ts';
import { daysOfProducts, daysOfUploadedProducts } from '../days_of_products.ts';
import { daysOfUsers } from '../days_of_users.ts';

const priced = {
  ...{ day: 'order_date', price: 'unit_price', at: 'ordered_at' },
  // Each line tells what the whole order costs.
  summedBy: 'order_id',
};

export const orders_enriched = defineTable({
  about: 'Order lines of the orders API with the names of their product and user',
  grain: 'one order line',
  key: ['order_line_key'],
  partition: 'order_date',
  cluster: ['product_id', 'user_id'],
  reads: {
    // Read as it stands: what moves it touches this table by its source.
    'commerce.order_sightings': 'ignore',
    'commerce.orders': {
      // A line may lie on another day than it did, and its order on several.
      days: `SELECT to_date(ordered_at) FROM changed
        UNION ALL
        SELECT self.order_date FROM self JOIN changed ON changed.order_id = self.order_id`,
    },
    'commerce.products': {
      days: daysOfProducts(priced),
    },
    'commerce.flipkart_products': {
      days: daysOfUploadedProducts(priced),
    },
    'commerce.users': { days: daysOfUsers('order_date') },
  },
  columns: {
    order_date: { type: 'DATE', required: true, about: 'UTC day of ordered_at' },
    order_id: { type: 'STRING', required: true, about: 'Order' },
    product_id: { type: 'STRING', required: true, about: 'Product' },
    product_name: { type: 'STRING', about: 'Name of the product as now known' },
    category: { type: 'STRING', about: 'Category of the product as now known' },
    user_id: { type: 'STRING', about: 'Shop user who ordered; may be unknown' },
    user_name: { type: 'STRING', personal: true, about: 'Name of the user as now known' },
    quantity: { type: 'INT64', about: 'Pieces; negative = a return' },
    unit_price: {
      type: 'NUMERIC',
      about: "Price of one piece; the product's at that time where the API gives none",
    },
    line_amount: { type: 'NUMERIC', about: 'unit_price x quantity (1 where the API gives none)' },
    order_amount: {
      type: 'NUMERIC',
      about: "Sum of the order's lines, returned ones (negative) included",
    },
    status: { type: 'STRING', about: 'State of the order as the API gives it' },
    order_line_key: {
      type: 'STRING',
      required: true,
      about: 'The line: its order, and its own id or else its product',
    },
    order_line_id: { type: 'STRING', about: 'Line of the order, where the API names it' },
    ordered_at: { type: 'TIMESTAMP', required: true, about: 'When it was ordered' },
    is_return: { type: 'BOOL', required: true, about: 'Negative quantity, or the status returned' },
    is_negative_price: {
      type: 'BOOL',
      required: true,
      about: 'The API gives a price below zero: kept, and counted as it stands',
    },
    is_price_estimated: {
      type: 'BOOL',
      required: true,
      about: "The API gives no price: it is the product's at that time",
    },
  },
});
