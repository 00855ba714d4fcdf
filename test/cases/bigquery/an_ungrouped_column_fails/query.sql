SELECT campaign_id, send_id FROM email.email_send WHERE sent_date >= "2026-01-01" GROUP BY campaign_id
