WITH lines AS (
  SELECT
    s.*,
    coalesce(
      s.price,
      element_at(filter(r.prices, step -> step.since <= s.seen_at), -1).price,
      r.prices[0].price
    ) AS unit_price,
    s.price IS NULL AND r.prices IS NOT NULL AS is_price_estimated
  FROM asked_order_lines s
  LEFT JOIN price_histories r ON r.product_id = s.product_id
),
priced AS (
  SELECT
    *,
    CAST(CAST(unit_price AS DECIMAL(25, 9)) * CAST(coalesce(quantity, 1) AS DECIMAL(12, 0)) AS DECIMAL(38, 9))
      AS line_amount
  FROM lines
),
ordered AS (
  SELECT *, CAST(sum(line_amount) OVER (PARTITION BY order_id) AS DECIMAL(38, 9)) AS order_amount
  FROM priced
)
SELECT
  o.seen_date AS order_date,
  o.order_id,
  o.product_id,
  c.product_name,
  c.category,
  o.user_id,
  u.user_name,
  o.quantity,
  o.unit_price,
  o.line_amount,
  o.order_amount,
  o.status,
  o.sighting_id AS order_line_key,
  o.order_line_id,
  o.seen_at AS ordered_at,
  o.event_name = 'return' OR lower(o.status) <=> 'returned' AS is_return,
  coalesce(o.price < 0, false) AS is_negative_price,
  o.is_price_estimated
FROM ordered o
LEFT SEMI JOIN partitions p ON o.seen_date = p.partition
LEFT JOIN known_products c ON c.product_id = o.product_id
LEFT JOIN known_users u ON u.user_id = o.user_id
