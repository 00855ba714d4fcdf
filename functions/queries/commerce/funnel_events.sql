-- What stands in the place of `happened` in website/funnel.sql when a funnel is asked of shoppers:
-- steps are names of events (view, wishlist, order, return), in the order of (event_at, event_id).
SELECT 'user' AS grain, user_id AS actor, event_at, event_id AS event_key, event_name AS event_type
FROM commerce.user_behavior
WHERE date BETWEEN @from AND @to AND user_id IS NOT NULL AND event_name IN UNNEST(@steps)
UNION ALL
SELECT 'session', CONCAT(FORMAT_DATE('%F', s.session_date), ' ', s.session_id), b.event_at, b.event_id, b.event_name
FROM commerce.user_behavior AS b
-- An id can be used again on later days: a session is the day it began and its id.
JOIN commerce.sessions AS s
  ON s.session_id = b.session_id AND b.event_at BETWEEN s.started_at AND s.ended_at
WHERE b.date BETWEEN @from AND @to AND b.event_name IN UNNEST(@steps)
  AND s.session_date BETWEEN DATE_SUB(@from, INTERVAL 7 DAY) AND @to
