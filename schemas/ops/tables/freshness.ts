import { defineTable } from '../../contract.ts';

export const freshness = defineTable({
  about: 'How far every table lies behind the clock',
  grain: 'one table at one check',
  key: ['table', 'checked_at'],
  partition: 'checked_date',
  cluster: ['table'],
  reads: {},
  columns: {
    checked_date: { type: 'DATE', required: true, about: 'UTC day of checked_at' },
    table: { type: 'STRING', required: true, about: 'Full name of the table' },
    newest_event_at: {
      type: 'TIMESTAMP',
      about:
        'Newest event of its last 35 days; of a table with days only, the begin of the newest day',
    },
    lag_seconds: { type: 'INT64', about: 'checked_at minus newest_event_at' },
    checked_at: { type: 'TIMESTAMP', required: true, about: 'When it was looked at' },
    loaded_sequence: { type: 'INT64', about: 'Last batch of its domain that was loaded' },
  },
});
