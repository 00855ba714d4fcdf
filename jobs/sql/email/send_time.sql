SELECT
  sent_date,
  CAST(weekday(sent_date) + 1 AS BIGINT) AS weekday,
  CAST(hour(sent_at) AS BIGINT) AS hour,
  count(delivered_at) AS delivered,
  count_if(is_human_opened) AS unique_human_opens,
  count_if(human_clicks > 0) AS unique_human_clicks,
  count(*) AS sent,
  count_if(is_opened) AS unique_opens,
  count_if(clicks > 0) AS unique_clicks
FROM email_send
GROUP BY sent_date, hour(sent_at)
