WITH steps AS (
  SELECT
    session_date,
    session_id,
    user_id,
    event_type AS to_type,
    event_at,
    lag(event_type) OVER following AS from_type,
    lag(event_at) OVER following AS from_at
  FROM session_events
  WHERE session_id IS NOT NULL
  WINDOW following AS (PARTITION BY session_date, session_id ORDER BY place)
)
SELECT
  session_date,
  from_type,
  to_type,
  count(DISTINCT session_id) AS sessions,
  count(DISTINCT user_id) AS users,
  percentile((unix_micros(event_at) - unix_micros(from_at)) / 1000000, 0.5) AS median_seconds,
  count(*) AS transitions
FROM steps
WHERE from_type IS NOT NULL
GROUP BY session_date, from_type, to_type
