SELECT send_id, tag FROM email.email_send AS s LEFT JOIN UNNEST(s.tags) AS tag WHERE sent_date >= "2026-01-01" ORDER BY send_id, tag
