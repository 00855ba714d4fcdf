import { defineSource } from '../../contract.ts';

/**
 * HubSpot's email events (v1). Types and enumerations are open: an unknown `type`, a missing one
 * (UNBOUNCE has none) and unknown fields are kept, never refused.
 */
export const email_events = defineSource({
  about: 'Everything that happened to an email sent through HubSpot, one event each',
  owner: 'marketing operations',
  arrives: {
    kind: 'hubspot_email_events',
    schedule: '*/10 * * * *',
    settle_minutes: 5,
    again_after_hours: [72, 720],
    first_days: 30,
  },
  records: 'events',
  // An id is unique only together with its time.
  key: ['id', 'created_at'],
  // A SENT changes after its publication (`obsoletedBy`), without a time of change.
  version: 'observed_at',
  event_time: 'created_at',
  also_by: 'counts_on',
  bounds: { earliest: '2006-01-01', days_ahead: 2 },
  columns: {
    id: { type: 'STRING', required: true, about: 'Event id, unique together with created_at' },
    created_at: {
      type: 'TIMESTAMP',
      required: true,
      from: 'created',
      as: 'epoch_ms',
      about: "The event's own time",
    },
    type: { type: 'STRING', about: 'Event type as sent; an UNBOUNCE has none' },
    recipient: { type: 'STRING', personal: true, about: 'Address the email went to' },
    email_hash: {
      type: 'STRING',
      hash_of: 'recipient',
      about: 'Keyed hash of the recipient, joins domains',
    },
    recipient_domain: {
      type: 'STRING',
      sql: "CASE WHEN recipient LIKE '%@%' THEN lower(trim(substring_index(recipient, '@', -1))) END",
      about: "Domain of the recipient's address, lower case",
    },
    portal_id: { type: 'STRING', from: 'portalId', about: 'HubSpot account' },
    app_id: { type: 'STRING', from: 'appId', about: 'HubSpot application that sent the email' },
    app_name: { type: 'STRING', from: 'appName', about: 'Its name; changes over time' },
    email_campaign_id: { type: 'STRING', from: 'emailCampaignId', about: 'Email campaign' },
    email_campaign_group_id: {
      type: 'STRING',
      from: 'emailCampaignGroupId',
      about: 'Group of email campaigns, such as the variants of one email',
    },
    hmid: { type: 'STRING', about: 'X-HubSpot-MID of the message' },
    hubspot_send_id: { type: 'STRING', from: 'sendId', about: "HubSpot's own sendId" },
    sent_by_id: { type: 'STRING', from: 'sentBy.id', about: 'Id of the SENT this event follows' },
    sent_by_created_at: {
      type: 'TIMESTAMP',
      from: 'sentBy.created',
      as: 'epoch_ms',
      about: 'Time of the SENT this event follows',
    },
    caused_by_id: {
      type: 'STRING',
      from: 'causedBy.id',
      about: 'Id of the event that caused this',
    },
    caused_by_created_at: {
      type: 'TIMESTAMP',
      from: 'causedBy.created',
      as: 'epoch_ms',
      about: 'Time of the event that caused this',
    },
    obsoleted_by_id: {
      type: 'STRING',
      from: 'obsoletedBy.id',
      about: 'Id of the event that replaced this; a DROPPED obsoletes its SENT',
    },
    obsoleted_by_created_at: {
      type: 'TIMESTAMP',
      from: 'obsoletedBy.created',
      as: 'epoch_ms',
      about: 'Time of the event that replaced this',
    },
    is_filtered: {
      type: 'BOOL',
      from: 'filteredEvent',
      about: "HubSpot's bot filter took it for a machine's",
    },
    device_type: { type: 'STRING', from: 'deviceType', about: 'COMPUTER, MOBILE, ... as sent' },
    browser: { type: 'STRING', from: 'browser.name', about: 'Browser or mail client' },
    browser_family: { type: 'STRING', from: 'browser.family', about: 'Family of the browser' },
    user_agent: { type: 'STRING', from: 'userAgent', about: 'User agent as sent' },
    ip_address: { type: 'STRING', from: 'ipAddress', personal: true, about: 'Client address' },
    location_country: {
      type: 'STRING',
      from: 'location.country',
      about: 'Country as sent, a name or a code',
    },
    location_state: { type: 'STRING', from: 'location.state', about: 'Region as sent' },
    location_city: { type: 'STRING', from: 'location.city', about: 'City as sent' },
    duration_ms: {
      type: 'INT64',
      from: 'duration',
      about: 'How long an open lasted, milliseconds',
    },
    url: { type: 'STRING', about: 'Link that was clicked' },
    link_id: { type: 'STRING', from: 'linkId', about: 'Place of the link in the email' },
    referer: { type: 'STRING', about: 'Referer of the click' },
    subject: { type: 'STRING', about: 'Subject of a SENT or DROPPED' },
    from_address: { type: 'STRING', from: 'from', about: 'Sender of a SENT or DROPPED' },
    drop_reason: { type: 'STRING', from: 'dropReason', about: 'Why the email was never sent' },
    drop_message: { type: 'STRING', from: 'dropMessage', about: 'The same in words' },
    bounce_category: { type: 'STRING', from: 'category', about: 'Category of a BOUNCE, as sent' },
    smtp_status: { type: 'STRING', from: 'status', about: 'SMTP status of a BOUNCE' },
    smtp_response: {
      type: 'STRING',
      from: 'response',
      personal: true,
      about: "The receiving server's words; they often repeat the address",
    },
    attempt: { type: 'INT64', about: 'Which delivery attempt was DEFERRED' },
    status_source: { type: 'STRING', from: 'source', about: 'What changed a subscription' },
    requested_by: {
      type: 'STRING',
      from: 'requestedBy',
      personal: true,
      about: 'Who asked for the change of subscription',
    },
    portal_subscription_status: {
      type: 'STRING',
      from: 'portalSubscriptionStatus',
      about: 'Subscription to all email after a STATUSCHANGE',
    },
    subscriptions: { type: 'STRING', about: 'Subscriptions that changed, JSON' },
    suppressed_reason: {
      type: 'STRING',
      from: 'suppressedReason',
      about: 'Why a SUPPRESSED email was held back',
    },
    send_id: {
      type: 'STRING',
      // Only a change of subscription names its send by causedBy; an UNBOUNCE's is a BOUNCE.
      sql: "CASE WHEN type = 'SENT' THEN id WHEN sent_by_id IS NOT NULL THEN sent_by_id WHEN type = 'STATUSCHANGE' THEN caused_by_id END",
      about: 'Id of the SENT this event belongs to',
    },
    send_created_at: {
      type: 'TIMESTAMP',
      sql: "CASE WHEN type = 'SENT' THEN created_at WHEN sent_by_id IS NOT NULL THEN sent_by_created_at WHEN type = 'STATUSCHANGE' THEN caused_by_created_at END",
      about: 'Time of the SENT this event belongs to',
    },
    counts_on: {
      type: 'DATE',
      sql: "to_date(CASE WHEN type = 'SENT' THEN created_at WHEN sent_by_id IS NOT NULL THEN coalesce(sent_by_created_at, created_at) WHEN type = 'STATUSCHANGE' THEN coalesce(caused_by_created_at, created_at) ELSE created_at END)",
      about: "Day the event counts on: its send's; its own when it names no send",
    },
    operating_system: {
      type: 'STRING',
      // iPadOS and iOS agents also say Mac OS X, Android agents also say Linux: order matters.
      sql: "CASE WHEN user_agent IS NULL THEN NULL WHEN user_agent RLIKE '(?i)iphone|ipod' THEN 'iOS' WHEN user_agent RLIKE '(?i)ipad' THEN 'iPadOS' WHEN user_agent RLIKE '(?i)android' THEN 'Android' WHEN user_agent RLIKE '(?i)windows' THEN 'Windows' WHEN user_agent RLIKE '(?i)cros' THEN 'ChromeOS' WHEN user_agent RLIKE '(?i)mac ?os|macintosh' THEN 'macOS' WHEN user_agent RLIKE '(?i)linux|x11' THEN 'Linux' END",
      about: 'Operating system named by the user agent',
    },
    is_preference_link: {
      type: 'BOOL',
      // HubSpot's unsubscribe and preference pages; its own click counts leave them out.
      sql: "CASE WHEN url IS NOT NULL THEN split(url, '[?#]')[0] RLIKE '(?i)/(hs/manage-preferences|hs/preferences-center|hs/manage-subscription|_hcms/preferences|email-unsubscribe|unsubscribe|manage-preferences|email-preferences|preference-cent(er|re)|subscription-preferences)' END",
      about: 'The link leads to an unsubscribe or preference page',
    },
  },
});
