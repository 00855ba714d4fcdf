SELECT
  to_date(event_at) AS seen_date,
  'stream' AS seen_in,
  event_id AS sighting_id,
  event_at AS seen_at,
  event_name,
  order_id,
  order_line_id,
  product_id,
  user_id,
  session_id,
  price,
  CAST(NULL AS BIGINT) AS quantity,
  CAST(NULL AS STRING) AS status,
  CAST(NULL AS TIMESTAMP) AS changed_at
FROM stream_events
WHERE names_order
UNION ALL
SELECT
  to_date(ordered_at),
  'orders',
  order_line_key,
  ordered_at,
  CASE WHEN quantity < 0 THEN 'return' ELSE 'order' END,
  order_id,
  nullif(trim(order_line_id), ''),
  product_id,
  nullif(trim(user_id), ''),
  CAST(NULL AS STRING),
  price,
  quantity,
  nullif(trim(status), ''),
  changed_at
FROM orders
