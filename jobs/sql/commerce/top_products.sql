WITH counted AS (
  SELECT
    date,
    event_name,
    product_id,
    max(product_name) AS product_name,
    max(category) AS category,
    count(*) AS events,
    count(DISTINCT user_id) AS users,
    CAST(coalesce(sum(amount), 0) AS DECIMAL(38, 9)) AS amount
  FROM user_behavior
  WHERE product_id IS NOT NULL
  GROUP BY date, event_name, product_id
)
SELECT
  *,
  CAST(row_number() OVER (
    PARTITION BY date, event_name ORDER BY events DESC, users DESC, abs(amount) DESC, product_id
  ) AS BIGINT) AS day_rank
FROM counted
