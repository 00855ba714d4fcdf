import { defineTable } from '../../contract.ts';

/** Definitions follow HubSpot's (knowledge base: what do my marketing email statistics mean). */
export const campaign_performance = defineTable({
  about: "Sends of a campaign by day with everything that became of them, on the send's day",
  grain: 'one campaign on one day it was sent (or dropped, or has events of unseen sends)',
  key: ['sent_date', 'campaign_id'],
  partition: 'sent_date',
  cluster: ['campaign_id'],
  reads: {
    'email.email_send': 'same',
    'email.email_events': { days: 'SELECT counts_on FROM changed', also_by: true },
  },
  columns: {
    sent_date: { type: 'DATE', required: true, about: 'UTC day of the send' },
    campaign_id: { type: 'STRING', about: 'Email campaign' },
    sent: { type: 'INT64', required: true, about: 'Sends, obsoleted ones left out' },
    delivered: { type: 'INT64', required: true, about: 'Sends with a DELIVERED' },
    hard_bounced: { type: 'INT64', required: true, about: 'Sends with a hard bounce' },
    soft_bounced: { type: 'INT64', required: true, about: 'Sends with soft bounces only' },
    unique_opens: { type: 'INT64', required: true, about: 'Sends opened or clicked' },
    unique_human_opens: {
      type: 'INT64',
      required: true,
      about: 'Sends opened or clicked by a person',
    },
    total_opens: { type: 'INT64', required: true, about: 'OPENs' },
    unique_clicks: {
      type: 'INT64',
      required: true,
      about: 'Sends clicked, preference links left out',
    },
    unique_human_clicks: { type: 'INT64', required: true, about: 'Sends clicked by a person' },
    total_clicks: { type: 'INT64', required: true, about: 'CLICKs, preference links left out' },
    unsubscribed: { type: 'INT64', required: true, about: 'Sends that led to an unsubscription' },
    spam_reported: { type: 'INT64', required: true, about: 'Sends reported as spam' },
    dropped: {
      type: 'INT64',
      required: true,
      about: 'Emails dropped instead of sent; on the day of the drop if they have no send',
    },
    delivery_rate: { type: 'FLOAT64', about: 'delivered / sent' },
    open_rate: { type: 'FLOAT64', about: 'unique_opens / delivered' },
    click_rate: { type: 'FLOAT64', about: 'unique_clicks / delivered' },
    click_to_open_rate: {
      type: 'FLOAT64',
      about: 'unique_clicks / unique_opens; HubSpot calls it click-through rate',
    },
    unsubscribe_rate: { type: 'FLOAT64', about: 'unsubscribed / delivered' },
    spam_rate: { type: 'FLOAT64', about: 'spam_reported / delivered' },
    hard_bounce_rate: { type: 'FLOAT64', about: 'hard_bounced / sent' },
    human_open_rate: { type: 'FLOAT64', about: 'unique_human_opens / delivered' },
    human_click_rate: { type: 'FLOAT64', about: 'unique_human_clicks / delivered' },
    human_click_to_open_rate: {
      type: 'FLOAT64',
      about: 'unique_human_clicks / unique_human_opens',
    },
    total_human_opens: { type: 'INT64', required: true, about: 'OPENs of people' },
    total_human_clicks: {
      type: 'INT64',
      required: true,
      about: 'CLICKs of people, preference links left out',
    },
    orphaned_events: {
      type: 'INT64',
      required: true,
      about: 'Events of sends whose SENT has not been seen; in no other column and no rate',
    },
    orphaned_opens: { type: 'INT64', required: true, about: 'OPENs among them' },
    first_sent_at: { type: 'TIMESTAMP', about: 'First send of the day' },
    last_sent_at: { type: 'TIMESTAMP', about: 'Last send of the day' },
  },
});
