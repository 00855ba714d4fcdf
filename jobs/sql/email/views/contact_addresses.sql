-- One row per address: the contacts behind it after merges, its only one as user_id. A deleted
-- contact counts only where no living one has the address.
WITH held AS (
  SELECT
    coalesce(survivor.is_deleted, c.is_deleted) AS is_deleted,
    explode(concat(array(c.email_hash), coalesce(c.additional_email_hashes, array()))) AS email_hash,
    coalesce(s.survivor_id, c.id) AS user_id
  FROM contacts c
  LEFT JOIN contact_survivors s ON s.user_id = c.id
  LEFT JOIN contacts survivor ON survivor.id = s.survivor_id
),
grouped AS (
  SELECT
    email_hash,
    collect_set(CASE WHEN NOT is_deleted THEN user_id END) AS living,
    collect_set(user_id) AS everyone
  FROM held
  WHERE email_hash IS NOT NULL
  GROUP BY email_hash
),
chosen AS (
  SELECT email_hash, CASE WHEN size(living) > 0 THEN living ELSE everyone END AS users
  FROM grouped
)
SELECT
  chosen.email_hash,
  size(chosen.users) AS contacts,
  CASE WHEN size(chosen.users) = 1 THEN chosen.users[0] END AS user_id,
  CASE WHEN size(chosen.users) = 1 THEN n.country_code END AS country_code
FROM chosen
LEFT JOIN contacts c ON size(chosen.users) = 1 AND c.id = chosen.users[0]
LEFT JOIN country_names n ON n.spelling = upper(regexp_replace(c.country, '[^\\p{L}]', ''))
