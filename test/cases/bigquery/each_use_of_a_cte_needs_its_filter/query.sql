WITH s AS (SELECT sent_date, opens FROM email.email_send) SELECT (SELECT SUM(opens) FROM s WHERE sent_date = '2026-01-01') AS a, (SELECT SUM(opens) FROM s) AS b
