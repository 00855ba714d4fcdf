SELECT
  coalesce(sum(events), 0) AS rows,
  coalesce(sum(CASE WHEN event_name NOT IN ('view', 'order', 'wishlist', 'return') THEN events END), 0) AS failed
FROM daily_traffic
