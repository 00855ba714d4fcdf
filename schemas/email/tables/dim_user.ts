import { defineTable } from '../../contract.ts';

export const dim_user = defineTable({
  about: 'Contacts; a merged one keeps its row and names its survivor, whom the facts point at',
  grain: 'one contact, merges resolved',
  key: ['user_id'],
  cluster: ['user_id'],
  reads: { 'email.contacts': 'all' },
  columns: {
    user_id: { type: 'STRING', required: true, about: 'HubSpot contact' },
    email_hash: { type: 'STRING', about: 'Keyed hash of the primary address, joins domains' },
    country_code: { type: 'STRING', required: true, about: "The contact's country, ZZ = unknown" },
    lifecycle_stage: { type: 'STRING', about: 'Lifecycle stage, as sent' },
    created_at: { type: 'TIMESTAMP', about: 'When the contact was made' },
    is_deleted: { type: 'BOOL', required: true, about: 'Deleted in HubSpot, also for privacy' },
    merged_into: {
      type: 'STRING',
      about: 'The contact that survived the merge, at the end of a chain',
    },
    is_privacy_deleted: { type: 'BOOL', required: true, about: 'Deleted for privacy' },
  },
});
