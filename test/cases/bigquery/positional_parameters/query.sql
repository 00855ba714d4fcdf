SELECT ? AS a, ? + 1 AS b, ? AS c
