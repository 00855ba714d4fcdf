import { defineTable } from '../../contract.ts';

export const loads = defineTable({
  about: 'What every batch put into BigQuery',
  grain: 'one table of one loaded batch',
  key: ['domain', 'sequence', 'table'],
  partition: 'load_date',
  cluster: ['table'],
  reads: {},
  columns: {
    load_date: { type: 'DATE', required: true, about: 'UTC day of finished_at' },
    domain: { type: 'STRING', required: true, about: 'Domain' },
    sequence: { type: 'INT64', required: true, about: 'Batch that was loaded' },
    table: { type: 'STRING', required: true, about: 'Full name of the table' },
    partitions: { type: 'INT64', about: 'Partitions replaced; empty = the whole table' },
    rows: { type: 'INT64', required: true, about: 'Rows loaded' },
    started_at: { type: 'TIMESTAMP', required: true, about: 'When the load began' },
    finished_at: { type: 'TIMESTAMP', required: true, about: 'When readers saw the batch' },
  },
});
