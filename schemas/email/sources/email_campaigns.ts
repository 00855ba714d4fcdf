import { defineSource } from '../../contract.ts';

export const email_campaigns = defineSource({
  about: "HubSpot's email campaigns (v1) with their counters, which ours are reconciled with",
  owner: 'marketing operations',
  arrives: {
    kind: 'hubspot_objects',
    schedule: '5 * * * *',
    object: 'email_campaigns',
    full_every_hours: 1,
  },
  records: null,
  key: ['id'],
  // Counters move without a time of change.
  version: 'observed_at',
  bounds: { earliest: '2006-01-01', days_ahead: 2 },
  columns: {
    id: { type: 'STRING', required: true, about: 'Email campaign, as events name it' },
    app_id: { type: 'STRING', from: 'appId', about: 'HubSpot application that sends it' },
    app_name: { type: 'STRING', from: 'appName', about: 'Its name' },
    content_id: { type: 'STRING', from: 'contentId', about: 'Content of the email' },
    name: { type: 'STRING', about: 'Name of the campaign' },
    subject: { type: 'STRING', about: 'Subject line' },
    type: { type: 'STRING', about: 'Type of email, as sent' },
    sub_type: { type: 'STRING', from: 'subType', about: 'Subtype of email, as sent' },
    num_included: { type: 'INT64', from: 'numIncluded', about: 'Recipients planned' },
    num_queued: { type: 'INT64', from: 'numQueued', about: 'Recipients queued' },
    processing_state: { type: 'STRING', from: 'processingState', about: 'State of sending' },
    counters: { type: 'STRING', about: 'Counters by event type, a JSON object' },
    counted_at: {
      type: 'TIMESTAMP',
      sql: 'CASE WHEN counters IS NOT NULL THEN observed_at END',
      about: 'When the counters were read',
    },
  },
});
