WITH sent AS (
  SELECT
    sent_date,
    campaign_id,
    count(*) AS sent,
    count(delivered_at) AS delivered,
    count_if(bounce_type = 'hard') AS hard_bounced,
    count_if(bounce_type = 'soft') AS soft_bounced,
    count_if(is_opened) AS unique_opens,
    count_if(is_human_opened) AS unique_human_opens,
    sum(opens) AS total_opens,
    count_if(clicks > 0) AS unique_clicks,
    count_if(human_clicks > 0) AS unique_human_clicks,
    sum(clicks) AS total_clicks,
    count_if(unsubscribed) AS unsubscribed,
    count_if(spam_reported) AS spam_reported,
    sum(human_opens) AS total_human_opens,
    sum(human_clicks) AS total_human_clicks,
    min(sent_at) AS first_sent_at,
    max(sent_at) AS last_sent_at
  FROM email_send
  GROUP BY sent_date, campaign_id
),
-- Per send: was it seen to be sent, was it dropped, what else names it.
named AS (
  SELECT
    counts_on,
    coalesce(send_id, id) AS send_id,
    send_created_at,
    max_by(email_campaign_id, CASE WHEN email_campaign_id IS NOT NULL THEN struct(created_at, id) END) AS campaign_id,
    count_if(type = 'SENT') AS sents,
    count_if(type = 'DROPPED') AS drops,
    count_if(send_id IS NOT NULL AND obsoleted_by_id IS NULL AND coalesce(type, '') <> 'DROPPED') AS events,
    count_if(send_id IS NOT NULL AND obsoleted_by_id IS NULL AND type = 'OPEN') AS opens
  FROM email_events
  WHERE send_id IS NOT NULL OR type = 'DROPPED'
  GROUP BY counts_on, coalesce(send_id, id), send_created_at
),
others AS (
  SELECT
    counts_on AS sent_date,
    campaign_id,
    count_if(drops > 0) AS dropped,
    sum(CASE WHEN sents = 0 THEN events ELSE 0 END) AS orphaned_events,
    sum(CASE WHEN sents = 0 THEN opens ELSE 0 END) AS orphaned_opens
  FROM named
  WHERE drops > 0 OR (sents = 0 AND events > 0)
  GROUP BY counts_on, campaign_id
),
both AS (
  SELECT
    coalesce(s.sent_date, o.sent_date) AS sent_date,
    coalesce(s.campaign_id, o.campaign_id) AS campaign_id,
    coalesce(s.sent, 0) AS sent,
    coalesce(s.delivered, 0) AS delivered,
    coalesce(s.hard_bounced, 0) AS hard_bounced,
    coalesce(s.soft_bounced, 0) AS soft_bounced,
    coalesce(s.unique_opens, 0) AS unique_opens,
    coalesce(s.unique_human_opens, 0) AS unique_human_opens,
    coalesce(s.total_opens, 0) AS total_opens,
    coalesce(s.unique_clicks, 0) AS unique_clicks,
    coalesce(s.unique_human_clicks, 0) AS unique_human_clicks,
    coalesce(s.total_clicks, 0) AS total_clicks,
    coalesce(s.unsubscribed, 0) AS unsubscribed,
    coalesce(s.spam_reported, 0) AS spam_reported,
    coalesce(o.dropped, 0) AS dropped,
    coalesce(s.total_human_opens, 0) AS total_human_opens,
    coalesce(s.total_human_clicks, 0) AS total_human_clicks,
    coalesce(o.orphaned_events, 0) AS orphaned_events,
    coalesce(o.orphaned_opens, 0) AS orphaned_opens,
    s.first_sent_at,
    s.last_sent_at
  FROM sent s
  FULL OUTER JOIN others o ON s.sent_date = o.sent_date AND s.campaign_id <=> o.campaign_id
)
SELECT
  *,
  -- NULL where nothing was sent, delivered or opened.
  try_divide(CAST(delivered AS DOUBLE), sent) AS delivery_rate,
  try_divide(CAST(unique_opens AS DOUBLE), delivered) AS open_rate,
  try_divide(CAST(unique_clicks AS DOUBLE), delivered) AS click_rate,
  try_divide(CAST(unique_clicks AS DOUBLE), unique_opens) AS click_to_open_rate,
  try_divide(CAST(unsubscribed AS DOUBLE), delivered) AS unsubscribe_rate,
  try_divide(CAST(spam_reported AS DOUBLE), delivered) AS spam_rate,
  try_divide(CAST(hard_bounced AS DOUBLE), sent) AS hard_bounce_rate,
  try_divide(CAST(unique_human_opens AS DOUBLE), delivered) AS human_open_rate,
  try_divide(CAST(unique_human_clicks AS DOUBLE), delivered) AS human_click_rate,
  try_divide(CAST(unique_human_clicks AS DOUBLE), unique_human_opens) AS human_click_to_open_rate
FROM both
