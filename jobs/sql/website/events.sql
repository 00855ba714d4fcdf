SELECT
  event_date,
  event_at,
  event_key,
  user_id,
  session_id,
  event_type,
  entity_type,
  entity_id,
  description,
  device,
  browser,
  platform,
  coalesce(session_channel, 'direct') AS channel,
  referrer,
  utm_campaign,
  -- Client addresses stay in silver.
  regexp_replace(
    props,
    '(?i)("(?:ip|ip_?address|client_?ip|remote_?addr|x_forwarded_for)"\\s*:\\s*)"(?:[^"\\\\]|\\\\.)*"',
    '$1"***"'
  ) AS props,
  session_date,
  utm_source,
  utm_medium,
  is_conversion,
  has_amount AND amount IS NULL AS lacks_amount,
  amount
FROM session_events
