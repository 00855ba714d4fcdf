import { defineSource } from '../../contract.ts';

// The tree is the JSON text of an array of one path, `["A >> B >> C"]`. Without `>>` it holds no
// categories but the product's own name.
const tree = "coalesce(get(from_json(category_tree, 'ARRAY<STRING>'), 0), category_tree)";
const path = `CASE WHEN instr(${tree}, '>>') > 0
  THEN filter(transform(split(${tree}, '>>'), level -> trim(level)), level -> level <> '') END`;

// `2016-03-25 22:59:23 +0000`: ISO 8601 but for the blank before the zone.
const crawled =
  "CAST(regexp_replace(trim(crawl_timestamp), ' ([+-][0-9]{2}):?([0-9]{2})$', '$1:$2') AS TIMESTAMP)";

const missing = (column: string): string => `nullif(trim(${column}), '')`;
const rating = (column: string): string =>
  `CASE WHEN trim(${column}) <> 'No rating available' THEN CAST(trim(${column}) AS DOUBLE) END`;

// Ruby's hash syntax is JSON's but for `=>` and `nil` outside of strings and a few escapes inside.
// With its escaped backslashes and quotes put aside (as control signs), the text is cut at its
// quotes: every second part is a string. A text that is no JSON even then stays as it came.
const backslash = 'chr(92)';
const quote = 'chr(34)';
const aside = `replace(replace(specifications_text, ${backslash} || ${backslash}, chr(1)), ${backslash} || ${quote}, chr(2))`;
const outside = `regexp_replace(replace(part, '=>', ':'), '(?<![a-z])nil(?![a-z])', 'null')`;
const inside = `replace(replace(replace(replace(part,
  ${backslash} || '#', '#'), chr(10), ${backslash} || 'n'), chr(13), ${backslash} || 'r'), chr(9), ${backslash} || 't')`;
const converted = `replace(replace(
  array_join(transform(split(${aside}, ${quote}), (part, i) -> CASE WHEN i % 2 = 0 THEN ${outside} ELSE ${inside} END), ${quote}),
  chr(2), ${backslash} || ${quote}), chr(1), ${backslash} || ${backslash})`;

export const flipkart_products = defineSource({
  about: 'Products of the Flipkart catalog, from uploaded files with 9 or 15 columns',
  owner: 'shop operations',
  arrives: { kind: 'uploaded_files' },
  records: null,
  key: ['pid'],
  version: 'changed_at',
  bounds: { earliest: '2006-01-01', days_ahead: 2 },
  columns: {
    pid: { type: 'STRING', required: true, about: 'Product' },
    uniq_id: { type: 'STRING', about: 'The listing that was crawled' },
    product_name_text: { type: 'STRING', from: 'product_name', about: 'Name, as sent' },
    product_name: { type: 'STRING', sql: missing('product_name_text'), about: 'Name' },
    brand_text: { type: 'STRING', from: 'brand', about: 'Brand, as sent' },
    brand: { type: 'STRING', sql: missing('brand_text'), about: 'Brand; often missing' },
    category_tree: {
      type: 'STRING',
      from: 'product_category_tree',
      about: 'JSON array of one path of categories, as sent',
    },
    category: {
      type: 'STRING',
      sql: `get(${path}, 0)`,
      about: 'Top level of the path; NULL when the file names no path',
    },
    category_path: {
      type: 'STRING',
      repeated: true,
      sql: path,
      about: 'Categories from the top down; often the last one is the product itself',
    },
    retail_price: { type: 'NUMERIC', about: 'List price in rupees; missing in some' },
    discounted_price: { type: 'NUMERIC', about: 'Selling price in rupees; missing in some' },
    product_rating_text: { type: 'STRING', from: 'product_rating', about: 'As sent' },
    product_rating: {
      type: 'FLOAT64',
      sql: rating('product_rating_text'),
      about: "Stars of the product; NULL = 'No rating available'",
    },
    overall_rating_text: { type: 'STRING', from: 'overall_rating', about: 'As sent' },
    overall_rating: {
      type: 'FLOAT64',
      sql: rating('overall_rating_text'),
      about: "Stars of the listing; NULL = 'No rating available'",
    },
    is_fk_advantage_product: {
      type: 'BOOL',
      from: 'is_FK_Advantage_product',
      about: 'Shipped by Flipkart itself',
    },
    url_text: { type: 'STRING', from: 'product_url', about: 'Page, as sent' },
    url: { type: 'STRING', sql: missing('url_text'), about: 'Page of the product' },
    images_text: { type: 'STRING', from: 'image', about: 'JSON array of addresses, as sent' },
    images: {
      type: 'STRING',
      repeated: true,
      sql: "from_json(images_text, 'ARRAY<STRING>')",
      about: 'Addresses of pictures',
    },
    description_text: { type: 'STRING', from: 'description', about: 'Description, as sent' },
    description: { type: 'STRING', sql: missing('description_text'), about: 'Description' },
    specifications_text: {
      type: 'STRING',
      from: 'product_specifications',
      about: "Specifications as sent: a hash in Ruby's syntax",
    },
    specifications: {
      type: 'STRING',
      sql: `CASE WHEN trim(specifications_text) = '' THEN NULL
        WHEN get_json_object(${converted}, '$') IS NOT NULL THEN ${converted}
        ELSE specifications_text END`,
      about: 'Specifications as JSON; as sent where they are no hash',
    },
    crawl_timestamp: { type: 'STRING', about: 'When it was crawled, as sent' },
    crawled_at: { type: 'TIMESTAMP', sql: crawled, about: 'When it was crawled' },
    changed_at: {
      type: 'TIMESTAMP',
      sql: `coalesce(${crawled}, observed_at)`,
      about: 'Version: when it was crawled, else when the file was uploaded',
    },
  },
});
