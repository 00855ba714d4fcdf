SELECT table_name, column_name, data_type, is_partitioning_column FROM email.INFORMATION_SCHEMA.COLUMNS WHERE table_name = 'email_send' AND ordinal_position IN (1, 12) ORDER BY ordinal_position
