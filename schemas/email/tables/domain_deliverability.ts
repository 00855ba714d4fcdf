import { defineTable } from '../../contract.ts';

export const domain_deliverability = defineTable({
  about: 'How mail servers take our email, by domain of the recipient',
  grain: 'one send day x recipient domain',
  key: ['sent_date', 'recipient_domain'],
  partition: 'sent_date',
  cluster: ['recipient_domain'],
  reads: { 'email.email_send': 'same' },
  columns: {
    sent_date: { type: 'DATE', required: true, about: 'UTC day of the send' },
    recipient_domain: { type: 'STRING', about: 'Domain of the address; NULL = none known' },
    sent: { type: 'INT64', required: true, about: 'Sends' },
    delivered: { type: 'INT64', required: true, about: 'Sends with a DELIVERED' },
    deferred: { type: 'INT64', required: true, about: 'Sends with a DEFERRED' },
    bounced_unknown_user: {
      type: 'INT64',
      required: true,
      about: 'Bounces of category UNKNOWN_USER',
    },
    bounced_mailbox_full: {
      type: 'INT64',
      required: true,
      about: 'Bounces of category MAILBOX_FULL',
    },
    bounced_throttled: { type: 'INT64', required: true, about: 'Bounces of category THROTTLED' },
    bounced_greylisting: {
      type: 'INT64',
      required: true,
      about: 'Bounces of category GREYLISTING',
    },
    bounced_filtered: { type: 'INT64', required: true, about: 'Bounces of category FILTERED' },
    bounced_mailbox_misconfiguration: {
      type: 'INT64',
      required: true,
      about: 'Bounces of category MAILBOX_MISCONFIGURATION',
    },
    bounced_other: {
      type: 'INT64',
      required: true,
      about: 'Bounces of any other category, or none',
    },
    median_seconds_to_deliver: {
      type: 'FLOAT64',
      about: 'Median of delivered_at - sent_at, seconds',
    },
    hard_bounced: { type: 'INT64', required: true, about: 'Sends with a hard bounce' },
    soft_bounced: { type: 'INT64', required: true, about: 'Sends with soft bounces only' },
    unknown_bounces: {
      type: 'INT64',
      required: true,
      about: 'Bounces of a category that is in no list',
    },
  },
});
