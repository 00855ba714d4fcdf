import type { List } from '../../contract.ts';

/**
 * HubSpot derives the category of a bounce from the server's answer. Hard = HubSpot sends to this
 * address no more; soft = it may pass. A category that is not listed counts as soft and is
 * reported (check `unknown_bounce_category`).
 */
export const bounce_categories: List = {
  about: "HubSpot knowledge base, 'Email bounce types' (reasons of hard and of soft bounces)",
  columns: ['bounce_category', 'bounce_type'],
  rows: [
    ['UNKNOWN_USER', 'hard'],
    ['CONTENT', 'hard'],
    ['SPAM', 'hard'],
    ['POLICY', 'hard'],
    ['OTHER', 'hard'],
    ['MAILBOX_FULL', 'soft'],
    ['MAILBOX_MISCONFIGURATION', 'soft'],
    ['ISP_MISCONFIGURATION', 'soft'],
    ['SENDING_DOMAIN_MISCONFIGURATION', 'soft'],
    ['THROTTLED', 'soft'],
    ['GREYLISTING', 'soft'],
    ['TEMPORARY_PROBLEM', 'soft'],
    ['TIMEOUT', 'soft'],
    ['DNS_FAILURE', 'soft'],
    ['FILTERED', 'soft'],
    ['IP_REPUTATION', 'soft'],
    ['DOMAIN_REPUTATION', 'soft'],
    ['DMARC', 'soft'],
    ['UNCATEGORIZED', 'soft'],
  ],
};
