import { defineTable } from '../../contract.ts';

export const reconciliation = defineTable({
  about: "Our counts of a campaign's events beside HubSpot's counters",
  grain: 'one campaign with counters x event type',
  key: ['campaign_id', 'event_type'],
  reads: { 'email.email_campaigns': 'all', 'email.engagement_by_day': 'all' },
  columns: {
    campaign_id: { type: 'STRING', required: true, about: 'Email campaign' },
    event_type: { type: 'STRING', required: true, about: 'Type, as the counter is named' },
    ours: { type: 'INT64', required: true, about: 'Events of the type, obsoleted ones left out' },
    hubspot: { type: 'INT64', required: true, about: "HubSpot's counter, 0 when it names none" },
    difference: { type: 'INT64', required: true, about: 'ours - hubspot' },
    checked_at: { type: 'TIMESTAMP', about: 'When the counters were read' },
  },
});
