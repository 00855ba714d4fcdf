WITH types AS (
  SELECT event_type FROM event_types
  UNION
  SELECT event_type FROM engagement_by_day
)
SELECT
  types.event_type,
  coalesce(known.label, types.event_type) AS label,
  known.stage,
  coalesce(known.stage = 'engagement', false) AS is_engagement
FROM types
LEFT JOIN event_types known ON known.event_type = types.event_type
