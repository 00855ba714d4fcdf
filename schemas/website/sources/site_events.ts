import { defineSource } from '../../contract.ts';

/** Spark SQL: the first of these texts that says something; `m` is the object as a map. */
const said = (...texts: readonly string[]): string =>
  `get(filter(array(${texts.join(', ')}), text -> text <> ''), 0)`;

/** Members of an object, by their spellings. Parsing it once per column is what the array is for. */
const within = (object: 'props' | 'request', text: string): string =>
  `transform(array(from_json(${object}, 'map<string,string>')), m -> ${text})[0]`;

const spelled = (...names: readonly string[]): readonly string[] =>
  names.map((name) => `trim(m['${name}'])`);

const member = (object: 'props' | 'request', ...names: readonly string[]): string =>
  within(object, said(...spelled(...names)));

const page = said(...spelled('page_url', 'pageUrl', 'url', 'page', 'location', 'href'));

/** One that may also stand as a parameter in the address of the page. */
const parameter = (name: string, other: string): string =>
  within(
    'props',
    said(
      ...spelled(name, other),
      `trim(replace(replace(regexp_extract(${page}, '[?&]${name}=([^&#]*)', 1), '+', ' '), '%20', ' '))`,
    ),
  );

// Absent and empty are the same in the hash, and no value can run into its neighbour.
const parts = ['user_id', 'event_type', 'entity_type', 'entity_id', 'session_id'];
const hashed = `sha2(concat_ws('\\u001f', ${parts.map((name) => `coalesce(${name}, '')`).join(', ')}, CAST(unix_micros(occurred_at) AS STRING)), 256)`;

/**
 * Events of the website, published to the topic or sent by HTTP. Types are open: one never seen
 * before needs no change anywhere. `props` is free; what is read from it may be spelled in several
 * ways, the first one given counts:
 *
 * - device: `device`, `device_type`, `deviceType`; browser: `browser`, `browser_name`,
 *   `browserName`; platform: `platform`, `os`, `operating_system`, `operatingSystem`
 * - page: `page_url`, `pageUrl`, `url`, `page`, `location`, `href`
 * - referrer: `referrer`, `referer`, `page_referrer`, `pageReferrer`, `document_referrer`; else
 *   `referrer` or `referer` of `request`
 * - utm: `utm_source`, `utmSource` and so on; else the parameter of that name in the page's address
 */
export const site_events = defineSource({
  about: 'What readers do on the website, one event each',
  owner: 'website editors',
  arrives: {
    kind: 'pubsub_messages',
    schedule: '* * * * *',
    topic: 'site-events',
    collect: true,
  },
  records: null,
  // An id is trusted only together with its time; without one the event's own content is its id.
  key: ['event_key', 'occurred_at'],
  version: 'observed_at',
  event_time: 'occurred_at',
  // Late events are kept however late.
  bounds: { earliest: '1990-01-01', days_ahead: 2 },
  columns: {
    event_key: {
      type: 'STRING',
      required: true,
      sql: `coalesce(nullif(trim(event_id), ''), ${hashed})`,
      about: 'event_id, else a hash of user, type, entity, session and time',
    },
    occurred_at: { type: 'TIMESTAMP', required: true, about: 'When it happened, to microseconds' },
    event_id: { type: 'STRING', about: "The sender's own id of the event, if it gives one" },
    user_id: { type: 'STRING', about: 'Reader, as the website knows them' },
    event_type: { type: 'STRING', required: true, about: 'What happened: view, like, post, ...' },
    description: { type: 'STRING', about: 'The same in words' },
    entity_type: { type: 'STRING', about: 'Kind of content it happened to' },
    entity_id: { type: 'STRING', about: 'Content it happened to' },
    session_id: { type: 'STRING', about: 'Session, if the sender keeps them' },
    // Both may hold addresses, under any name.
    props: { type: 'STRING', personal: true, about: 'Free properties, JSON' },
    request: { type: 'STRING', personal: true, about: 'The request that caused it, JSON' },
    ip_address: {
      type: 'STRING',
      personal: true,
      sql: `coalesce(${member('props', 'ip_address', 'ipAddress', 'ip')}, ${member('request', 'ip_address', 'ipAddress', 'ip')})`,
      about: 'Client address',
    },
    device: {
      type: 'STRING',
      sql: member('props', 'device', 'device_type', 'deviceType'),
      about: 'Kind of device, as sent',
    },
    browser: {
      type: 'STRING',
      sql: member('props', 'browser', 'browser_name', 'browserName'),
      about: 'Browser, as sent',
    },
    platform: {
      type: 'STRING',
      sql: member('props', 'platform', 'os', 'operating_system', 'operatingSystem'),
      about: 'Operating system or app platform, as sent',
    },
    page_url: { type: 'STRING', sql: within('props', page), about: 'Address of the page' },
    referrer: {
      type: 'STRING',
      sql: `coalesce(${member('props', 'referrer', 'referer', 'page_referrer', 'pageReferrer', 'document_referrer')}, ${member('request', 'referrer', 'referer')})`,
      about: 'Page the reader came from',
    },
    utm_source: {
      type: 'STRING',
      sql: parameter('utm_source', 'utmSource'),
      about: 'Who sent the reader, as the link says',
    },
    utm_medium: {
      type: 'STRING',
      sql: parameter('utm_medium', 'utmMedium'),
      about: 'By which means, as the link says',
    },
    utm_campaign: {
      type: 'STRING',
      sql: parameter('utm_campaign', 'utmCampaign'),
      about: 'In which campaign, as the link says',
    },
  },
});
