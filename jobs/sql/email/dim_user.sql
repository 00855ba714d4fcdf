SELECT
  c.id AS user_id,
  c.email_hash,
  coalesce(n.country_code, 'ZZ') AS country_code,
  c.lifecycle_stage,
  c.created_at,
  c.is_deleted,
  s.survivor_id AS merged_into,
  coalesce(c.is_privacy_deleted, false) AS is_privacy_deleted
FROM contacts c
LEFT JOIN contact_survivors s ON s.user_id = c.id
LEFT JOIN country_names n ON n.spelling = upper(regexp_replace(c.country, '[^\\p{L}]', ''))
