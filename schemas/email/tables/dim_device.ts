import { defineTable } from '../../contract.ts';

export const dim_device = defineTable({
  about: 'Device profiles seen in events',
  grain: 'one device profile',
  key: ['device_id'],
  reads: { 'email.engagement_by_day': 'all' },
  columns: {
    device_id: { type: 'STRING', required: true, about: 'Hash of the other three columns' },
    device_type: { type: 'STRING', required: true, about: 'COMPUTER, MOBILE, ..., UNKNOWN' },
    browser: { type: 'STRING', required: true, about: 'Browser or mail client, Unknown' },
    operating_system: { type: 'STRING', required: true, about: 'From the user agent, Unknown' },
  },
});
