SELECT
  session_date,
  session_id,
  min_by(user_id, CASE WHEN user_id IS NOT NULL THEN place END) AS user_id,
  min(event_at) AS started_at,
  max(event_at) AS ended_at,
  count(*) AS events,
  count(DISTINCT CASE WHEN entity_id IS NOT NULL THEN struct(entity_type, entity_id) END) AS entities,
  min_by(event_type, place) AS entry_type,
  max_by(event_type, place) AS exit_type,
  coalesce(min(session_channel), 'direct') AS channel,
  min_by(device, CASE WHEN device IS NOT NULL THEN place END) AS device,
  CAST((unix_micros(max(event_at)) - unix_micros(min(event_at))) / 1000000 AS DOUBLE) AS seconds,
  count_if(is_conversion) AS conversions,
  array_join(
    transform(
      array_sort(collect_list(CASE WHEN place <= 8 THEN struct(place, event_type) END)), step -> step.event_type
    ),
    ' > '
  ) AS path,
  first(is_derived) AS is_derived
FROM session_events
WHERE session_id IS NOT NULL
GROUP BY session_date, session_id
