WITH sent AS (
  SELECT campaign_id, min(first_sent_at) AS first_sent_at, max(last_sent_at) AS last_sent_at
  FROM campaign_performance
  GROUP BY campaign_id
),
ids AS (
  SELECT id AS campaign_id FROM email_campaigns
  UNION
  SELECT campaign_id FROM sent
  UNION
  SELECT campaign_id FROM engagement_by_day
)
SELECT
  ids.campaign_id,
  coalesce(c.name, m.name) AS campaign_name,
  coalesce(c.subject, m.subject) AS subject,
  coalesce(c.type, m.type) AS email_type,
  m.marketing_email_id,
  m.marketing_team_id,
  sent.first_sent_at,
  sent.last_sent_at
FROM ids
LEFT JOIN email_campaigns c ON c.id = ids.campaign_id
LEFT JOIN campaign_emails m ON m.campaign_id = ids.campaign_id
LEFT JOIN sent ON sent.campaign_id = ids.campaign_id
WHERE ids.campaign_id IS NOT NULL
