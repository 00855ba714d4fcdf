/** How a table with `product_id` and `is_price_estimated` calls its partition, price and time. */
interface Row {
  readonly day: string;
  readonly price: string;
  readonly at: string;
  /** By which rows are summed, over whatever days: a price concerns all of them. */
  readonly summedBy?: string;
}

/** Spark SQL: a text without what surrounds it; NULL when nothing is left. Blanks in a row are one. */
const clean = (text: string): string => `nullif(trim(regexp_replace(${text}, '\\\\s+', ' ')), '')`;

/**
 * Spark SQL: the days of a table's rows that show a product otherwise than it is known by now. The
 * current name and category are those of jobs/sql/commerce/views/known_products.sql; only rows that
 * differ are touched, for a product changes for many other reasons.
 * @param day the table's partition column; it also has `product_name` and `category`
 * @param id what `changed` calls the product
 */
const renamed = (day: string, id: string): string => `SELECT self.${day} FROM self JOIN (
        SELECT
          asked.product_id,
          coalesce(shop.product_name, ${clean('f.product_name')}) AS product_name,
          coalesce(shop.category, ${clean('f.category')}) AS category
        FROM (SELECT DISTINCT ${id} AS product_id FROM changed) asked
        LEFT JOIN (
          SELECT
            product_id,
            max_by(${clean('product_name')}, struct(observed_at, version_at)) AS product_name,
            max_by(${clean('category')}, struct(observed_at, version_at)) AS category
          FROM products WHERE NOT coalesce(is_deleted, false) GROUP BY product_id
        ) shop ON shop.product_id = asked.product_id
        LEFT JOIN flipkart_products f ON f.pid = asked.product_id
      ) now ON now.product_id = self.product_id
      WHERE NOT (self.product_name <=> now.product_name AND self.category <=> now.category)`;

/**
 * Spark SQL: days of rows whose missing price a version of a product fills for the first time or
 * otherwise than before, or filled before it changed. A version holds from its time on; the first one also stands for the time before.
 */
const repriced = (
  row: Row,
  version: { readonly id: string; readonly price: string; readonly since: string },
): string => `SELECT ${row.summedBy === undefined ? 'self' : 'beside'}.${row.day} FROM self
      ${row.summedBy === undefined ? '' : `JOIN self beside ON beside.${row.summedBy} = self.${row.summedBy}`}
      JOIN (
        SELECT ${version.id} AS product_id, ${version.since} AS since, ${version.price} AS price, _image
        FROM changed WHERE ${version.price} IS NOT NULL
      ) v ON v.product_id = self.product_id
      LEFT JOIN (
        SELECT product_id, min(since) AS first FROM (
          SELECT product_id, version_at AS since FROM products WHERE price IS NOT NULL
          UNION ALL
          SELECT pid, crawled_at FROM flipkart_products WHERE retail_price IS NOT NULL
        ) GROUP BY product_id
      ) known ON known.product_id = self.product_id
      WHERE (self.is_price_estimated OR self.${row.price} IS NULL)
        AND (self.${row.price} <=> v.price) = (v._image = 'old')
        AND coalesce(v.since <= known.first OR self.${row.at} >= v.since, true)`;

/** What a changed product touches in a table that shows its name and falls back to its price. */
export const daysOfProducts = (row: Row): string =>
  `${renamed(row.day, 'product_id')}
      UNION ALL
      ${repriced(row, { id: 'product_id', price: 'price', since: 'version_at' })}`;

/** The same of a product that was uploaded. */
export const daysOfUploadedProducts = (row: Row): string =>
  `${renamed(row.day, 'pid')}
      UNION ALL
      ${repriced(row, { id: 'pid', price: 'retail_price', since: 'crawled_at' })}`;
