SELECT SUM(cost) AS s, AVG(cost) AS a, SAFE_DIVIDE(SUM(cost), COUNT(*)) AS d FROM email.email_send WHERE sent_date BETWEEN '2026-01-01' AND '2026-01-31'
