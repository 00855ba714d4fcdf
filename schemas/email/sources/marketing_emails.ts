import { defineSource } from '../../contract.ts';

export const marketing_emails = defineSource({
  about: 'Marketing emails as edited in HubSpot (v3); they link a campaign to the people behind it',
  owner: 'marketing operations',
  arrives: {
    kind: 'hubspot_objects',
    schedule: '10 * * * *',
    object: 'marketing_emails',
    full_every_hours: 24,
  },
  records: 'results',
  key: ['id'],
  version: 'observed_at',
  deleted: 'is_archived',
  bounds: { earliest: '2006-01-01', days_ahead: 3660 },
  columns: {
    id: { type: 'STRING', required: true, about: 'Marketing email; not the campaign of events' },
    name: { type: 'STRING', about: 'Name of the email' },
    subject: { type: 'STRING', about: 'Subject line' },
    type: { type: 'STRING', about: 'Type of email, as sent' },
    state: { type: 'STRING', about: 'State, such as PUBLISHED' },
    campaign_guid: { type: 'STRING', from: 'campaign', about: 'Marketing campaign it is part of' },
    primary_email_campaign_id: {
      type: 'STRING',
      from: 'primaryEmailCampaignId',
      about: 'Its main email campaign',
    },
    email_campaign_group_id: {
      type: 'STRING',
      from: 'emailCampaignGroupId',
      about: 'Its group of email campaigns',
    },
    all_email_campaign_ids: {
      type: 'STRING',
      repeated: true,
      as: 'json_array',
      from: 'allEmailCampaignIds',
      about: 'Every email campaign it was sent as',
    },
    created_by_id: { type: 'STRING', from: 'createdById', about: 'User who made it' },
    published_by_id: { type: 'STRING', from: 'publishedById', about: 'User who published it' },
    created_at: { type: 'TIMESTAMP', from: 'createdAt', about: 'When it was made' },
    updated_at_source: { type: 'TIMESTAMP', from: 'updatedAt', about: 'When it was last edited' },
    published_at: { type: 'TIMESTAMP', from: 'publishedAt', about: 'When it was published' },
    is_archived: { type: 'BOOL', from: 'archived', about: 'HubSpot lists it as archived' },
  },
});
