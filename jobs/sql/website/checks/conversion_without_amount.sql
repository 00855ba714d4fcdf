SELECT coalesce(sum(conversions), 0) AS rows, coalesce(sum(without_amount), 0) AS failed
FROM conversions_by_day
