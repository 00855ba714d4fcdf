SELECT campaign_id, COUNT(*) AS n FROM email.email_send WHERE sent_date >= "2026-01-01" GROUP BY ROLLUP(campaign_id) ORDER BY campaign_id
