SELECT count(*) AS rows, count_if(is_negative_price) AS failed
FROM orders_enriched
