SELECT 2.5 AS a, 0.1 + 0.2 AS b, 1e3 AS c, .5 AS d
