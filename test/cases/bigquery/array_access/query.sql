SELECT a[OFFSET(0)] AS first, a[ORDINAL(3)] AS third, a[SAFE_OFFSET(9)] AS none, a[SAFE_ORDINAL(0)] AS zero, a[1] AS second FROM (SELECT ['x', 'y', 'z'] AS a)
