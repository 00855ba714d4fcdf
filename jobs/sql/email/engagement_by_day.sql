SELECT
  event_date,
  event_type,
  campaign_id,
  country_code,
  device_id,
  marketing_team_id,
  count_if(event_status <> 'obsoleted' AND NOT is_preference_link) AS events,
  count(DISTINCT CASE WHEN event_status <> 'obsoleted' AND NOT is_preference_link THEN coalesce(user_id, email_hash) END)
    AS users,
  count_if(event_status <> 'obsoleted' AND NOT is_preference_link AND NOT is_bot) AS human_events,
  count_if(is_preference_link) AS preference_clicks,
  count_if(event_status = 'obsoleted') AS obsoleted_events,
  max(device_type) AS device_type,
  max(browser) AS browser,
  max(operating_system) AS operating_system
FROM fact_email_engagement
GROUP BY event_date, event_type, campaign_id, country_code, device_id, marketing_team_id
