SELECT partition_id, total_rows FROM email.INFORMATION_SCHEMA.PARTITIONS WHERE table_name = 'email_send' ORDER BY 1
