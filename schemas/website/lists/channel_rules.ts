import type { List } from '../../contract.ts';

type Rows = readonly (readonly [signal: string, value: string, channel: string])[];

const rules = (signal: string, channel: string, ...values: readonly string[]): Rows =>
  values.map((value) => [signal, value, channel]);

/**
 * How a reader came, by what the event says. The first of these that says something decides:
 *
 * 1. `utm_medium`, lower case, `-` and blanks as `_`
 * 2. `utm_source`, the same way; a link with any utm but no known value is `other_campaign`
 * 3. `referrer_host`, the whole host without `www.`
 * 4. `referrer_name`, the label before the host's ending: `google` for `www.google.co.uk`
 * 5. any other host is `referral`; the page's own host, its neighbours (the same name) and those
 *    listed as `own_host` say nothing
 *
 * A session whose events say nothing is `direct`.
 */
export const channel_rules: List = {
  about: 'Names as in the default channel groups of Google Analytics 4, in snake_case',
  columns: ['signal', 'value', 'channel'],
  rows: [
    ...rules('own_host', '', 'localhost', '127.0.0.1'),
    ...rules('utm_medium', 'email', 'email', 'e_mail', 'mail', 'newsletter'),
    ...rules('utm_medium', 'paid_search', 'cpc', 'ppc', 'paid_search', 'paidsearch', 'sem'),
    ...rules('utm_medium', 'paid_social', 'paid_social', 'paidsocial', 'social_paid'),
    ...rules('utm_medium', 'organic_search', 'organic', 'search', 'seo'),
    ...rules(
      'utm_medium',
      'organic_social',
      ...['social', 'social_network', 'social_media', 'sm', 'organic_social'],
    ),
    ...rules('utm_medium', 'display', 'display', 'banner', 'cpm', 'interstitial'),
    ...rules('utm_medium', 'affiliate', 'affiliate', 'affiliates', 'partner'),
    ...rules('utm_medium', 'referral', 'referral', 'link'),
    ...rules('utm_medium', 'video', 'video'),
    ...rules('utm_medium', 'audio', 'audio', 'podcast'),
    ...rules('utm_medium', 'push', 'push', 'web_push', 'app_push', 'notification'),
    ...rules('utm_medium', 'sms', 'sms', 'whatsapp', 'text'),
    ...rules('utm_source', 'email', 'newsletter', 'email', 'mailchimp', 'hubspot'),
    ...rules(
      'utm_source',
      'organic_social',
      ...['facebook', 'instagram', 'twitter', 'x', 'linkedin', 'reddit', 'tiktok', 'pinterest'],
      ...['threads', 'mastodon', 'bluesky'],
    ),
    ...rules('utm_source', 'video', 'youtube', 'vimeo'),
    ...rules('utm_source', 'organic_search', 'google', 'bing', 'duckduckgo', 'yahoo', 'baidu'),
    ...rules(
      'referrer_host',
      'email',
      ...['mail.google.com', 'mail.yahoo.com', 'outlook.live.com', 'outlook.office.com'],
      'com.google.android.gm',
    ),
    ...rules('referrer_host', 'organic_search', 'com.google.android.googlequicksearchbox'),
    ...rules('referrer_host', 'organic_social', 't.co', 'lnkd.in', 'fb.me', 'x.com', 'bsky.app'),
    ...rules('referrer_host', 'organic_social', 'news.ycombinator.com', 'old.reddit.com'),
    ...rules('referrer_host', 'video', 'youtu.be'),
    ...rules(
      'referrer_name',
      'organic_search',
      ...['google', 'bing', 'duckduckgo', 'yahoo', 'baidu', 'yandex', 'ecosia', 'qwant'],
      ...['startpage', 'naver', 'seznam', 'brave'],
    ),
    ...rules(
      'referrer_name',
      'organic_social',
      ...['facebook', 'instagram', 'twitter', 'linkedin', 'reddit', 'tiktok', 'pinterest'],
      ...['threads', 'tumblr', 'vk', 'weibo', 'quora'],
    ),
    ...rules('referrer_name', 'video', 'youtube', 'vimeo', 'twitch', 'dailymotion'),
  ],
};
