WITH sends AS (
  SELECT
    s.*,
    b.bounce_category IS NULL AND s.bounce_type IS NOT NULL AS is_unknown_bounce,
    -- Only categories with a column of their own.
    CASE
      WHEN s.bounce_category IN ('UNKNOWN_USER', 'MAILBOX_FULL', 'THROTTLED', 'GREYLISTING', 'FILTERED', 'MAILBOX_MISCONFIGURATION')
        THEN s.bounce_category
      WHEN s.bounce_type IS NOT NULL THEN 'OTHER'
    END AS bounced_by
  FROM email_send s
  LEFT JOIN bounce_categories b ON b.bounce_category = s.bounce_category
)
SELECT
  sent_date,
  recipient_domain,
  count(*) AS sent,
  count(delivered_at) AS delivered,
  count_if(deferrals > 0) AS deferred,
  count_if(bounced_by = 'UNKNOWN_USER') AS bounced_unknown_user,
  count_if(bounced_by = 'MAILBOX_FULL') AS bounced_mailbox_full,
  count_if(bounced_by = 'THROTTLED') AS bounced_throttled,
  count_if(bounced_by = 'GREYLISTING') AS bounced_greylisting,
  count_if(bounced_by = 'FILTERED') AS bounced_filtered,
  count_if(bounced_by = 'MAILBOX_MISCONFIGURATION') AS bounced_mailbox_misconfiguration,
  count_if(bounced_by = 'OTHER') AS bounced_other,
  percentile((unix_millis(delivered_at) - unix_millis(sent_at)) / 1000, 0.5) AS median_seconds_to_deliver,
  count_if(bounce_type = 'hard') AS hard_bounced,
  count_if(bounce_type = 'soft') AS soft_bounced,
  count_if(is_unknown_bounce) AS unknown_bounces
FROM sends
GROUP BY sent_date, recipient_domain
