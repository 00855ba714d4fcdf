SELECT 1 AS x FROM email.nothing
