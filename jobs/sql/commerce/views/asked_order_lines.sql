-- Every line of the orders that the API gives on the days asked for, on whatever day; of a line
-- whose date was corrected the newest version.
WITH asked AS (
  SELECT DISTINCT s.order_id
  FROM api_sightings s
  LEFT SEMI JOIN partitions p ON s.seen_date = p.partition
)
SELECT *
FROM (
  SELECT
    s.*,
    row_number() OVER (
      PARTITION BY s.sighting_id ORDER BY s.changed_at DESC NULLS LAST, s.seen_at DESC
    ) AS place
  FROM order_sightings s
  LEFT SEMI JOIN asked a ON a.order_id = s.order_id
  WHERE s.seen_in = 'orders'
)
WHERE place = 1
