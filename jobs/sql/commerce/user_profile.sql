WITH behaved AS (
  SELECT
    user_id,
    min(date) AS first_seen_date,
    max(date) AS last_seen_date,
    count_if(event_name = 'view') AS views,
    count(DISTINCT CASE WHEN event_name = 'order' THEN coalesce(order_id, event_id) END) AS orders,
    count_if(event_name = 'wishlist') AS wishlists,
    count_if(event_name = 'return') AS returns,
    CAST(coalesce(sum(CASE WHEN event_name = 'order' THEN amount END), 0) AS DECIMAL(38, 9)) AS amount_spent,
    count_if(event_name = 'order') AS order_lines,
    CAST(coalesce(-sum(CASE WHEN event_name = 'return' THEN amount END), 0) AS DECIMAL(38, 9)) AS amount_returned
  FROM user_behavior
  WHERE user_id IS NOT NULL
  GROUP BY user_id
),
visited AS (
  SELECT user_id, count(*) AS sessions, count_if(orders > 0) AS buying_sessions
  FROM sessions
  WHERE user_id IS NOT NULL
  GROUP BY user_id
),
liked AS (
  SELECT user_id, min_by(category, struct(-events, category)) AS favourite_category
  FROM (
    SELECT user_id, category, count(*) AS events
    FROM user_behavior
    WHERE user_id IS NOT NULL AND category IS NOT NULL
    GROUP BY user_id, category
  )
  GROUP BY user_id
)
SELECT
  coalesce(b.user_id, u.user_id) AS user_id,
  u.user_name,
  b.first_seen_date,
  b.last_seen_date,
  coalesce(v.sessions, 0) AS sessions,
  coalesce(b.views, 0) AS views,
  coalesce(b.orders, 0) AS orders,
  coalesce(b.wishlists, 0) AS wishlists,
  coalesce(b.returns, 0) AS returns,
  coalesce(b.amount_spent, CAST(0 AS DECIMAL(38, 9))) AS amount_spent,
  l.favourite_category,
  try_divide(CAST(v.buying_sessions AS DOUBLE), v.sessions) AS conversion_rate,
  try_divide(CAST(b.returns AS DOUBLE), b.order_lines) AS return_rate,
  coalesce(b.order_lines, 0) AS order_lines,
  coalesce(b.amount_returned, CAST(0 AS DECIMAL(38, 9))) AS amount_returned,
  u.signed_up_date,
  u.user_id IS NOT NULL AS is_registered,
  coalesce(u.is_deleted, false) AS is_deleted
FROM behaved b
FULL OUTER JOIN known_users u ON u.user_id = b.user_id
LEFT JOIN visited v ON v.user_id = b.user_id
LEFT JOIN liked l ON l.user_id = b.user_id
