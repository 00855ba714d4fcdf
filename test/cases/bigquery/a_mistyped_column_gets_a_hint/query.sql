SELECT campaign_nam FROM email.dim_campaign
