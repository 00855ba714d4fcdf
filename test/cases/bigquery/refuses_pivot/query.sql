SELECT * FROM email.dim_campaign PIVOT(COUNT(*) FOR marketing_team_id IN ('a'))
