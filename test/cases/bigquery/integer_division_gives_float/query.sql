SELECT 7 / 2 AS a, DIV(7, 2) AS b, DIV(-7, 2) AS c, MOD(-7, 3) AS d
