import { defineTable } from '../../contract.ts';

export const dim_marketing_team = defineTable({
  about: 'Teams that owners belong to',
  grain: 'one team',
  key: ['marketing_team_id'],
  reads: { 'email.owners': 'all' },
  columns: {
    marketing_team_id: { type: 'STRING', required: true, about: 'Team' },
    marketing_team_name: { type: 'STRING', about: 'Its name, as the newest owner record has it' },
    members: { type: 'INT64', about: 'Active owners in the team' },
  },
});
