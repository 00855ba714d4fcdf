-- Top products of any range of days: the ten with the most events, for each name of event.
--
-- @from, @to DATE: days that count, both inclusive.
--
-- Users are counted once over the whole range. Of equal numbers of events, the number of users, the
-- amount and then the product's id decide, as in the table of the same name.
WITH counted AS (
  SELECT
    event_name,
    product_id,
    MAX(product_name) AS product_name,
    MAX(category) AS category,
    COUNT(*) AS events,
    COUNT(DISTINCT user_id) AS users,
    IFNULL(SUM(amount), 0) AS amount
  FROM commerce.user_behavior
  WHERE date BETWEEN @from AND @to AND product_id IS NOT NULL
  GROUP BY event_name, product_id
),
ranked AS (
  SELECT
    event_name,
    ROW_NUMBER() OVER (
      PARTITION BY event_name ORDER BY events DESC, users DESC, ABS(amount) DESC, product_id
    ) AS place,
    product_id,
    product_name,
    category,
    events,
    users,
    amount
  FROM counted
)
SELECT event_name, place, product_id, product_name, category, events, users, amount
FROM ranked
WHERE place <= 10
ORDER BY event_name, place
