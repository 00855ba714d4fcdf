import { defineTable } from '../../contract.ts';

export const content_by_day = defineTable({
  about: 'What happened to a piece of content, by day; events without an entity are in none',
  grain: 'one day x entity',
  key: ['event_date', 'entity_type', 'entity_id'],
  partition: 'event_date',
  cluster: ['entity_type', 'entity_id'],
  reads: {
    // Whether a reader returned, all earlier days say.
    'website.events': { days: 'SELECT partition FROM changed' },
    'website.site_events': {
      days: `SELECT to_date(occurred_at) FROM changed
      UNION
      SELECT self.event_date FROM self JOIN (
        SELECT trim(entity_id) AS entity_id, min(to_date(occurred_at)) AS day FROM changed GROUP BY 1
      ) AS late ON self.entity_id = late.entity_id AND self.event_date > late.day`,
    },
  },
  columns: {
    event_date: { type: 'DATE', required: true, about: 'UTC day of the events' },
    entity_type: { type: 'STRING', about: 'Kind of content' },
    entity_id: { type: 'STRING', required: true, about: 'Content' },
    events: { type: 'INT64', required: true, about: 'Events' },
    users: { type: 'INT64', required: true, about: 'Different readers' },
    sessions: { type: 'INT64', required: true, about: 'Different sessions' },
    returning_users: {
      type: 'INT64',
      required: true,
      about: 'Readers among them who had to do with it on an earlier day',
    },
  },
});
