import { defineTable } from '../../contract.ts';

export const spend_per_session = defineTable({
  about: 'What was spent per session, by the day sessions began',
  grain: 'one day',
  key: ['date'],
  partition: 'date',
  reads: {
    'commerce.sessions': 'same',
  },
  columns: {
    date: { type: 'DATE', required: true, about: 'UTC day on which the sessions began' },
    sessions: { type: 'INT64', required: true, about: 'Sessions' },
    buying_sessions: { type: 'INT64', required: true, about: 'Sessions with an order' },
    users: { type: 'INT64', required: true, about: 'Different users' },
    amount_spent: {
      type: 'NUMERIC',
      required: true,
      about: 'What the orders cost; returns are not subtracted',
    },
    average_per_session: { type: 'NUMERIC', required: true, about: 'amount_spent / sessions' },
    average_per_user_per_session: {
      type: 'NUMERIC',
      about: 'Average over users of what one spent per own session; NULL without users',
    },
    amount_returned: { type: 'NUMERIC', required: true, about: 'What returned lines had cost' },
  },
});
