SELECT count(*) AS rows, count_if(n.country_code IS NULL) AS failed
FROM contacts c
LEFT JOIN country_names n ON n.spelling = upper(regexp_replace(c.country, '[^\\p{L}]', ''))
WHERE trim(c.country) <> ''
