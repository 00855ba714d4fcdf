-- Order lines and returns as the orders API gives them.
SELECT
  to_date(ordered_at) AS seen_date,
  'orders' AS seen_in,
  order_line_key AS sighting_id,
  ordered_at AS seen_at,
  CASE WHEN quantity < 0 THEN 'return' ELSE 'order' END AS event_name,
  order_id,
  nullif(trim(order_line_id), '') AS order_line_id,
  product_id,
  nullif(trim(user_id), '') AS user_id,
  CAST(NULL AS STRING) AS session_id,
  price,
  quantity,
  nullif(trim(status), '') AS status,
  changed_at
FROM orders
