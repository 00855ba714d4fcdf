/** The programs that people read mail with, as HubSpot reports them. */
export interface Client {
  readonly weight: number;
  readonly deviceType: string | undefined;
  readonly userAgent: string;
  readonly browser: Readonly<Record<string, unknown>> | undefined;
}

const browser = (
  name: string,
  family: string,
  producer: string,
  type: string,
  version: readonly string[],
) => ({
  name,
  family,
  producer,
  producerUrl: '',
  type,
  url: '',
  version,
});

export const CLIENTS: readonly Client[] = [
  {
    weight: 26,
    deviceType: 'COMPUTER',
    userAgent:
      'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Safari/537.36',
    browser: browser('Chrome', 'Chrome', 'Google Inc.', 'Browser', ['128']),
  },
  {
    weight: 20,
    deviceType: 'MOBILE',
    userAgent:
      'Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148',
    browser: browser('Mobile Safari', 'Mobile Safari', 'Apple Inc.', 'Mobile Browser', ['18', '1']),
  },
  {
    weight: 14,
    deviceType: 'COMPUTER',
    userAgent: 'Mozilla/5.0 (Windows NT 10.0; Win64; x64; Microsoft Outlook 16.0.17928; ms-office)',
    browser: browser('Outlook', 'Outlook', 'Microsoft Corporation.', 'Email Client', ['16']),
  },
  {
    weight: 10,
    deviceType: 'COMPUTER',
    userAgent:
      'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15',
    browser: browser('Safari', 'Safari', 'Apple Inc.', 'Browser', ['18', '0']),
  },
  {
    weight: 9,
    deviceType: 'COMPUTER',
    userAgent: 'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:130.0) Gecko/20100101 Firefox/130.0',
    browser: browser('Firefox', 'Firefox', 'Mozilla Foundation', 'Browser', ['130']),
  },
  {
    weight: 7,
    deviceType: 'MOBILE',
    userAgent:
      'Mozilla/5.0 (Linux; Android 14; SM-S921B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Mobile Safari/537.36',
    browser: browser('Chrome Mobile', 'Chrome Mobile', 'Google Inc.', 'Mobile Browser', ['126']),
  },
  {
    weight: 5,
    deviceType: 'TABLET',
    userAgent:
      'Mozilla/5.0 (iPad; CPU OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148',
    browser: browser('Mobile Safari', 'Mobile Safari', 'Apple Inc.', 'Mobile Browser', ['17', '6']),
  },
  {
    weight: 4,
    deviceType: 'COMPUTER',
    userAgent:
      'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/127.0.0.0 Safari/537.36 Edg/127.0.0.0',
    browser: browser('Edge', 'Edge', 'Microsoft Corporation.', 'Browser', []),
  },
  {
    weight: 4,
    deviceType: 'UNKNOWN',
    userAgent:
      'Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)',
    browser: browser('Gmail Image Proxy', 'Gmail Image Proxy', 'Google Inc.', 'Proxy', []),
  },
  { weight: 1, deviceType: undefined, userAgent: '', browser: undefined },
];

/** Only one campaign's readers use this one: the planted device. */
export const PLANTED_CLIENT: Client = {
  weight: 0,
  deviceType: 'MOBILE',
  userAgent:
    'Mozilla/5.0 (Linux; Android 14; SAMSUNG SM-S928B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/26.0 Chrome/122.0 Mobile Safari/537.36',
  browser: browser(
    'Samsung Internet',
    'Samsung Internet',
    'Samsung Electronics',
    'Mobile Browser',
    ['26'],
  ),
};

export const MACHINE: Client = {
  weight: 0,
  deviceType: 'UNKNOWN',
  userAgent: 'Mozilla/5.0',
  browser: undefined,
};
export const SCANNER: Client = {
  weight: 0,
  deviceType: 'COMPUTER',
  userAgent: 'Mozilla/5.0 (compatible; LinkCheck/2.1)',
  browser: browser('Link Check', 'Link Check', '', 'Robot', ['2', '1']),
};

export const LINKS = [
  'https://shop.brand.example/new?utm_source=hubspot&utm_medium=email&utm_campaign=autumn',
  'https://shop.brand.example/sale?utm_source=hubspot&utm_medium=email&utm_campaign=sale',
  'https://shop.brand.example/product/1142?ref=mail&color=bl%C3%A5',
  'https://brand.example/blog/how-we-weave',
  'https://brand.example/',
] as const;
/** HubSpot's own pages in the footer: engagement they are not. */
export const UNSUBSCRIBE_LINK =
  'https://hs-4727653.s.hubspotemail.net/hs/manage-preferences/unsubscribe-all?data=W2nXS-N30h-L';
export const PREFERENCES_LINK =
  'https://hs-4727653.s.hubspotemail.net/hs/preferences-center/en/direct?data=W2nXS-N30h-M';
