-- Events as sent, an empty id being none; those that name the order they belong to are told apart.
SELECT
  *,
  event_name IN ('order', 'return') AND order_id IS NOT NULL AS names_order
FROM (
  SELECT
    event_id,
    event_at,
    coalesce(nullif(trim(event_name), ''), 'unknown') AS event_name,
    nullif(trim(product_id), '') AS product_id,
    nullif(trim(user_id), '') AS user_id,
    nullif(trim(order_id), '') AS order_id,
    nullif(trim(order_line_id), '') AS order_line_id,
    nullif(trim(session_id), '') AS session_id,
    price
  FROM behavior_events
)
