SELECT
  s.date,
  count(*) AS visitors,
  count_if(s.date = u.first_seen_date) AS new_visitors,
  count_if(s.date > u.first_seen_date) AS returning_visitors
FROM (SELECT DISTINCT date, user_id FROM user_behavior WHERE user_id IS NOT NULL) s
LEFT SEMI JOIN partitions p ON p.partition = s.date
JOIN user_profile u ON u.user_id = s.user_id
GROUP BY s.date
