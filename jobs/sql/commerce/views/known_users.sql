-- Users by now; one who is gone from the shop has no name any more.
SELECT
  user_id,
  CASE WHEN NOT coalesce(is_deleted, false) THEN nullif(trim(user_name), '') END AS user_name,
  date AS signed_up_date,
  coalesce(is_deleted, false) AS is_deleted
FROM users
