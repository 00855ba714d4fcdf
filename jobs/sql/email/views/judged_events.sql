-- Events with the judgement whether a machine made them: HubSpot's filter, or a burst. A burst is
-- an OPEN with five or more CLICKs of its send within a second after it; these and it are no
-- person's.
SELECT
  *,
  type <=> 'CLICK' AND NOT coalesce(is_preference_link, false) AS is_counted_click,
  coalesce(is_filtered, false) OR coalesce(
    CASE
      WHEN type = 'OPEN' THEN opens_burst
      WHEN type = 'CLICK' THEN
        max(type = 'OPEN' AND opens_burst) OVER (
          PARTITION BY send_id, send_created_at ORDER BY unix_millis(created_at)
          RANGE BETWEEN 1000 PRECEDING AND CURRENT ROW
        )
    END,
    false
  ) AS is_bot
FROM (
  SELECT
    *,
    send_id IS NOT NULL AND count_if(type = 'CLICK') OVER (
      PARTITION BY send_id, send_created_at ORDER BY unix_millis(created_at)
      RANGE BETWEEN CURRENT ROW AND 1000 FOLLOWING
    ) >= 5 AS opens_burst
  FROM email_events
)
