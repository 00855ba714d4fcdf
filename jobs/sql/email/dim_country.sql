SELECT country_code, country_name, alpha_3 FROM countries
UNION ALL
SELECT 'ZZ', 'Unknown', CAST(NULL AS STRING)
