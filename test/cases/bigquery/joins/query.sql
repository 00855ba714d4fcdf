SELECT s.send_id, c.campaign_name FROM email.email_send AS s LEFT JOIN email.dim_campaign AS c USING (campaign_id) WHERE sent_date >= "2026-01-01" ORDER BY send_id
