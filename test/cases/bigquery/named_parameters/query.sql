SELECT send_id FROM email.email_send WHERE sent_date >= @since AND campaign_id IN UNNEST(@campaigns) AND opens >= @least ORDER BY send_id
