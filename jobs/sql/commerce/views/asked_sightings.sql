-- Every sighting of the orders that were seen on the days asked for, on whatever day. An order line
-- whose date the API corrected was seen on both days: its newest version counts.
WITH seen AS (
  SELECT seen_date, order_id FROM stream_sightings
  UNION ALL
  SELECT seen_date, order_id FROM api_sightings
),
asked AS (
  SELECT DISTINCT seen.order_id
  FROM seen
  LEFT SEMI JOIN partitions p ON seen.seen_date = p.partition
)
SELECT *
FROM (
  SELECT
    s.*,
    row_number() OVER (
      PARTITION BY s.seen_in, s.sighting_id, CASE WHEN s.seen_in = 'stream' THEN s.seen_at END
      ORDER BY s.changed_at DESC NULLS LAST, s.seen_at DESC
    ) AS place
  FROM order_sightings s
  LEFT SEMI JOIN asked a ON a.order_id = s.order_id
)
WHERE place = 1
