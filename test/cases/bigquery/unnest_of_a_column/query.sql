SELECT send_id, tag, pos FROM email.email_send, UNNEST(tags) AS tag WITH OFFSET AS pos WHERE sent_date >= "2026-01-01" ORDER BY send_id, pos
