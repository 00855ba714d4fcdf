import { defineSource } from '../../contract.ts';

export const owners = defineSource({
  about: 'Owners (users who can be responsible for something) with their teams',
  owner: 'marketing operations',
  arrives: {
    kind: 'hubspot_objects',
    schedule: '20 * * * *',
    object: 'owners',
    full_every_hours: 1,
  },
  records: 'results',
  key: ['id'],
  // Joining a team does not always move `updatedAt`.
  version: 'observed_at',
  deleted: 'is_archived',
  bounds: { earliest: '2006-01-01', days_ahead: 2 },
  columns: {
    id: { type: 'STRING', required: true, about: 'Owner' },
    active_user_id: { type: 'STRING', from: 'userId', about: 'User, while active' },
    inactive_user_id: {
      type: 'STRING',
      from: 'userIdIncludingInactive',
      about: 'User, also when no longer active',
    },
    user_id: {
      type: 'STRING',
      sql: 'coalesce(active_user_id, inactive_user_id)',
      about: 'User, as marketing emails name their creator and publisher',
    },
    email: { type: 'STRING', personal: true, about: 'Address of the owner' },
    first_name: { type: 'STRING', personal: true, from: 'firstName', about: 'First name' },
    last_name: { type: 'STRING', personal: true, from: 'lastName', about: 'Last name' },
    teams: { type: 'STRING', about: 'Teams with their primary mark, JSON' },
    primary_team_id: {
      type: 'STRING',
      sql: "filter(from_json(teams, 'array<struct<id: string, name: string, primary: boolean>>'), team -> team.primary)[0].id",
      about: 'The team the owner mainly belongs to',
    },
    updated_at_source: { type: 'TIMESTAMP', from: 'updatedAt', about: 'When it last changed' },
    is_archived: { type: 'BOOL', from: 'archived', about: 'HubSpot lists it as deactivated' },
  },
});
