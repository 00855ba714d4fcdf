import { defineTable } from '../../contract.ts';
import { daysOfContacts } from '../days_of_contacts.ts';

export const email_send = defineTable({
  about: 'Every send that happened, and what became of it',
  grain: 'one SENT event, not obsoleted',
  // An event id is unique only together with its time.
  key: ['send_id', 'sent_at'],
  partition: 'sent_date',
  cluster: ['campaign_id', 'send_id'],
  reads: {
    'email.email_events': { days: 'SELECT counts_on FROM changed', also_by: true },
    'email.contacts': {
      days: daysOfContacts('sent_date'),
    },
  },
  columns: {
    sent_date: { type: 'DATE', required: true, about: 'UTC day of sent_at' },
    send_id: { type: 'STRING', required: true, about: 'Id of the SENT event' },
    campaign_id: { type: 'STRING', about: 'Email campaign' },
    user_id: {
      type: 'STRING',
      about: 'Contact, merges resolved; NULL when none or several share the address',
    },
    email_hash: { type: 'STRING', about: 'Keyed hash of the recipient, joins domains' },
    sent_at: { type: 'TIMESTAMP', required: true, about: 'When it was sent' },
    delivered_at: { type: 'TIMESTAMP', about: 'First DELIVERED' },
    bounced_at: {
      type: 'TIMESTAMP',
      about: 'The bounce that counts: the first hard one, else the first',
    },
    bounce_category: { type: 'STRING', about: 'Category of that bounce, as sent' },
    first_open_at: { type: 'TIMESTAMP', about: 'First OPEN, machines included' },
    first_click_at: {
      type: 'TIMESTAMP',
      about: 'First CLICK, machines included, preference links left out',
    },
    opens: { type: 'INT64', required: true, about: 'OPENs' },
    human_opens: { type: 'INT64', required: true, about: 'OPENs, neither filtered nor in a burst' },
    clicks: { type: 'INT64', required: true, about: 'CLICKs, preference links left out' },
    human_clicks: {
      type: 'INT64',
      required: true,
      about: 'CLICKs of people, preference links left out',
    },
    unsubscribed: {
      type: 'BOOL',
      required: true,
      about: 'A STATUSCHANGE to UNSUBSCRIBED names this send',
    },
    spam_reported: { type: 'BOOL', required: true, about: 'A SPAMREPORT names this send' },
    user_response_time: {
      type: 'FLOAT64',
      about: 'Seconds from sent_at to the first open or click',
    },
    bounce_type: { type: 'STRING', about: 'hard or soft, by the category' },
    is_opened: { type: 'BOOL', required: true, about: 'Any OPEN, or a CLICK, which proves one' },
    is_human_opened: { type: 'BOOL', required: true, about: 'An OPEN or CLICK of a person' },
    first_human_open_at: { type: 'TIMESTAMP', about: 'First OPEN of a person' },
    first_human_click_at: {
      type: 'TIMESTAMP',
      about: 'First CLICK of a person, preference links left out',
    },
    first_deferred_at: { type: 'TIMESTAMP', about: 'First DEFERRED' },
    deferrals: { type: 'INT64', required: true, about: 'DEFERREDs' },
    recipient_domain: { type: 'STRING', about: "Domain of the recipient's address" },
    country_code: { type: 'STRING', required: true, about: "The contact's country, ZZ = unknown" },
  },
});
