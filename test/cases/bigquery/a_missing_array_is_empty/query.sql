SELECT send_id, tags, ARRAY_LENGTH(tags) AS n FROM email.email_send WHERE sent_date >= "2026-01-01" ORDER BY send_id
