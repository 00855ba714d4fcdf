import { defineTable } from '../../contract.ts';

export const dim_event_type = defineTable({
  about: 'Event types; an unknown one appears here with its first event',
  grain: 'one type',
  key: ['event_type'],
  reads: { 'email.engagement_by_day': 'all' },
  columns: {
    event_type: { type: 'STRING', required: true, about: 'Type as sent; UNBOUNCE is sent without' },
    label: { type: 'STRING', required: true, about: 'For people' },
    stage: { type: 'STRING', about: 'send, delivery, engagement or negative; NULL = unknown type' },
    is_engagement: { type: 'BOOL', required: true, about: 'The recipient did something with it' },
  },
});
