import { defineTable } from '../../contract.ts';
import { daysOfSessions } from '../days_of_sessions.ts';

/** The rules of sessions are in jobs/sql/website/views/session_events.sql. */
export const sessions = defineTable({
  about: 'Sessions: the own ids of the website, else what a reader does without 30 idle minutes',
  grain: 'one session, on the day it began',
  key: ['session_date', 'session_id'],
  partition: 'session_date',
  cluster: ['channel', 'user_id'],
  reads: { 'website.site_events': { days: daysOfSessions } },
  columns: {
    session_date: { type: 'DATE', required: true, about: 'UTC day of started_at' },
    session_id: {
      type: 'STRING',
      required: true,
      about: 'Own id, else derived; an own id that goes on for days is a session on each of them',
    },
    user_id: { type: 'STRING', about: 'First reader it names' },
    started_at: { type: 'TIMESTAMP', required: true, about: 'First event' },
    ended_at: {
      type: 'TIMESTAMP',
      required: true,
      about: 'Last event; with an own id it may lie before noon of the next day',
    },
    events: { type: 'INT64', required: true, about: 'Events' },
    entities: { type: 'INT64', required: true, about: 'Different entities' },
    entry_type: { type: 'STRING', required: true, about: 'Type of the first event' },
    exit_type: { type: 'STRING', required: true, about: 'Type of the last event' },
    channel: {
      type: 'STRING',
      required: true,
      about: 'How the reader came: its first event that tells, else direct',
    },
    device: { type: 'STRING', about: 'First kind of device it names' },
    seconds: { type: 'FLOAT64', required: true, about: 'ended_at - started_at' },
    conversions: { type: 'INT64', required: true, about: 'Events that convert' },
    path: { type: 'STRING', required: true, about: 'Types of the first eight events, in order' },
    is_derived: { type: 'BOOL', required: true, about: 'It has no id of its own' },
  },
});
