import type { List } from '../../contract.ts';

/** Event types known so far; an unknown one gets a row of its own in `dim_event_type`. */
export const event_types: List = {
  about: "HubSpot's email events API (v1) and the names of its campaign counters",
  columns: ['event_type', 'label', 'stage'],
  rows: [
    ['SENT', 'Sent', 'send'],
    ['PROCESSED', 'Processed', 'send'],
    ['DROPPED', 'Dropped before sending', 'send'],
    ['MTA_DROPPED', 'Dropped by the mail server', 'send'],
    ['SUPPRESSED', 'Suppressed', 'send'],
    ['SUPPRESSION', 'Suppression', 'send'],
    ['DELIVERED', 'Delivered', 'delivery'],
    ['DEFERRED', 'Deferred', 'delivery'],
    ['BOUNCE', 'Bounced', 'negative'],
    ['UNBOUNCE', 'Bounce taken back', 'delivery'],
    ['OPEN', 'Opened', 'engagement'],
    ['CLICK', 'Clicked', 'engagement'],
    ['PRINT', 'Printed', 'engagement'],
    ['FORWARD', 'Forwarded', 'engagement'],
    ['STATUSCHANGE', 'Subscription changed', 'negative'],
    ['SPAMREPORT', 'Reported as spam', 'negative'],
    ['UNKNOWN', 'No type given', ''],
  ],
};
