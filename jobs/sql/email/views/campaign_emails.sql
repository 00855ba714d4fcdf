-- Per campaign the marketing email it was sent as, and its team. Living emails before archived
-- ones, a main campaign before one of many before a group, then the newest email.
WITH links AS (
  SELECT primary_email_campaign_id AS campaign_id, 1 AS rank, e.* FROM marketing_emails e
  UNION ALL
  SELECT explode(all_email_campaign_ids), 2, e.* FROM marketing_emails e
  UNION ALL
  SELECT email_campaign_group_id, 3, e.* FROM marketing_emails e
),
best AS (
  SELECT
    campaign_id,
    max_by(
      struct(id, name, subject, type, published_by_id, created_by_id),
      struct(NOT coalesce(is_archived, false), -rank, updated_at_source, id)
    ) AS email
  FROM links
  WHERE campaign_id IS NOT NULL
  GROUP BY campaign_id
),
teams AS (
  SELECT
    user_id,
    max_by(primary_team_id, struct(NOT coalesce(is_archived, false), updated_at_source, id)) AS team_id
  FROM owners
  WHERE user_id IS NOT NULL AND primary_team_id IS NOT NULL
  GROUP BY user_id
)
SELECT
  best.campaign_id,
  best.email.id AS marketing_email_id,
  best.email.name,
  best.email.subject,
  best.email.type,
  coalesce(publisher.team_id, creator.team_id) AS marketing_team_id
FROM best
LEFT JOIN teams publisher ON publisher.user_id = best.email.published_by_id
LEFT JOIN teams creator ON creator.user_id = best.email.created_by_id
