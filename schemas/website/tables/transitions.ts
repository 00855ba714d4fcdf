import { defineTable } from '../../contract.ts';
import { daysOfSessions } from '../days_of_sessions.ts';

export const transitions = defineTable({
  about: 'What follows what within sessions, by the day the session began',
  grain: 'one day x type x type of the next event',
  key: ['session_date', 'from_type', 'to_type'],
  partition: 'session_date',
  reads: { 'website.site_events': { days: daysOfSessions } },
  columns: {
    session_date: { type: 'DATE', required: true, about: 'UTC day the sessions began' },
    from_type: { type: 'STRING', required: true, about: 'Type of an event' },
    to_type: { type: 'STRING', required: true, about: 'Type of the next one of its session' },
    sessions: { type: 'INT64', required: true, about: 'Sessions in which it happened' },
    users: { type: 'INT64', required: true, about: 'Different readers' },
    median_seconds: { type: 'FLOAT64', about: 'Median time between the two' },
    transitions: { type: 'INT64', required: true, about: 'How often it happened' },
  },
});
