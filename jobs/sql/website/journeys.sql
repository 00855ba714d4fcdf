SELECT
  session_date,
  path,
  count(*) AS sessions,
  count(DISTINCT user_id) AS users,
  count_if(conversions > 0) AS converted_sessions
FROM sessions
GROUP BY session_date, path
