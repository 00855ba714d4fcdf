WITH days AS (
  SELECT e.event_date, e.entity_type, e.entity_id, e.user_id, e.session_date, e.session_id
  FROM events e
  LEFT SEMI JOIN partitions p ON p.partition = e.event_date
  WHERE e.entity_id IS NOT NULL
),
-- When a reader first had to do with an entity, of those that matter here.
first_days AS (
  SELECT e.entity_type, e.entity_id, e.user_id, min(e.event_date) AS first_date
  FROM events e
  LEFT SEMI JOIN days d
    ON d.entity_id = e.entity_id AND d.entity_type <=> e.entity_type AND d.user_id = e.user_id
  GROUP BY e.entity_type, e.entity_id, e.user_id
)
SELECT
  d.event_date,
  d.entity_type,
  d.entity_id,
  count(*) AS events,
  count(DISTINCT d.user_id) AS users,
  count(DISTINCT CASE WHEN d.session_id IS NOT NULL THEN struct(d.session_date, d.session_id) END) AS sessions,
  count(DISTINCT CASE WHEN f.first_date < d.event_date THEN d.user_id END) AS returning_users
FROM days d
LEFT JOIN first_days f
  ON f.entity_id = d.entity_id AND f.entity_type <=> d.entity_type AND f.user_id = d.user_id
GROUP BY d.event_date, d.entity_type, d.entity_id
