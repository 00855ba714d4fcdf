import { defineTable } from '../../contract.ts';

export const send_time = defineTable({
  about: 'How emails do by weekday and hour of their send, UTC',
  grain: 'one send day x hour',
  key: ['sent_date', 'weekday', 'hour'],
  partition: 'sent_date',
  reads: { 'email.email_send': 'same' },
  columns: {
    sent_date: { type: 'DATE', required: true, about: 'UTC day of the send' },
    weekday: { type: 'INT64', required: true, about: '1 Monday to 7 Sunday' },
    hour: { type: 'INT64', required: true, about: '0 to 23, UTC' },
    delivered: { type: 'INT64', required: true, about: 'Sends with a DELIVERED' },
    unique_human_opens: {
      type: 'INT64',
      required: true,
      about: 'Sends opened or clicked by a person',
    },
    unique_human_clicks: { type: 'INT64', required: true, about: 'Sends clicked by a person' },
    sent: { type: 'INT64', required: true, about: 'Sends' },
    unique_opens: {
      type: 'INT64',
      required: true,
      about: 'Sends opened or clicked, machines included',
    },
    unique_clicks: { type: 'INT64', required: true, about: 'Sends clicked, machines included' },
  },
});
