-- Prices over time: every version of a product that was seen, and an uploaded catalog's as of its
-- crawl. A version without a price, such as a deletion, only ends the price before it.
WITH versions AS (
  SELECT
    product_id,
    CASE WHEN NOT coalesce(is_deleted, false) THEN price END AS price,
    CAST(NULL AS DECIMAL(38, 9)) AS discounted_price,
    version_at AS valid_from,
    1 AS rank
  FROM products
  UNION ALL
  SELECT pid, retail_price, discounted_price, crawled_at, 2
  FROM flipkart_products
  WHERE retail_price IS NOT NULL OR discounted_price IS NOT NULL
),
-- The shop's own word counts where both speak of one instant.
single AS (
  SELECT product_id, valid_from, min_by(struct(price, discounted_price), rank) AS p
  FROM versions
  GROUP BY product_id, valid_from
),
moved AS (
  SELECT *
  FROM (
    SELECT *, row_number() OVER w AS place, lag(p) OVER w AS before
    FROM single
    WINDOW w AS (PARTITION BY product_id ORDER BY valid_from NULLS FIRST)
  )
  WHERE place = 1 OR NOT p <=> before
),
spans AS (
  SELECT
    product_id,
    p.price,
    p.discounted_price,
    valid_from,
    lead(valid_from) OVER (PARTITION BY product_id ORDER BY valid_from NULLS FIRST) AS valid_to
  FROM moved
)
SELECT * FROM spans
WHERE price IS NOT NULL OR discounted_price IS NOT NULL
