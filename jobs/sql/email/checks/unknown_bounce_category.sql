SELECT
  coalesce(sum(hard_bounced + soft_bounced), 0) AS rows,
  coalesce(sum(unknown_bounces), 0) AS failed
FROM domain_deliverability
