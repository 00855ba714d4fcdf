SELECT * FROM stream_sightings
UNION ALL
SELECT * FROM api_sightings
