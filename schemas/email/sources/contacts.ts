import { defineSource } from '../../contract.ts';

export const contacts = defineSource({
  about: 'Contacts of the CRM with their addresses, deletions and merges',
  owner: 'marketing operations',
  arrives: {
    kind: 'hubspot_objects',
    schedule: '15 * * * *',
    object: 'contacts',
    full_every_hours: 24,
  },
  records: 'results',
  key: ['id'],
  version: 'changed_at',
  deleted: 'is_deleted',
  bounds: { earliest: '1990-01-01', days_ahead: 2 },
  columns: {
    id: { type: 'STRING', required: true, about: 'Contact' },
    email: { type: 'STRING', personal: true, from: 'properties.email', about: 'Primary address' },
    email_hash: {
      type: 'STRING',
      hash_of: 'email',
      about: 'Keyed hash of the primary address, joins domains',
    },
    additional_emails_text: {
      type: 'STRING',
      personal: true,
      from: 'properties.hs_additional_emails',
      about: 'Further addresses, separated by semicolons',
    },
    additional_emails: {
      type: 'STRING',
      repeated: true,
      personal: true,
      sql: "filter(transform(split(additional_emails_text, ';'), address -> trim(address)), address -> address <> '')",
      about: 'Further addresses',
    },
    additional_email_hashes: {
      type: 'STRING',
      repeated: true,
      hash_of: 'additional_emails',
      about: 'Keyed hashes of the further addresses',
    },
    country: { type: 'STRING', from: 'properties.country', about: 'Country as entered' },
    lifecycle_stage: {
      type: 'STRING',
      from: 'properties.lifecyclestage',
      about: 'Lifecycle stage, as sent',
    },
    merged_ids_text: {
      type: 'STRING',
      from: 'properties.hs_merged_object_ids',
      about: 'Contacts merged into this one, separated by semicolons',
    },
    merged_ids: {
      type: 'STRING',
      repeated: true,
      sql: "filter(transform(split(merged_ids_text, ';'), id -> trim(id)), id -> id <> '')",
      about: 'Contacts merged into this one',
    },
    created_at: { type: 'TIMESTAMP', from: 'createdAt', about: 'When the contact was made' },
    updated_at_source: { type: 'TIMESTAMP', from: 'updatedAt', about: 'When it last changed' },
    archived_at: { type: 'TIMESTAMP', from: 'archivedAt', about: 'When it was deleted' },
    is_archived: { type: 'BOOL', from: 'archived', about: 'HubSpot lists it as deleted' },
    is_privacy_deleted: {
      type: 'BOOL',
      from: 'privacyDeleted',
      about: 'Gone from the active and the archived list: deleted for privacy',
    },
    is_deleted: {
      type: 'BOOL',
      sql: 'coalesce(is_archived, false) OR coalesce(is_privacy_deleted, false)',
      about: 'Deleted in either way',
    },
    changed_at: {
      type: 'TIMESTAMP',
      // An absence carries no time of its own: it was true when it was noticed.
      sql: 'CASE WHEN is_privacy_deleted THEN observed_at ELSE coalesce(greatest(updated_at_source, archived_at), observed_at) END',
      about: 'Version: the newest change the record knows of',
    },
  },
});
