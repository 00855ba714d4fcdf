WITH s AS (SELECT sent_date, opens FROM email.email_send) SELECT SUM(opens) AS n FROM s WHERE sent_date IN ('2026-01-01', '2026-01-02') OR sent_date = DATE_ADD('2026-01-31', INTERVAL 1 DAY)
