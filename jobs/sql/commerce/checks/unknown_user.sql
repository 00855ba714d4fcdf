SELECT count(*) AS rows, count_if(NOT is_registered) AS failed
FROM user_profile
WHERE first_seen_date IS NOT NULL
