import { defineTable } from '../../contract.ts';

/**
 * A session with an id of its own belongs to the day it began. It goes on over midnight as long as
 * no whole UTC day passes without an event; an id that never rests makes each day from the eighth
 * on a session of its own, so that no day depends on more than the week before it.
 */
export const sessions = defineTable({
  about: 'Visits with what was done and bought in them',
  grain: 'one session: an own id, or 30 minutes without an event',
  key: ['session_date', 'session_id'],
  partition: 'session_date',
  cluster: ['user_id'],
  reads: {
    'commerce.user_behavior': {
      // An event joins, ends or divides what lies beside its day, as far as a session reaches; and
      // where it ends a week without rest, the days after it are sessions of their own no more.
      days: `SELECT explode(sequence(date_sub(partition, 1), date_add(partition, 1))) FROM changed
        UNION ALL
        SELECT explode(sequence(self.session_date, to_date(self.ended_at))) FROM self
        JOIN changed ON changed.partition BETWEEN date_sub(self.session_date, 1) AND date_add(to_date(self.ended_at), 1)
        WHERE NOT self.is_derived AND to_date(self.ended_at) > self.session_date
        UNION ALL
        SELECT self.session_date FROM self
        JOIN changed ON changed.partition BETWEEN date_sub(self.session_date, 7) AND date_sub(self.session_date, 1)
        JOIN self week ON week.session_id = self.session_id AND to_date(week.ended_at) = date_sub(self.session_date, 1)
        WHERE NOT self.is_derived`,
      // The week before a day tells whether a session began earlier, the week after how far it goes.
      near: 7,
      reach: 8,
    },
  },
  columns: {
    session_date: { type: 'DATE', required: true, about: 'UTC day of started_at' },
    session_id: {
      type: 'STRING',
      required: true,
      about: 'Session as sent, or as derived (see user_behavior)',
    },
    user_id: { type: 'STRING', about: 'First user known in it' },
    started_at: { type: 'TIMESTAMP', required: true, about: 'First event' },
    ended_at: { type: 'TIMESTAMP', required: true, about: 'Last event' },
    events: { type: 'INT64', required: true, about: 'Events' },
    views: { type: 'INT64', required: true, about: 'View events' },
    orders: { type: 'INT64', required: true, about: 'Different orders' },
    amount_spent: {
      type: 'NUMERIC',
      required: true,
      about: 'What the orders cost; returns are not subtracted',
    },
    wishlists: { type: 'INT64', required: true, about: 'Wishlist events' },
    returns: { type: 'INT64', required: true, about: 'Order lines returned' },
    amount_returned: { type: 'NUMERIC', required: true, about: 'What the returned lines had cost' },
    is_derived: {
      type: 'BOOL',
      required: true,
      about: 'No id was sent: 30 minutes without an event, or midnight UTC, ended it',
    },
  },
});
