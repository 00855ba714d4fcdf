SELECT count(*) AS rows, count_if(contacts > 1) AS failed
FROM contact_addresses
