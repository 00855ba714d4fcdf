import { defineTable } from '../../contract.ts';

export const product_catalog = defineTable({
  about:
    "Products of the shop and of uploaded catalogs, each once; the shop's own word counts first",
  grain: 'one product',
  key: ['product_id'],
  cluster: ['category', 'product_id'],
  reads: {
    'commerce.products': 'all',
    'commerce.flipkart_products': 'all',
  },
  columns: {
    product_id: {
      type: 'STRING',
      required: true,
      about: 'Product; of an uploaded catalog its pid',
    },
    product_name: { type: 'STRING', about: 'Name, blanks in a row made one' },
    brand: { type: 'STRING', about: 'Brand, of uploaded catalogs' },
    category: {
      type: 'STRING',
      about: 'Category; of an uploaded catalog the top level of its tree',
    },
    category_path: {
      type: 'STRING',
      repeated: true,
      about: 'All levels of the tree, of uploaded catalogs',
    },
    price: { type: 'NUMERIC', about: 'Current price; of an uploaded catalog the list price' },
    discounted_price: { type: 'NUMERIC', about: 'Selling price, of uploaded catalogs' },
    category_product_count: {
      type: 'INT64',
      about: 'Products in the category, those that are gone left out',
    },
    category_average_price: { type: 'NUMERIC', about: 'Average of their prices' },
    is_deleted: {
      type: 'BOOL',
      required: true,
      about: 'Gone from the shop; the last name and price known stay',
    },
  },
});
