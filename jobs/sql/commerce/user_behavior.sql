WITH happened AS (
  SELECT
    l.date, l.event_at, l.event_id, l.event_name, l.product_id, l.user_id, l.order_id, l.order_line_id,
    l.session_id, l.price, l.quantity, l.is_in_stream, l.is_in_orders, l.seen_on
  FROM merged_order_lines l
  LEFT SEMI JOIN partitions p ON l.date = p.partition
  UNION ALL
  SELECT
    to_date(e.event_at), e.event_at, e.event_id, e.event_name, e.product_id, e.user_id, e.order_id, e.order_line_id,
    e.session_id, e.price,
    CAST(CASE e.event_name WHEN 'order' THEN 1 WHEN 'return' THEN -1 END AS BIGINT),
    true, false, CAST(array() AS ARRAY<DATE>)
  FROM stream_events e
  LEFT SEMI JOIN partitions p ON to_date(e.event_at) = p.partition
  WHERE NOT e.names_order
),
priced AS (
  SELECT
    h.*,
    coalesce(
      h.price,
      element_at(filter(r.prices, step -> step.since <= h.event_at), -1).price,
      r.prices[0].price
    ) AS paid,
    h.price IS NULL AND r.prices IS NOT NULL AS is_price_estimated
  FROM happened h
  LEFT JOIN price_histories r ON r.product_id = h.product_id
),
-- A visitor's events without a session of their own: half an hour of silence begins the next one.
begun AS (
  SELECT
    *,
    CASE
      WHEN session_id IS NULL AND user_id IS NOT NULL
        AND coalesce(event_at > lag(event_at) OVER visitor + INTERVAL 30 MINUTES, true)
      THEN event_at
    END AS begun_at
  FROM priced
  WINDOW visitor AS (PARTITION BY date, user_id, session_id IS NULL ORDER BY event_at, event_id)
),
in_session AS (
  SELECT
    *,
    max(begun_at) OVER (
      PARTITION BY date, user_id, session_id IS NULL ORDER BY event_at, event_id
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS session_began_at
  FROM begun
)
SELECT
  b.date,
  b.event_id,
  b.event_name,
  b.paid AS price,
  b.product_id,
  c.product_name,
  b.user_id,
  u.user_name,
  b.order_id,
  b.event_at,
  -- Two sessions of a visitor begin more than half an hour apart, so the half hour tells them
  -- apart; and a late event that moves the beginning within it changes no id.
  coalesce(
    b.session_id,
    CASE WHEN b.user_id IS NOT NULL THEN
      concat(
        b.user_id,
        '@',
        date_format(timestamp_seconds(floor(unix_seconds(b.session_began_at) / 1800) * 1800), "yyyy-MM-dd'T'HH:mm'Z'")
      )
    END
  ) AS session_id,
  c.category,
  b.order_line_id,
  b.quantity,
  CASE WHEN b.event_name IN ('order', 'return') THEN
    CAST(CAST(b.paid AS DECIMAL(25, 9)) * CAST(b.quantity AS DECIMAL(12, 0)) AS DECIMAL(38, 9))
  END AS amount,
  b.is_price_estimated,
  b.session_id IS NULL AND b.user_id IS NOT NULL AS is_derived_session,
  b.is_in_stream,
  b.is_in_orders,
  b.seen_on
FROM in_session b
LEFT JOIN known_products c ON c.product_id = b.product_id
LEFT JOIN known_users u ON u.user_id = b.user_id
