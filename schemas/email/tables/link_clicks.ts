import { defineTable } from '../../contract.ts';

export const link_clicks = defineTable({
  about: 'Clicks by link; unsubscribe and preference links left out',
  grain: 'one day x campaign x link',
  key: ['event_date', 'campaign_id', 'link_url'],
  partition: 'event_date',
  cluster: ['campaign_id'],
  reads: { 'email.fact_email_engagement': 'same' },
  columns: {
    event_date: { type: 'DATE', required: true, about: 'UTC day of the clicks' },
    campaign_id: { type: 'STRING', about: 'Email campaign' },
    link_url: { type: 'STRING', about: 'Link' },
    clicks: { type: 'INT64', required: true, about: 'CLICKs' },
    unique_clicks: { type: 'INT64', required: true, about: 'Sends with such a CLICK' },
    human_clicks: { type: 'INT64', required: true, about: 'CLICKs of people' },
    unique_human_clicks: { type: 'INT64', required: true, about: 'Sends with such a CLICK' },
  },
});
