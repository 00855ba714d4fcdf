-- Where a merged contact went: the end of a chain of merges. A contact that survived its merges has
-- no row. Four steps are followed; longer chains do not occur, for HubSpot repeats earlier merges in
-- the list of the survivor.
WITH merges AS (
  SELECT merged_id, max(id) AS into
  FROM (SELECT id, explode(merged_ids) AS merged_id FROM contacts)
  WHERE merged_id <> id
  GROUP BY merged_id
)
SELECT
  m1.merged_id AS user_id,
  coalesce(m4.into, m3.into, m2.into, m1.into) AS survivor_id
FROM merges m1
LEFT JOIN merges m2 ON m2.merged_id = m1.into
LEFT JOIN merges m3 ON m3.merged_id = m2.into
LEFT JOIN merges m4 ON m4.merged_id = m3.into
