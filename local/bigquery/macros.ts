/**
 * BigQuery's behaviour where DuckDB's differs, as SQL macros made in every connection's temporary schema.
 * The names begin with `bq_`; user SQL cannot reach them, for the translator emits only what it knows.
 */
const DIGITS9 = '1000000000';

export const MACROS: readonly string[] = [
  // 1.500000000 is shown and sent as 1.5, 2.000000000 as 2.
  `bq_numeric_text(x) AS CASE WHEN x IS NULL THEN NULL ELSE rtrim(rtrim(CAST(x AS VARCHAR), '0'), '.') END`,
  `bq_float_text(x) AS CASE WHEN isnan(x) THEN 'NaN' WHEN isinf(x) THEN CASE WHEN x > 0 THEN 'inf' ELSE '-inf' END
     WHEN x = 0 THEN '0' ELSE regexp_replace(CAST(x AS VARCHAR), '\\.0$', '') END`,
  `bq_timestamp_text(x) AS strftime(x, '%Y-%m-%d %H:%M:%S') || CASE WHEN epoch_us(x) % 1000000 = 0 THEN ''
     WHEN epoch_us(x) % 1000 = 0 THEN strftime(x, '.%g') ELSE strftime(x, '.%f') END || '+00'`,
  // Division by zero is an error, except that NULL comes first.
  `bq_divide(a, b) AS CASE WHEN a IS NULL OR b IS NULL THEN NULL WHEN b = 0
     THEN error('division by zero: ' || bq_float_text(a) || ' / ' || bq_float_text(b)) ELSE a / b END`,
  `bq_safe_divide(a, b) AS CASE WHEN b = 0 THEN NULL ELSE a / b END`,
  `bq_int_div(a, b) AS CASE WHEN a IS NULL OR b IS NULL THEN NULL WHEN b = 0
     THEN error('division by zero: ' || a || ' / ' || b) ELSE a // b END`,
  `bq_mod(a, b) AS CASE WHEN a IS NULL OR b IS NULL THEN NULL WHEN b = 0
     THEN error('division by zero: ' || a || ' / ' || b) ELSE a % b END`,
  // NUMERIC / NUMERIC is NUMERIC, rounded half away from zero at the ninth digit. DuckDB would go through DOUBLE, so the
  // quotient is taken in whole billionths; the text of a DECIMAL(38,9) without its point is that whole number.
  `bq_billionths(x) AS CAST(replace(CAST(x AS VARCHAR), '.', '') AS HUGEINT)`,
  `bq_from_billionths(q) AS CAST((CASE WHEN q < 0 THEN '-' ELSE '' END) || CAST(abs(q) // ${DIGITS9}::HUGEINT AS VARCHAR)
     || '.' || lpad(CAST(abs(q) % ${DIGITS9}::HUGEINT AS VARCHAR), 9, '0') AS DECIMAL(38,9))`,
  `bq_rounded_quotient(n, d) AS CASE WHEN (n < 0) = (d < 0) THEN 1::HUGEINT ELSE -1::HUGEINT END
     * ((abs(n) + abs(d) // 2::HUGEINT) // abs(d))`,
  `bq_numeric_quotient(a, b) AS bq_from_billionths(bq_rounded_quotient(bq_billionths(a) * ${DIGITS9}::HUGEINT, bq_billionths(b)))`,
  `bq_numeric_divide(a, b) AS CASE WHEN a IS NULL OR b IS NULL THEN NULL WHEN b = 0
     THEN error('division by zero: ' || bq_numeric_text(a) || ' / ' || bq_numeric_text(b)) ELSE bq_numeric_quotient(a, b) END`,
  `bq_numeric_safe_divide(a, b) AS CASE WHEN b = 0 THEN NULL ELSE bq_numeric_quotient(a, b) END`,
  // Exact: twice nine digits are cut back to nine by hand, half away from zero.
  `bq_numeric_multiply(a, b) AS bq_from_billionths(bq_rounded_quotient(bq_billionths(a) * bq_billionths(b), ${DIGITS9}::HUGEINT))`,
  // Positions count from 1; 0 means 1; a negative one counts from the end and stops at the beginning.
  `bq_start(s, p) AS CASE WHEN p = 0 THEN 1 WHEN p > 0 THEN p ELSE greatest(length(s) + p + 1, 1) END`,
  `bq_substr(s, p) AS substring(s, bq_start(s, p))`,
  `bq_substr_n(s, p, n) AS CASE WHEN n < 0 THEN error('Third argument in SUBSTR() cannot be negative') ELSE substring(s, bq_start(s, p), n) END`,
  `bq_left(s, n) AS CASE WHEN n < 0 THEN error('Second argument in LEFT() cannot be negative') ELSE substring(s, 1, n) END`,
  `bq_right(s, n) AS CASE WHEN n < 0 THEN error('Second argument in RIGHT() cannot be negative')
     WHEN n = 0 THEN CASE WHEN s IS NULL THEN NULL ELSE '' END ELSE right(s, n) END`,
  `bq_replace(s, a, b) AS CASE WHEN a = '' THEN s ELSE replace(s, a, b) END`,
  // Casts from text: DuckDB reads '1.5' as the integer 2 and 't' as TRUE.
  `bq_is_int(s) AS regexp_full_match(s, '\\s*([+-]?[0-9]+|[+-]?0[xX][0-9a-fA-F]+)\\s*')`,
  `bq_is_float(s) AS regexp_full_match(lower(s), '\\s*[+-]?([0-9]+\\.?[0-9]*([e][+-]?[0-9]+)?|\\.[0-9]+([e][+-]?[0-9]+)?|inf|infinity|nan)\\s*')`,
  `bq_is_numeric(s) AS regexp_full_match(lower(s), '\\s*[+-]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([e][+-]?[0-9]+)?\\s*')`,
  `bq_is_date(s) AS regexp_full_match(s, '[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}')`,
  `bq_is_timestamp(s) AS regexp_full_match(s, '[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([ Tt][0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(\\.[0-9]{1,6})?)?([Zz]|[ ]?UTC|[+-][0-9]{1,2}(:?[0-9]{2})?)?')`,
  `bq_timestamp_of(s) AS CAST(CAST(regexp_replace(regexp_replace(s, '(UTC|[Zz])$', '+00'), '^([0-9]{4}-[0-9]{1,2}-[0-9]{1,2})([+-])', '\\1 00:00:00\\2') AS TIMESTAMPTZ) AS TIMESTAMP)`,
  // Civil time of a zone and back; a TIMESTAMP here is naive and in UTC.
  `bq_local(t, z) AS timezone(z, CAST(t AS TIMESTAMPTZ))`,
  `bq_utc(t, z) AS CAST(timezone(z, t) AS TIMESTAMP)`,
  // Whole days since the epoch and the index of the week whose first day is w (0 Sunday … 6 Saturday); 1970-01-01 was a Thursday.
  `bq_day(d) AS CAST(d - DATE '1970-01-01' AS BIGINT)`,
  `bq_week_index(d, w) AS CAST(floor((bq_day(d) + ((4 - w + 7) % 7)) / 7.0) AS BIGINT)`,
  `bq_week_start(d, w) AS d - CAST((CAST(extract('dow' FROM d) AS INTEGER) - w + 7) % 7 AS INTEGER)`,
  `bq_week_number(d, w) AS CAST((extract('doy' FROM d) - 1 + 7 - (CAST(extract('dow' FROM d) AS INTEGER) - w + 7) % 7) // 7 AS BIGINT)`,
  `bq_add_days(d, n) AS d + CAST(n AS INTEGER)`,
  `bq_add_months(d, n) AS CAST(d + to_months(CAST(n AS INTEGER)) AS DATE)`,
  `bq_month_index(d) AS year(d) * 12 + month(d)`,
  // Both NULL when either is: DuckDB's ignore NULLs.
  `bq_json_scalar(s, p) AS CASE WHEN json_valid(s) AND json_type(s, p) NOT IN ('OBJECT', 'ARRAY', 'NULL') THEN json_extract_string(s, p) END`,
  `bq_json_query(s, p) AS CASE WHEN json_valid(s) AND json_type(s, p) <> 'NULL' THEN CAST(json_extract(s, p) AS VARCHAR) END`,
  `bq_element(a, i) AS CASE WHEN a IS NULL OR i IS NULL THEN NULL WHEN i < 0 OR i >= len(a)
     THEN error('Array index ' || i || ' is out of bounds') ELSE a[i + 1] END`,
  `bq_safe_element(a, i) AS CASE WHEN i >= 0 THEN a[i + 1] END`,
];
