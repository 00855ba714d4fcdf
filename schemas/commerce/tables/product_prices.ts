import { defineTable } from '../../contract.ts';

/**
 * A pure function of what was landed: silver keeps every version of a product (its key holds the
 * version's time), so the history of prices does not depend on how the versions fell into batches.
 */
export const product_prices = defineTable({
  about: 'Prices of products over time, as they were observed',
  grain: 'one product and price, as long as it held',
  key: ['product_id', 'valid_from'],
  cluster: ['product_id'],
  reads: {
    'commerce.products': 'all',
    'commerce.flipkart_products': 'all',
  },
  columns: {
    product_id: { type: 'STRING', required: true, about: 'Product' },
    price: { type: 'NUMERIC', about: "The shop's price, or the list price of an uploaded catalog" },
    discounted_price: {
      type: 'NUMERIC',
      about: 'Selling price, where a catalog gives one beside the list price',
    },
    valid_from: {
      type: 'TIMESTAMP',
      about: 'When the row of the shop changed to it, or the catalog was crawled; NULL = not known',
    },
    valid_to: {
      type: 'TIMESTAMP',
      about: 'When the next price was observed, or the product was gone; NULL = it still holds',
    },
  },
});
