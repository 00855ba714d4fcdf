SELECT 1 FROM [email.dim_campaign]
