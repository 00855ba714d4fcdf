import { defineTable } from '../../contract.ts';

export const engagement_by_day = defineTable({
  about: 'Events by day and every dimension of the star',
  grain: 'one event day x type x campaign x country x device x team',
  key: [
    'event_date',
    'event_type',
    'campaign_id',
    'country_code',
    'device_id',
    'marketing_team_id',
  ],
  partition: 'event_date',
  cluster: ['campaign_id', 'event_type'],
  reads: { 'email.fact_email_engagement': 'same' },
  columns: {
    event_date: { type: 'DATE', required: true, about: 'UTC day of the events' },
    event_type: { type: 'STRING', required: true, about: 'Type' },
    campaign_id: { type: 'STRING', about: 'Email campaign' },
    country_code: { type: 'STRING', required: true, about: 'Country, ZZ = unknown' },
    device_id: { type: 'STRING', about: 'Device profile; NULL for events without a client' },
    marketing_team_id: { type: 'STRING', about: 'Team of the campaign' },
    events: {
      type: 'INT64',
      required: true,
      about: 'Events; obsoleted ones and clicks on preference links left out',
    },
    users: { type: 'INT64', required: true, about: 'Different recipients of these events' },
    human_events: { type: 'INT64', required: true, about: "Events that are no machine's" },
    preference_clicks: {
      type: 'INT64',
      required: true,
      about: 'Clicks on unsubscribe and preference links',
    },
    obsoleted_events: {
      type: 'INT64',
      required: true,
      about: 'Events that another event replaced',
    },
    device_type: { type: 'STRING', about: 'Of the device profile' },
    browser: { type: 'STRING', about: 'Of the device profile' },
    operating_system: { type: 'STRING', about: 'Of the device profile' },
  },
});
