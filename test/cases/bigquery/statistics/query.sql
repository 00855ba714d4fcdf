SELECT ROUND(CORR(x, y), 6) AS c, STDDEV(x) AS s, VAR_POP(x) AS v FROM UNNEST([STRUCT(1.0 AS x, 2.0 AS y), (2, 4), (3, 6)])
