SELECT DISTINCT device_id, device_type, browser, operating_system
FROM engagement_by_day
WHERE device_id IS NOT NULL
