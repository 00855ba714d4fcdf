WITH seen AS (
  SELECT date, user_id, min(date) OVER (PARTITION BY user_id) AS first_seen_date
  FROM (SELECT DISTINCT date, user_id FROM user_behavior WHERE user_id IS NOT NULL)
)
SELECT
  s.date,
  count(*) AS visitors,
  count_if(s.date = s.first_seen_date) AS new_visitors,
  count_if(s.date > s.first_seen_date) AS returning_visitors
FROM seen s
LEFT SEMI JOIN partitions p ON p.partition = s.date
GROUP BY s.date
