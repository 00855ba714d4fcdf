WITH spent AS (
  SELECT
    session_date AS date,
    user_id,
    count(*) AS sessions,
    count_if(orders > 0) AS buying_sessions,
    sum(amount_spent) AS amount_spent,
    sum(amount_returned) AS amount_returned
  FROM sessions
  GROUP BY session_date, user_id
),
days AS (
  SELECT
    date,
    sum(sessions) AS sessions,
    sum(buying_sessions) AS buying_sessions,
    count(user_id) AS users,
    CAST(sum(amount_spent) AS DECIMAL(38, 9)) AS amount_spent,
    CAST(sum(amount_returned) AS DECIMAL(38, 9)) AS amount_returned,
    sum(CASE WHEN user_id IS NOT NULL THEN CAST(amount_spent AS DECIMAL(22, 9)) / CAST(sessions AS DECIMAL(12, 0)) END)
      AS spent_per_session_of_users
  FROM spent
  GROUP BY date
)
SELECT
  date,
  sessions,
  buying_sessions,
  users,
  amount_spent,
  CAST(CAST(amount_spent AS DECIMAL(22, 9)) / CAST(sessions AS DECIMAL(12, 0)) AS DECIMAL(38, 9)) AS average_per_session,
  CASE WHEN users > 0 THEN
    CAST(CAST(spent_per_session_of_users AS DECIMAL(25, 12)) / CAST(users AS DECIMAL(12, 0)) AS DECIMAL(38, 9))
  END AS average_per_user_per_session,
  amount_returned
FROM days
