SELECT p.name, p.n, n * 2 AS twice FROM UNNEST([STRUCT('x' AS name, 1 AS n), ('y', 2)]) AS p ORDER BY p.n
