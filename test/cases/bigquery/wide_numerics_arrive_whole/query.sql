SELECT cost FROM email.email_send WHERE sent_date = '2026-02-01'
