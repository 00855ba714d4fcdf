WITH events AS (
  SELECT
    *,
    device_type IS NOT NULL OR browser IS NOT NULL OR browser_family IS NOT NULL OR user_agent IS NOT NULL
      AS has_client,
    -- HubSpot sends an UNBOUNCE without a type; it names the bounce it takes back.
    CASE WHEN type IS NOT NULL THEN type WHEN caused_by_id IS NOT NULL AND recipient IS NULL THEN 'UNBOUNCE' ELSE 'UNKNOWN' END
      AS event_type
  FROM judged_events
),
profiled AS (
  SELECT
    *,
    CASE WHEN has_client THEN coalesce(nullif(upper(trim(device_type)), ''), 'UNKNOWN') END AS profile_type,
    CASE WHEN has_client THEN coalesce(nullif(trim(browser), ''), nullif(trim(browser_family), ''), 'Unknown') END AS profile_browser,
    CASE WHEN has_client THEN coalesce(operating_system, 'Unknown') END AS profile_system
  FROM events
)
SELECT
  to_date(e.created_at) AS event_date,
  e.created_at AS event_at,
  e.id AS event_id,
  e.event_type,
  CASE WHEN e.obsoleted_by_id IS NOT NULL THEN 'obsoleted' WHEN e.is_filtered THEN 'filtered' ELSE 'counted' END
    AS event_status,
  CAST(1 AS BIGINT) AS event_count,
  e.email_campaign_id AS campaign_id,
  CAST(year(e.send_created_at) AS BIGINT) AS campaign_year,
  CAST(month(e.send_created_at) AS BIGINT) AS campaign_month,
  CAST(day(e.send_created_at) AS BIGINT) AS campaign_day,
  e.send_id,
  a.user_id,
  e.email_hash,
  coalesce(n.country_code, a.country_code, 'ZZ') AS country_code,
  CASE WHEN e.has_client THEN md5(concat_ws('|', e.profile_type, e.profile_browser, e.profile_system)) END
    AS device_id,
  c.marketing_team_id,
  CASE WHEN e.type IN ('OPEN', 'CLICK') THEN
    CAST((unix_millis(e.created_at) - unix_millis(e.send_created_at)) / 1000 AS DOUBLE)
  END AS user_response_time,
  CASE WHEN e.type = 'CLICK' THEN e.url END AS link_url,
  e.is_bot,
  e.type <=> 'CLICK' AND coalesce(e.is_preference_link, false) AS is_preference_link,
  e.send_created_at AS send_at,
  e.profile_type AS device_type,
  e.profile_browser AS browser,
  e.profile_system AS operating_system,
  e.bounce_category,
  e.drop_reason,
  CAST(e.duration_ms / 1000 AS DOUBLE) AS open_seconds
FROM profiled e
LEFT JOIN contact_addresses a ON a.email_hash = e.email_hash
LEFT JOIN campaign_emails c ON c.campaign_id = e.email_campaign_id
LEFT JOIN country_names n ON n.spelling = upper(regexp_replace(e.location_country, '[^\\p{L}]', ''))
