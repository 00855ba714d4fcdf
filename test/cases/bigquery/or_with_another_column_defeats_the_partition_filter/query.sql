SELECT COUNT(*) AS n FROM email.email_send WHERE sent_date = '2026-01-01' OR opens > 1
