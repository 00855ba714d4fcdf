import { defineTable } from '../../contract.ts';

export const quality = defineTable({
  about: 'Checks that every batch runs over what it wrote',
  grain: 'one check of one table or source in one batch',
  key: ['batch', 'subject', 'check'],
  partition: 'batch_date',
  cluster: ['subject', 'check'],
  reads: {},
  columns: {
    batch_date: { type: 'DATE', required: true, about: "UTC day of the batch's end" },
    batch: { type: 'STRING', required: true, about: 'domain-sequence-attempt' },
    subject: { type: 'STRING', required: true, about: 'Full name of the table or source' },
    check: { type: 'STRING', required: true, about: 'What was asked, such as unique_key' },
    rows: { type: 'INT64', required: true, about: 'Rows looked at' },
    failed: { type: 'INT64', required: true, about: 'Rows that failed' },
    failed_rate: { type: 'FLOAT64', about: 'failed over rows; empty without rows' },
    threshold: { type: 'FLOAT64', about: 'Share above which it fails; empty = it only reports' },
    passed: { type: 'BOOL', required: true, about: 'Whether it held' },
    domain: { type: 'STRING', required: true, about: 'Domain' },
    sequence: { type: 'INT64', required: true, about: 'Number of the batch in its domain' },
  },
});
