-- Unique visitors of any range of days, and of each day in it.
--
-- @from, @to DATE: days that count, both inclusive.
--
-- One row per day, and first one for the whole range, whose date is NULL: somebody who came on
-- three days counts once in it. New are those first seen ever on that day, or on a day of the range.
-- Events that name no user are in no count.
WITH seen AS (
  SELECT DISTINCT b.date, b.user_id, p.first_seen_date
  FROM commerce.user_behavior AS b
  LEFT JOIN commerce.user_profile AS p ON p.user_id = b.user_id
  WHERE b.date BETWEEN @from AND @to AND b.user_id IS NOT NULL
),
counted AS (
  SELECT
    date,
    COUNT(DISTINCT user_id) AS visitors,
    COUNT(DISTINCT IF(first_seen_date = date, user_id, NULL)) AS new_visitors
  FROM seen
  GROUP BY ROLLUP(date)
)
SELECT date, visitors, new_visitors, visitors - new_visitors AS returning_visitors
FROM counted
ORDER BY date
