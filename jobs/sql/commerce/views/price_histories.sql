-- Per product its prices in order of time. The time before the first one known is given that one.
SELECT
  product_id,
  array_sort(collect_list(struct(coalesce(valid_from, TIMESTAMP '0001-01-01 00:00:00') AS since, price))) AS prices
FROM observed_prices
WHERE price IS NOT NULL
GROUP BY product_id
