import { defineTable } from '../../contract.ts';
import { daysOfSessions } from '../days_of_sessions.ts';

export const events = defineTable({
  about: 'Every event of the website, with the session it belongs to',
  grain: 'one event',
  key: ['event_key', 'event_at'],
  partition: 'event_date',
  cluster: ['event_type', 'user_id'],
  reads: { 'website.site_events': { days: daysOfSessions } },
  columns: {
    event_date: { type: 'DATE', required: true, about: 'UTC day of event_at' },
    event_at: { type: 'TIMESTAMP', required: true, about: 'When it happened, to microseconds' },
    event_key: {
      type: 'STRING',
      required: true,
      about: "The sender's event id, else a hash of user, type, entity, session and time",
    },
    user_id: { type: 'STRING', about: 'Reader, as the website knows them' },
    session_id: {
      type: 'STRING',
      about: 'Own id, else derived; NULL for an event that names neither session nor reader',
    },
    event_type: { type: 'STRING', required: true, about: 'Type as sent, known or not' },
    entity_type: { type: 'STRING', about: 'Kind of content it happened to' },
    entity_id: { type: 'STRING', about: 'Content it happened to' },
    description: { type: 'STRING', about: 'The same in words' },
    device: { type: 'STRING', about: 'Kind of device, as sent' },
    browser: { type: 'STRING', about: 'Browser, as sent' },
    platform: { type: 'STRING', about: 'Operating system or app platform, as sent' },
    channel: {
      type: 'STRING',
      required: true,
      about: 'How the reader came in this session: its first event that tells, else direct',
    },
    referrer: { type: 'STRING', about: 'Page the reader came from' },
    utm_campaign: { type: 'STRING', about: 'Campaign named by the link' },
    props: { type: 'STRING', about: 'Free properties, JSON; client addresses masked' },
    session_date: {
      type: 'DATE',
      about: 'Day its session began; names the session together with session_id',
    },
    utm_source: { type: 'STRING', about: 'Sender named by the link' },
    utm_medium: { type: 'STRING', about: 'Means named by the link' },
    is_conversion: { type: 'BOOL', required: true, about: 'Its type converts (conversion_types)' },
    lacks_amount: {
      type: 'BOOL',
      required: true,
      about: 'A conversion that should say an amount and does not say a number',
    },
    amount: { type: 'NUMERIC', about: 'Amount of a conversion, as sent' },
  },
});
