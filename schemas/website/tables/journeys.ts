import { defineTable } from '../../contract.ts';

export const journeys = defineTable({
  about: 'Ways through the website: the first eight steps of sessions, by the day they began',
  grain: 'one day x path',
  key: ['session_date', 'path'],
  partition: 'session_date',
  reads: { 'website.sessions': 'same' },
  columns: {
    session_date: { type: 'DATE', required: true, about: 'UTC day the sessions began' },
    path: { type: 'STRING', required: true, about: 'Event types in order, joined by >' },
    sessions: { type: 'INT64', required: true, about: 'Sessions that went this way' },
    users: { type: 'INT64', required: true, about: 'Different readers' },
    converted_sessions: {
      type: 'INT64',
      required: true,
      about: 'Sessions with a conversion, at whichever step',
    },
  },
});
