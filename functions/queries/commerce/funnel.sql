-- Funnel: users and sessions that did each step after the one before. The same question as
-- website/funnel.sql, asked of what shoppers do: steps are names of events (view, wishlist, order,
-- return), and the order is that of (event_at, event_id).
--
-- @steps ARRAY<STRING>: event names in order, two to twelve; the same name may stand twice.
-- @from, @to DATE: days that count, both inclusive.
WITH happened AS (
  SELECT 'user' AS grain, user_id AS actor, event_at, event_id AS event_key, event_name AS event_type
  FROM commerce.user_behavior
  WHERE date BETWEEN @from AND @to AND user_id IS NOT NULL AND event_name IN UNNEST(@steps)
  UNION ALL
  SELECT 'session', session_id, event_at, event_id, event_name
  FROM commerce.user_behavior
  WHERE date BETWEEN @from AND @to AND session_id IS NOT NULL AND event_name IN UNNEST(@steps)
),
placed AS (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY grain, actor ORDER BY event_at, event_key) AS place
  FROM happened
),
-- The place at which each step is reached, from the place of the step before: GoogleSQL has no loop
-- within a query, so that the steps are written out.
step_1 AS (
  SELECT *, MIN(IF(event_type = @steps[SAFE_OFFSET(0)], place, NULL)) OVER (PARTITION BY grain, actor) AS place_1
  FROM placed
),
step_2 AS (
  SELECT *, MIN(IF(event_type = @steps[SAFE_OFFSET(1)] AND place > place_1, place, NULL)) OVER (PARTITION BY grain, actor) AS place_2
  FROM step_1
),
step_3 AS (
  SELECT *, MIN(IF(event_type = @steps[SAFE_OFFSET(2)] AND place > place_2, place, NULL)) OVER (PARTITION BY grain, actor) AS place_3
  FROM step_2
),
step_4 AS (
  SELECT *, MIN(IF(event_type = @steps[SAFE_OFFSET(3)] AND place > place_3, place, NULL)) OVER (PARTITION BY grain, actor) AS place_4
  FROM step_3
),
step_5 AS (
  SELECT *, MIN(IF(event_type = @steps[SAFE_OFFSET(4)] AND place > place_4, place, NULL)) OVER (PARTITION BY grain, actor) AS place_5
  FROM step_4
),
step_6 AS (
  SELECT *, MIN(IF(event_type = @steps[SAFE_OFFSET(5)] AND place > place_5, place, NULL)) OVER (PARTITION BY grain, actor) AS place_6
  FROM step_5
),
step_7 AS (
  SELECT *, MIN(IF(event_type = @steps[SAFE_OFFSET(6)] AND place > place_6, place, NULL)) OVER (PARTITION BY grain, actor) AS place_7
  FROM step_6
),
step_8 AS (
  SELECT *, MIN(IF(event_type = @steps[SAFE_OFFSET(7)] AND place > place_7, place, NULL)) OVER (PARTITION BY grain, actor) AS place_8
  FROM step_7
),
step_9 AS (
  SELECT *, MIN(IF(event_type = @steps[SAFE_OFFSET(8)] AND place > place_8, place, NULL)) OVER (PARTITION BY grain, actor) AS place_9
  FROM step_8
),
step_10 AS (
  SELECT *, MIN(IF(event_type = @steps[SAFE_OFFSET(9)] AND place > place_9, place, NULL)) OVER (PARTITION BY grain, actor) AS place_10
  FROM step_9
),
step_11 AS (
  SELECT *, MIN(IF(event_type = @steps[SAFE_OFFSET(10)] AND place > place_10, place, NULL)) OVER (PARTITION BY grain, actor) AS place_11
  FROM step_10
),
step_12 AS (
  SELECT *, MIN(IF(event_type = @steps[SAFE_OFFSET(11)] AND place > place_11, place, NULL)) OVER (PARTITION BY grain, actor) AS place_12
  FROM step_11
),
reached AS (
  SELECT grain, actor, event_at, n + 1 AS step
  FROM step_12
  CROSS JOIN UNNEST([place_1, place_2, place_3, place_4, place_5, place_6, place_7, place_8, place_9, place_10, place_11, place_12]) AS reached_place WITH OFFSET AS n
  WHERE place = reached_place
),
timed AS (
  SELECT
    grain,
    step,
    TIMESTAMP_DIFF(event_at, LAG(event_at) OVER (PARTITION BY grain, actor ORDER BY step), MICROSECOND) / 1000000 AS seconds
  FROM reached
),
measured AS (
  SELECT grain, step, PERCENTILE_CONT(seconds, 0.5) OVER (PARTITION BY grain, step) AS median_seconds
  FROM timed
),
counted AS (
  SELECT grain, step, COUNT(*) AS reached, ANY_VALUE(median_seconds) AS median_seconds
  FROM measured
  GROUP BY grain, step
),
asked AS (
  SELECT grain, n + 1 AS step, event_type
  FROM UNNEST(IF(ARRAY_LENGTH(@steps) BETWEEN 2 AND 12, @steps, ERROR('a funnel has two to twelve steps'))) AS event_type WITH OFFSET AS n
  CROSS JOIN UNNEST(['user', 'session']) AS grain
),
followed AS (
  SELECT
    a.grain,
    a.step,
    a.event_type,
    IFNULL(c.reached, 0) AS reached,
    c.median_seconds,
    FIRST_VALUE(IFNULL(c.reached, 0)) OVER (PARTITION BY a.grain ORDER BY a.step) AS began,
    LAG(IFNULL(c.reached, 0)) OVER (PARTITION BY a.grain ORDER BY a.step) AS before
  FROM asked AS a
  LEFT JOIN counted AS c ON c.grain = a.grain AND c.step = a.step
)
SELECT
  grain,
  step,
  event_type,
  reached,
  before - reached AS dropped,
  SAFE_DIVIDE(reached, began) AS share,
  SAFE_DIVIDE(reached, before) AS share_of_previous,
  median_seconds
FROM followed
ORDER BY grain DESC, step
