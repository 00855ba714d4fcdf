-- Prices over time: every version of a product that was seen, and an uploaded catalog's as of its
-- crawl, where the shop names no price. A version without a price, such as a deletion, only ends the
-- price before it.
WITH shop AS (
  SELECT
    *,
    max(CASE WHEN NOT coalesce(is_deleted, false) THEN observed_at END) OVER (
      PARTITION BY product_id ORDER BY version_at ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS older_seen_at
  FROM products
),
versions AS (
  SELECT
    product_id,
    CASE WHEN NOT coalesce(is_deleted, false) THEN price END AS price,
    CAST(NULL AS DECIMAL(38, 9)) AS discounted_price,
    version_at AS valid_from,
    1 AS rank
  FROM shop
  -- What came back as it had been was never gone for good.
  WHERE NOT (coalesce(is_deleted, false) AND coalesce(older_seen_at > observed_at, false))
  UNION ALL
  SELECT pid, retail_price, discounted_price, crawled_at, 2
  FROM flipkart_products
  WHERE retail_price IS NOT NULL OR discounted_price IS NOT NULL
),
spoken AS (
  SELECT
    *,
    last_value(CASE WHEN rank = 1 THEN price IS NOT NULL END, true) OVER (
      PARTITION BY product_id ORDER BY valid_from NULLS FIRST, rank
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS shop_names_one
  FROM versions
),
-- The shop's own word counts where both speak of one instant.
single AS (
  SELECT product_id, valid_from, min_by(struct(price, discounted_price), rank) AS p
  FROM spoken
  WHERE rank = 1 OR NOT coalesce(shop_names_one, false)
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
