WITH steps AS (SELECT step, n FROM UNNEST(@steps) AS step WITH OFFSET AS n),
first AS (
  SELECT user_id, MIN(event_at) AS began FROM website.events JOIN steps ON event_type = step WHERE n = 0 GROUP BY user_id),
second AS (
  SELECT f.user_id, MIN(e.event_at) AS began FROM first AS f JOIN website.events AS e ON e.user_id = f.user_id AND e.event_at > f.began JOIN steps AS s ON e.event_type = s.step WHERE s.n = 1 GROUP BY f.user_id)
SELECT (SELECT COUNT(*) FROM first) AS visited, (SELECT COUNT(*) FROM second) AS signed_up, (SELECT AVG(TIMESTAMP_DIFF(second.began, first.began, SECOND)) FROM first JOIN second USING (user_id)) AS seconds
