import { defineTable } from '../../contract.ts';

export const conversions_by_day = defineTable({
  about: 'Conversions by day and by how the reader came; which types convert is in the contract',
  grain: 'one day x conversion type x channel',
  key: ['event_date', 'event_type', 'channel'],
  partition: 'event_date',
  reads: { 'website.events': 'same' },
  columns: {
    event_date: { type: 'DATE', required: true, about: 'UTC day of the conversions' },
    event_type: { type: 'STRING', required: true, about: 'Type of conversion' },
    channel: { type: 'STRING', required: true, about: 'How the reader came in this session' },
    users: { type: 'INT64', required: true, about: 'Different readers' },
    sessions: { type: 'INT64', required: true, about: 'Different sessions' },
    amount: { type: 'NUMERIC', required: true, about: 'Sum of the amounts, as sent' },
    conversions: { type: 'INT64', required: true, about: 'Events' },
    without_amount: {
      type: 'INT64',
      required: true,
      about: 'Conversions that should say an amount and do not say a number',
    },
  },
});
