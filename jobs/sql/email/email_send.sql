-- Everything that names a send, gathered on it; sends whose SENT is missing or obsoleted are none.
WITH happened AS (
  SELECT e.*, b.bounce_type
  FROM judged_events e
  LEFT JOIN bounce_categories b ON b.bounce_category = e.bounce_category
  WHERE e.send_id IS NOT NULL AND e.obsoleted_by_id IS NULL
),
sends AS (
  SELECT
    send_id,
    send_created_at AS sent_at,
    count_if(type = 'SENT') AS sents,
    max_by(
      struct(email_campaign_id, email_hash, recipient_domain), CASE WHEN type = 'SENT' THEN 1 END
    ) AS s,
    min(CASE WHEN type = 'DELIVERED' THEN created_at END) AS delivered_at,
    min(CASE WHEN type = 'BOUNCE' THEN
      struct(CASE WHEN bounce_type = 'hard' THEN 0 ELSE 1 END AS soft, created_at, bounce_category)
    END) AS bounce,
    min(CASE WHEN type = 'OPEN' THEN created_at END) AS first_open_at,
    min(CASE WHEN type = 'OPEN' AND NOT is_bot THEN created_at END) AS first_human_open_at,
    min(CASE WHEN is_counted_click THEN created_at END) AS first_click_at,
    min(CASE WHEN is_counted_click AND NOT is_bot THEN created_at END) AS first_human_click_at,
    min(CASE WHEN type = 'DEFERRED' THEN created_at END) AS first_deferred_at,
    count_if(type = 'OPEN') AS opens,
    count_if(type = 'OPEN' AND NOT is_bot) AS human_opens,
    count_if(is_counted_click) AS clicks,
    count_if(is_counted_click AND NOT is_bot) AS human_clicks,
    count_if(type IN ('OPEN', 'CLICK')) > 0 AS is_opened,
    count_if(type IN ('OPEN', 'CLICK') AND NOT is_bot) > 0 AS is_human_opened,
    count_if(type = 'DEFERRED') AS deferrals,
    count_if(type = 'STATUSCHANGE' AND portal_subscription_status = 'UNSUBSCRIBED') > 0 AS unsubscribed,
    count_if(type = 'SPAMREPORT') > 0 AS spam_reported
  FROM happened
  GROUP BY send_id, send_created_at
)
SELECT
  to_date(sends.sent_at) AS sent_date,
  sends.send_id,
  sends.s.email_campaign_id AS campaign_id,
  a.user_id,
  sends.s.email_hash,
  sends.sent_at,
  sends.delivered_at,
  sends.bounce.created_at AS bounced_at,
  sends.bounce.bounce_category,
  sends.first_open_at,
  sends.first_click_at,
  sends.opens,
  sends.human_opens,
  sends.clicks,
  sends.human_clicks,
  sends.unsubscribed,
  sends.spam_reported,
  CAST((unix_millis(least(sends.first_open_at, sends.first_click_at)) - unix_millis(sends.sent_at)) / 1000 AS DOUBLE)
    AS user_response_time,
  CASE WHEN sends.bounce IS NOT NULL THEN CASE WHEN sends.bounce.soft = 0 THEN 'hard' ELSE 'soft' END END
    AS bounce_type,
  sends.is_opened,
  sends.is_human_opened,
  sends.first_human_open_at,
  sends.first_human_click_at,
  sends.first_deferred_at,
  sends.deferrals,
  sends.s.recipient_domain,
  coalesce(a.country_code, 'ZZ') AS country_code
FROM sends
LEFT JOIN contact_addresses a ON a.email_hash = sends.s.email_hash
WHERE sends.sents > 0
