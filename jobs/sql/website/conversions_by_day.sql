SELECT
  event_date,
  event_type,
  channel,
  count(DISTINCT user_id) AS users,
  count(DISTINCT CASE WHEN session_id IS NOT NULL THEN struct(session_date, session_id) END) AS sessions,
  CAST(coalesce(sum(amount), 0) AS DECIMAL(38, 9)) AS amount,
  count(*) AS conversions,
  count_if(lacks_amount) AS without_amount
FROM events
WHERE is_conversion
GROUP BY event_date, event_type, channel
