SELECT 1 = 'a' AS x
