WITH counted AS (
  SELECT id AS campaign_id, counted_at, from_json(counters, 'map<string, bigint>') AS counters
  FROM email_campaigns
  WHERE counters IS NOT NULL
),
-- `unsubscribed` and `reply` count what is no event type.
theirs AS (
  SELECT campaign_id, upper(name) AS event_type, count AS hubspot
  FROM counted LATERAL VIEW explode(counters) AS name, count
  WHERE lower(name) NOT IN ('unsubscribed', 'reply')
),
ours AS (
  SELECT campaign_id, event_type, sum(events + preference_clicks) AS ours
  FROM engagement_by_day
  WHERE campaign_id IN (SELECT campaign_id FROM counted)
  GROUP BY campaign_id, event_type
)
SELECT
  campaign_id,
  event_type,
  coalesce(o.ours, 0) AS ours,
  coalesce(t.hubspot, 0) AS hubspot,
  coalesce(o.ours, 0) - coalesce(t.hubspot, 0) AS difference,
  c.counted_at AS checked_at
FROM theirs t
FULL OUTER JOIN ours o USING (campaign_id, event_type)
JOIN counted c USING (campaign_id)
