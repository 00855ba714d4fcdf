SELECT SUM(COUNT(*)) AS x FROM email.email_send WHERE sent_date >= "2026-01-01"
