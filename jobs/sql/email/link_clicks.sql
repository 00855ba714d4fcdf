SELECT
  event_date,
  campaign_id,
  link_url,
  count(*) AS clicks,
  count(DISTINCT coalesce(send_id, event_id)) AS unique_clicks,
  count_if(NOT is_bot) AS human_clicks,
  count(DISTINCT CASE WHEN NOT is_bot THEN coalesce(send_id, event_id) END) AS unique_human_clicks
FROM fact_email_engagement
WHERE event_type = 'CLICK' AND NOT is_preference_link AND event_status <> 'obsoleted'
GROUP BY event_date, campaign_id, link_url
