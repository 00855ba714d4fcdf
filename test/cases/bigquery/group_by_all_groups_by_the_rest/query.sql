SELECT campaign_id, EXTRACT(MONTH FROM sent_date) AS m, SUM(clicks) AS clicks FROM email.email_send WHERE sent_date >= "2026-01-01" GROUP BY ALL ORDER BY 1, 2
