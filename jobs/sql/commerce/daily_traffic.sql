SELECT
  date,
  event_name,
  count(*) AS events,
  count(DISTINCT user_id) AS users,
  count(DISTINCT session_id) AS sessions
FROM user_behavior
GROUP BY date, event_name
