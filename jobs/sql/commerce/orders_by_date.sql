WITH days AS (
  SELECT
    order_date AS date,
    count(DISTINCT CASE WHEN quantity >= 0 OR quantity IS NULL THEN order_id END) AS orders,
    count_if(quantity >= 0 OR quantity IS NULL) AS order_lines,
    count(DISTINCT CASE WHEN quantity >= 0 OR quantity IS NULL THEN user_id END) AS buyers,
    CAST(coalesce(sum(CASE WHEN quantity >= 0 OR quantity IS NULL THEN line_amount END), 0) AS DECIMAL(38, 9)) AS amount,
    count_if(is_return) AS returns,
    CAST(coalesce(sum(CASE WHEN is_return THEN CASE WHEN quantity < 0 THEN -line_amount ELSE line_amount END END), 0) AS DECIMAL(38, 9))
      AS amount_returned
  FROM orders_enriched
  GROUP BY order_date
)
SELECT
  date,
  orders,
  order_lines,
  buyers,
  amount,
  CASE WHEN orders > 0 THEN
    CAST(CAST(amount AS DECIMAL(22, 9)) / CAST(orders AS DECIMAL(12, 0)) AS DECIMAL(38, 9))
  END AS average_order_amount,
  returns,
  amount_returned
FROM days
