SELECT campaign_id, send_id FROM email.email_send WHERE sent_date >= "2026-01-01" QUALIFY ROW_NUMBER() OVER (PARTITION BY campaign_id ORDER BY sent_at DESC) = 1 ORDER BY campaign_id
