WITH members AS (
  SELECT
    id,
    updated_at_source,
    NOT coalesce(is_archived, false) AS is_active,
    explode(from_json(teams, 'array<struct<id: string, name: string>>')) AS team
  FROM owners
)
SELECT
  team.id AS marketing_team_id,
  max_by(team.name, struct(is_active, updated_at_source, id)) AS marketing_team_name,
  count(DISTINCT CASE WHEN is_active THEN id END) AS members
FROM members
WHERE team.id IS NOT NULL
GROUP BY team.id
