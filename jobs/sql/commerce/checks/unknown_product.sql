SELECT coalesce(sum(events), 0) AS rows, coalesce(sum(CASE WHEN product_name IS NULL THEN events END), 0) AS failed
FROM top_products
