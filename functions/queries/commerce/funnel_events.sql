-- What stands in the place of `happened` in website/funnel.sql when a funnel is asked of shoppers:
-- steps are names of events (view, wishlist, order, return), in the order of (event_at, event_id).
SELECT 'user' AS grain, user_id AS actor, event_at, event_id AS event_key, event_name AS event_type
FROM commerce.user_behavior
WHERE date BETWEEN @from AND @to AND user_id IS NOT NULL AND event_name IN UNNEST(@steps)
UNION ALL
SELECT 'session', session_id, event_at, event_id, event_name
FROM commerce.user_behavior
WHERE date BETWEEN @from AND @to AND session_id IS NOT NULL AND event_name IN UNNEST(@steps)
