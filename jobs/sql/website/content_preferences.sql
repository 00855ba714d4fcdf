WITH counted AS (
  SELECT
    event_date,
    entity_type,
    event_type,
    coalesce(device, platform, 'unknown') AS device,
    count(*) AS events,
    count(DISTINCT user_id) AS users
  FROM events
  WHERE entity_type IS NOT NULL
  GROUP BY event_date, entity_type, event_type, coalesce(device, platform, 'unknown')
)
SELECT
  *,
  CAST(events AS DOUBLE) / sum(events) OVER (PARTITION BY event_date, device) AS share
FROM counted
