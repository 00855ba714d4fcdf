import { defineTable } from '../../contract.ts';
import { daysOfContacts } from '../days_of_contacts.ts';

export const fact_email_engagement = defineTable({
  about: 'Every email event, with the keys of the dimensions around it',
  grain: 'one event (id, created)',
  key: ['event_id', 'event_at'],
  partition: 'event_date',
  cluster: ['campaign_id', 'event_type'],
  reads: {
    'email.email_events': {
      // A burst of clicks may reach across midnight by a second.
      days: `SELECT explode(array_distinct(array(to_date(created_at), to_date(created_at - INTERVAL 1 SECOND), to_date(created_at + INTERVAL 1 SECOND))))
        FROM changed`,
    },
    'email.contacts': {
      days: daysOfContacts('event_date'),
    },
    'email.marketing_emails': {
      days: `SELECT DISTINCT self.event_date FROM self JOIN (
        SELECT explode(all_of_one) AS campaign_id FROM (
          SELECT flatten(collect_set(concat(array(primary_email_campaign_id, email_campaign_group_id), coalesce(all_email_campaign_ids, array())))) AS all_of_one
          FROM changed GROUP BY id
          HAVING count(*) = 1 OR count(DISTINCT struct(all_email_campaign_ids, primary_email_campaign_id, email_campaign_group_id, created_by_id, published_by_id, is_archived)) > 1
        )
      ) AS touched USING (campaign_id)`,
    },
    'email.owners': {
      days: `SELECT DISTINCT self.event_date FROM self JOIN (
        SELECT explode(concat(array(primary_email_campaign_id, email_campaign_group_id), coalesce(all_email_campaign_ids, array()))) AS campaign_id
        FROM marketing_emails JOIN (
          SELECT explode(all_of_one) AS user_id FROM (
            SELECT collect_set(user_id) AS all_of_one FROM changed GROUP BY id
            HAVING count(*) = 1 OR count(DISTINCT struct(user_id, primary_team_id, is_archived)) > 1
          )
        ) AS moved ON moved.user_id IN (marketing_emails.created_by_id, marketing_emails.published_by_id)
      ) AS touched USING (campaign_id)`,
    },
  },
  columns: {
    event_date: { type: 'DATE', required: true, about: 'UTC day of event_at' },
    event_at: { type: 'TIMESTAMP', required: true, about: 'When it happened' },
    event_id: { type: 'STRING', required: true, about: 'Event id, unique together with event_at' },
    event_type: {
      type: 'STRING',
      required: true,
      about: 'Type as sent; UNBOUNCE is sent without, UNKNOWN = none',
    },
    event_status: {
      type: 'STRING',
      required: true,
      about: "counted, filtered (HubSpot's bot filter) or obsoleted",
    },
    event_count: { type: 'INT64', required: true, about: '1, to be summed' },
    campaign_id: { type: 'STRING', about: 'Email campaign' },
    campaign_year: { type: 'INT64', about: "Year of the send's day" },
    campaign_month: { type: 'INT64', about: "Month of the send's day" },
    campaign_day: { type: 'INT64', about: "Day of the month of the send's day" },
    send_id: { type: 'STRING', about: 'Send it belongs to, also when its SENT has not been seen' },
    user_id: {
      type: 'STRING',
      about: 'Contact, merges resolved; NULL when none or several share the address',
    },
    email_hash: { type: 'STRING', about: 'Keyed hash of the recipient, joins domains' },
    country_code: {
      type: 'STRING',
      required: true,
      about: "The event's country, else the contact's, ZZ = unknown",
    },
    device_id: { type: 'STRING', about: 'Device profile; NULL for events without a client' },
    marketing_team_id: { type: 'STRING', about: 'Team of the campaign' },
    user_response_time: { type: 'FLOAT64', about: 'Seconds from the send to this open or click' },
    link_url: { type: 'STRING', about: 'Link that was clicked' },
    is_bot: {
      type: 'BOOL',
      required: true,
      about:
        'Filtered by HubSpot, or an OPEN with five or more CLICKs within a second, or one of these',
    },
    is_preference_link: {
      type: 'BOOL',
      required: true,
      about: 'Click on an unsubscribe or preference page: in no click count',
    },
    send_at: { type: 'TIMESTAMP', about: 'When its email was sent' },
    device_type: { type: 'STRING', about: 'Of the device profile' },
    browser: { type: 'STRING', about: 'Of the device profile' },
    operating_system: { type: 'STRING', about: 'Of the device profile' },
    bounce_category: { type: 'STRING', about: 'Category of a BOUNCE, as sent' },
    drop_reason: { type: 'STRING', about: 'Why a DROPPED email was never sent' },
    open_seconds: { type: 'FLOAT64', about: 'How long an open lasted' },
  },
});
