SELECT
  product_id,
  product_name,
  brand,
  category,
  category_path,
  price,
  discounted_price,
  -- Products that are gone are in no count and no average, their own rows included.
  CASE WHEN category IS NOT NULL THEN count_if(NOT is_deleted) OVER same_category END
    AS category_product_count,
  CASE WHEN category IS NOT NULL THEN
    CAST(
      CAST(sum(CASE WHEN NOT is_deleted THEN price END) OVER same_category AS DECIMAL(22, 9))
      / CAST(count(CASE WHEN NOT is_deleted THEN price END) OVER same_category AS DECIMAL(12, 0))
      AS DECIMAL(38, 9)
    )
  END AS category_average_price,
  is_deleted
FROM known_products
WINDOW same_category AS (PARTITION BY category)
