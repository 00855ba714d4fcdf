-- Orders and returns as the stream of events saw them.
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
