-- Events with the judgement whether a machine made them: HubSpot's filter, or a burst. A burst is
-- an OPEN with five or more CLICKs of its send within a second after it; these and it are no
-- person's. Few sends have five clicks at all, so all others are left where they lie.
WITH clicked AS (
  SELECT send_id, send_created_at, collect_list(unix_millis(created_at)) AS clicks_at
  FROM email_events
  WHERE type = 'CLICK' AND send_id IS NOT NULL
  GROUP BY send_id, send_created_at
  HAVING count(*) >= 5
),
bursts AS (
  SELECT send_id, send_created_at, collect_set(open_at) AS opens_at
  FROM (
    SELECT /*+ BROADCAST(c) */ c.send_id, c.send_created_at, c.clicks_at, unix_millis(e.created_at) AS open_at
    FROM email_events e
    JOIN clicked c ON c.send_id = e.send_id AND c.send_created_at <=> e.send_created_at
    WHERE e.type = 'OPEN'
  )
  WHERE size(filter(clicks_at, click_at -> click_at BETWEEN open_at AND open_at + 1000)) >= 5
  GROUP BY send_id, send_created_at
)
SELECT /*+ BROADCAST(b) */
  e.*,
  e.type <=> 'CLICK' AND NOT coalesce(e.is_preference_link, false) AS is_counted_click,
  coalesce(e.is_filtered, false) OR coalesce(
    CASE
      WHEN e.type = 'OPEN' THEN array_contains(b.opens_at, unix_millis(e.created_at))
      WHEN e.type = 'CLICK' THEN
        exists(b.opens_at, open_at -> unix_millis(e.created_at) BETWEEN open_at AND open_at + 1000)
    END,
    false
  ) AS is_bot
FROM email_events e
LEFT JOIN bursts b ON b.send_id = e.send_id AND b.send_created_at <=> e.send_created_at
