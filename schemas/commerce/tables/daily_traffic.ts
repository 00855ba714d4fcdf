import { defineTable } from '../../contract.ts';

export const daily_traffic = defineTable({
  about: 'Events by day and name',
  grain: 'one day x event_name',
  key: ['date', 'event_name'],
  partition: 'date',
  reads: {
    'commerce.user_behavior': 'same',
  },
  columns: {
    date: { type: 'DATE', required: true, about: 'UTC day of the events' },
    event_name: { type: 'STRING', required: true, about: 'What happened' },
    events: { type: 'INT64', required: true, about: 'Events' },
    users: { type: 'INT64', required: true, about: 'Different users' },
    sessions: { type: 'INT64', required: true, about: 'Different sessions' },
  },
});
