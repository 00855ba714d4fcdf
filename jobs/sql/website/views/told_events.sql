-- Events with what follows from what they tell: how the reader came (the list channel_rules has the
-- rules and their order; NULL where an event tells nothing), and whether they convert (the list
-- conversion_types).
WITH rules AS (
  SELECT map_from_entries(collect_list(struct(concat(signal, ' ', value) AS rule, coalesce(channel, '') AS channel))) AS channels
  FROM channel_rules
),
named AS (
  SELECT
    *,
    -- What broken clients send for no id.
    CASE WHEN lower(trim(user_id)) NOT IN ('', 'null', 'undefined') THEN trim(user_id) END AS reader_id,
    CASE WHEN lower(trim(session_id)) NOT IN ('', 'null', 'undefined') THEN trim(session_id) END AS own_id,
    regexp_replace(lower(utm_medium), '[ -]+', '_') AS medium,
    regexp_replace(lower(utm_source), '[ -]+', '_') AS source,
    regexp_extract(lower(referrer), '^[a-z][a-z0-9+.-]*://(?:[^/?#@]*@)?(?:www\\.)?([^/?#:]+)', 1) AS referrer_host,
    regexp_extract(lower(page_url), '^[a-z][a-z0-9+.-]*://(?:[^/?#@]*@)?(?:www\\.)?([^/?#:]+)', 1) AS page_host
  FROM site_events
),
hosts AS (
  SELECT
    *,
    -- The label before the ending, which is one label or two: example.com, example.co.uk.
    regexp_extract(referrer_host, '([^.]+)\\.(?:(?:com?|org|net|gov|ac|edu)\\.)?[^.]+$', 1) AS referrer_name,
    regexp_extract(page_host, '([^.]+)\\.(?:(?:com?|org|net|gov|ac|edu)\\.)?[^.]+$', 1) AS page_name
  FROM named
),
valued AS (
  SELECT /*+ BROADCAST(c) */
    hosts.*,
    c.event_type IS NOT NULL AS is_conversion,
    c.amount_from IS NOT NULL AS has_amount,
    -- Few events are worth opening for it.
    CASE WHEN c.amount_from IS NOT NULL THEN trim(from_json(props, 'map<string,string>')[c.amount_from]) END
      AS told_amount
  FROM hosts
  LEFT JOIN conversion_types c ON c.event_type = lower(trim(hosts.event_type))
)
SELECT /*+ BROADCAST(rules) */
  valued.*,
  -- A number or its text; nine digits behind the point are kept.
  CASE WHEN told_amount RLIKE '^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?$'
    THEN CAST(told_amount AS DECIMAL(38, 9)) END AS amount,
  CASE
    WHEN coalesce(utm_source, utm_medium, utm_campaign) IS NOT NULL THEN
      coalesce(channels[concat('utm_medium ', medium)], channels[concat('utm_source ', source)], 'other_campaign')
    WHEN coalesce(referrer_host, '') = '' THEN NULL
    WHEN referrer_host = page_host OR (referrer_name = page_name AND referrer_name <> '') THEN NULL
    WHEN channels[concat('own_host ', referrer_host)] IS NOT NULL THEN NULL
    ELSE coalesce(
      channels[concat('referrer_host ', referrer_host)],
      channels[concat('referrer_name ', referrer_name)],
      'referral'
    )
  END AS told_channel
FROM valued
CROSS JOIN rules
