-- Every event with its session: the sender's own id, else what one reader does without more
-- than 30 idle minutes, cut at midnight UTC. Who names neither reader nor session is in none.
--
-- A session with its own id belongs to the day it began. It goes on past midnight until noon, if all
-- of its events on the first day lie after noon; other sessions end at midnight. So any own session
-- of up to twelve hours stays whole, an id that is used for weeks is a session a day, and each day
-- follows from the events of that day and its neighbours alone.
WITH dated AS (
  SELECT
    *,
    to_date(occurred_at) AS event_date,
    datediff(to_date(occurred_at), DATE'1970-01-01') AS day_number,
    -- Whose events are looked at together; a single event where nobody is named.
    CASE WHEN own_id IS NOT NULL THEN concat('session ', own_id)
      WHEN reader_id IS NOT NULL THEN concat('reader ', reader_id)
      ELSE concat('event ', event_key) END AS visit
  FROM told_events
),
neighboured AS (
  SELECT
    *,
    min(occurred_at) OVER (PARTITION BY visit ORDER BY day_number RANGE BETWEEN 1 PRECEDING AND 1 PRECEDING)
      AS first_at_day_before,
    lag(occurred_at) OVER (PARTITION BY visit, event_date ORDER BY occurred_at, event_key) AS before_at
  FROM dated
),
begun AS (
  SELECT
    *,
    CASE WHEN own_id IS NOT NULL AND hour(occurred_at) < 12 AND hour(first_at_day_before) >= 12
      THEN date_sub(event_date, 1) ELSE event_date END AS begun_on,
    -- Of derived sessions: when the one going on at this event began.
    max(CASE WHEN before_at IS NULL OR occurred_at > before_at + INTERVAL 30 MINUTES THEN occurred_at END)
      OVER (PARTITION BY visit, event_date ORDER BY occurred_at, event_key ROWS UNBOUNDED PRECEDING) AS begun_at
  FROM neighboured
),
assigned AS (
  SELECT
    *,
    CASE WHEN own_id IS NOT NULL OR reader_id IS NOT NULL THEN begun_on END AS session_date,
    -- Two sessions of a reader begin more than half an hour apart, so the half hour tells them apart;
    -- and a late event that moves the beginning within it changes no id.
    CASE WHEN own_id IS NOT NULL THEN own_id
      WHEN reader_id IS NOT NULL THEN
        concat(
          reader_id,
          '@',
          date_format(timestamp_seconds(floor(unix_seconds(begun_at) / 1800) * 1800), "yyyy-MM-dd'T'HH:mm'Z'")
        )
    END AS assigned_id
  FROM begun
)
SELECT
  session_date,
  assigned_id AS session_id,
  own_id IS NULL AND assigned_id IS NOT NULL AS is_derived,
  event_date,
  occurred_at AS event_at,
  event_key,
  reader_id AS user_id,
  event_type,
  nullif(trim(entity_type), '') AS entity_type,
  nullif(trim(entity_id), '') AS entity_id,
  description,
  device,
  browser,
  platform,
  referrer,
  utm_source,
  utm_medium,
  utm_campaign,
  props,
  is_conversion,
  has_amount,
  amount,
  row_number() OVER (PARTITION BY visit, session_date, assigned_id ORDER BY event_at, event_key) AS place,
  first_value(told_channel, true) OVER (
    PARTITION BY visit, session_date, assigned_id ORDER BY event_at, event_key
    ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
  ) AS session_channel
FROM (SELECT *, occurred_at AS event_at FROM assigned)
