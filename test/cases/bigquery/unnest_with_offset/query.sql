SELECT x, n FROM UNNEST(['b', 'a', 'c']) AS x WITH OFFSET AS n ORDER BY n
