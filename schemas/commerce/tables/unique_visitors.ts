import { defineTable } from '../../contract.ts';

export const unique_visitors = defineTable({
  about: 'Users seen on a day, new and returning',
  grain: 'one day',
  key: ['date'],
  partition: 'date',
  reads: {
    'commerce.user_behavior': {
      // Who is new depends on the days before: an older first visit changes the days after it.
      days: `SELECT partition FROM changed
        UNION ALL
        SELECT self.date FROM self JOIN (SELECT min(partition) AS first FROM changed) ON self.date >= first`,
      near: 0,
    },
    // Knows when somebody was seen first, without asking every day there is.
    'commerce.user_profile': 'ignore',
  },
  columns: {
    date: { type: 'DATE', required: true, about: 'UTC day' },
    visitors: {
      type: 'INT64',
      required: true,
      about: 'Different users seen; events without a user are in no count',
    },
    new_visitors: { type: 'INT64', required: true, about: 'Those never seen on a day before' },
    returning_visitors: { type: 'INT64', required: true, about: 'The others' },
  },
});
