SELECT COUNT(*) AS n FROM email.email_send
