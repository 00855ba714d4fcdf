import { defineTable } from '../../contract.ts';

export const dim_campaign = defineTable({
  about: 'Email campaigns; also those that only events name',
  grain: 'one campaign',
  key: ['campaign_id'],
  reads: {
    'email.email_campaigns': 'all',
    'email.marketing_emails': 'all',
    'email.owners': 'all',
    'email.campaign_performance': 'all',
    'email.engagement_by_day': 'all',
  },
  columns: {
    campaign_id: { type: 'STRING', required: true, about: 'Email campaign, as events name it' },
    campaign_name: { type: 'STRING', about: 'Name of the campaign, else of its marketing email' },
    subject: { type: 'STRING', about: 'Subject line' },
    email_type: { type: 'STRING', about: 'Type of email, as sent' },
    marketing_email_id: { type: 'STRING', about: 'Marketing email it was sent as' },
    marketing_team_id: {
      type: 'STRING',
      about: "Primary team of the email's publisher, else of its creator",
    },
    first_sent_at: { type: 'TIMESTAMP', about: 'First send that was not obsoleted' },
    last_sent_at: { type: 'TIMESTAMP', about: 'Last send that was not obsoleted' },
  },
});
