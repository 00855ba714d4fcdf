SELECT
  (SELECT coalesce(sum(events + preference_clicks), 0) FROM engagement_by_day) AS rows,
  (SELECT coalesce(sum(orphaned_events), 0) FROM campaign_performance) AS failed
