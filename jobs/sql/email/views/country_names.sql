-- Every spelling of a country, letters only and upper case, with its code.
SELECT DISTINCT upper(regexp_replace(spelling, '[^\\p{L}]', '')) AS spelling, country_code
FROM (
  SELECT
    country_code,
    explode(concat(array(country_code, alpha_3, country_name), coalesce(split(also, ';'), array()))) AS spelling
  FROM countries
)
WHERE regexp_replace(spelling, '[^\\p{L}]', '') <> ''
