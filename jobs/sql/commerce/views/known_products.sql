-- What is known of each product by now. The shop's own word counts before an uploaded catalog's;
-- a product that is gone keeps its last name, for people have bought it.
WITH shop AS (
  SELECT
    product_id,
    max_by(coalesce(is_deleted, false), struct(observed_at, version_at)) AS is_deleted,
    max_by(
      struct(product_name, category, price),
      CASE WHEN NOT coalesce(is_deleted, false) THEN struct(observed_at, version_at) END
    ) AS p
  FROM products
  GROUP BY product_id
),
spoken AS (
  SELECT
    coalesce(shop.product_id, f.pid) AS product_id,
    coalesce(shop.p.product_name, '') AS shop_name,
    coalesce(f.product_name, '') AS uploaded_name,
    coalesce(shop.p.category, '') AS shop_category,
    coalesce(f.category, '') AS uploaded_category,
    f.brand,
    f.category_path,
    shop.p.price AS shop_price,
    f.retail_price,
    f.discounted_price,
    coalesce(shop.is_deleted, false) AS is_deleted
  FROM shop
  FULL OUTER JOIN flipkart_products f ON f.pid = shop.product_id
)
SELECT
  product_id,
  coalesce(
    nullif(trim(regexp_replace(shop_name, '\\s+', ' ')), ''),
    nullif(trim(regexp_replace(uploaded_name, '\\s+', ' ')), '')
  ) AS product_name,
  nullif(trim(regexp_replace(brand, '\\s+', ' ')), '') AS brand,
  coalesce(
    nullif(trim(regexp_replace(shop_category, '\\s+', ' ')), ''),
    nullif(trim(regexp_replace(uploaded_category, '\\s+', ' ')), '')
  ) AS category,
  category_path,
  coalesce(shop_price, retail_price) AS price,
  discounted_price,
  is_deleted
FROM spoken
