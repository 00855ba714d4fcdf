SELECT * FROM (SELECT sent_date FROM email.email_send LIMIT 10) WHERE sent_date = '2026-01-01'
