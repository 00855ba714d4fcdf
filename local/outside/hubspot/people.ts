import { hash } from '../random.ts';

/** A contact as `/crm/v3/objects/contacts` shows it; times are ms. */
export interface Contact {
  readonly id: string;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly archived: boolean;
  readonly archivedAt?: number;
  readonly properties: Readonly<Record<string, string | null>>;
}

/** Contacts over time: who exists, and with which values, at an instant. */
export interface ContactSource {
  readonly size: number;
  /** Undefined: not created yet, merged into another one, or deleted for privacy. */
  at(index: number, now: number): Contact | undefined;
  /** All instants at which anything changes, in any order. */
  changes(): Iterable<number>;
}

export interface Country {
  readonly code: string;
  readonly name: string;
  /** As people and HubSpot's geolocation write it: names and codes, upper and lower, odd ones. */
  readonly spellings: readonly string[];
  readonly weight: number;
}

export const COUNTRIES: readonly Country[] = [
  {
    code: 'US',
    name: 'United States',
    spellings: ['UNITED STATES', 'United States', 'US', 'us', 'USA'],
    weight: 32,
  },
  { code: 'DE', name: 'Germany', spellings: ['GERMANY', 'Germany', 'DE', 'de'], weight: 16 },
  { code: 'FR', name: 'France', spellings: ['FRANCE', 'France', 'FR', 'fr'], weight: 12 },
  {
    code: 'GB',
    name: 'United Kingdom',
    spellings: ['UNITED KINGDOM', 'United Kingdom', 'GB', 'gb', 'UK'],
    weight: 12,
  },
  { code: 'IN', name: 'India', spellings: ['INDIA', 'India', 'IN'], weight: 10 },
  { code: 'BR', name: 'Brazil', spellings: ['BRAZIL', 'Brazil', 'BR', 'br'], weight: 8 },
  {
    code: 'NL',
    name: 'Netherlands',
    spellings: ['NETHERLANDS', 'Netherlands', 'NL', 'nl'],
    weight: 6,
  },
  { code: 'PT', name: 'Portugal', spellings: ['PORTUGAL', 'Portugal', 'PT', 'pt'], weight: 3 },
  { code: 'ZZ', name: 'Unknown', spellings: ['ATLANTIS', '', 'xx-9'], weight: 1 },
];

/** Recipient domains and the part each plays in the account. */
export const DOMAINS = [
  { name: 'freemail.example', weight: 45, role: 'plain' },
  { name: 'applecloud.example', weight: 18, role: 'machine_opens' },
  { name: 'office-mail.example', weight: 17, role: 'plain' },
  { name: 'bankhaus.example', weight: 8, role: 'link_scanner' },
  { name: 'university.example', weight: 7, role: 'plain' },
  { name: 'oldmail.example', weight: 5, role: 'bounce_wave' },
] as const;
export type Domain = (typeof DOMAINS)[number];

const FIRST = [
  'Ana',
  'Ben',
  'Chloé',
  'Dev',
  'Elif',
  'Finn',
  'Grace',
  'Hugo',
  'Ivy',
  'João',
  'Kai',
  'Lena',
  'Mia',
  'Noor',
  'Omar',
  'Zoë',
];
const LAST = [
  'Almeida',
  'Becker',
  'Costa',
  'Dubois',
  'Evans',
  'Fischer',
  'García',
  'Haas',
  'Iyer',
  'Jansen',
  'Kaur',
  "O'Neil",
  'Müller',
  'Novak',
  'Rossi',
  'Wang',
];
const STAGES = ['subscriber', 'lead', 'marketingqualifiedlead', 'opportunity', 'customer'];
const DAY = 86_400_000;

/** What becomes of one contact; at most one thing, so that facts stay countable. */
export type Fate =
  | { readonly kind: 'stays' }
  | { readonly kind: 'archived' | 'privacy_deleted'; readonly at: number }
  | { readonly kind: 'merged'; readonly at: number; readonly into: number };

export interface People extends ContactSource {
  /** The address an email to this contact went to at that instant. */
  addressAt(index: number, at: number): string;
  country(index: number): Country;
  domain(index: number): Domain;
  fate(index: number): Fate;
  id(index: number): string;
}

/**
 * The seeded account's contacts. `history` ms before `until` is the account's oldest send; all of
 * the first `mailed` contacts exist by then, later ones join while the campaigns run.
 */
export function seededPeople(options: {
  readonly seed: number;
  readonly until: number;
  readonly historyMs: number;
  readonly size: number;
  readonly mailed: number;
}): People {
  const { seed, until, historyMs, size, mailed } = options;
  const weighted = <T extends { readonly weight: number }>(all: readonly T[], h: number): T => {
    let at = h % 100_000;
    for (const one of all) {
      at -= one.weight * 1_000;
      if (at < 0) return one;
    }
    return all[0] as T;
  };
  // Ids cross from eight to nine digits, so that comparing them as text goes wrong visibly.
  const id = (i: number): string => String(99_999_000 + i * 7);
  const domain = (i: number): Domain => weighted(DOMAINS, hash(seed, i, 11));
  const country = (i: number): Country => weighted(COUNTRIES, hash(seed, i, 12));
  const moment = (i: number, salt: number): number =>
    until - historyMs + (hash(seed, i, salt) % (historyMs + 3 * DAY));
  const fate = (i: number): Fate => {
    if (i % 200 === 7 && i + 1 < size) return { kind: 'merged', at: moment(i, 21), into: i + 1 };
    if (i % 100 === 13) return { kind: 'archived', at: moment(i, 22) };
    if (i % 200 === 29) return { kind: 'privacy_deleted', at: moment(i, 23) };
    return { kind: 'stays' };
  };
  const created = (i: number): number =>
    i < mailed
      ? until - historyMs - DAY - (hash(seed, i, 31) % (700 * DAY))
      : moment(i, 32) - 3 * DAY;
  const edited = (i: number): number | undefined =>
    hash(seed, i, 41) % 5 === 0 ? moment(i, 42) : undefined;
  const movedAt = (i: number): number | undefined => (i % 50 === 3 ? moment(i, 43) : undefined);
  const first = (i: number): string => FIRST[hash(seed, i, 51) % FIRST.length] as string;
  const last = (i: number): string => LAST[hash(seed, i, 52) % LAST.length] as string;
  const plain = (text: string): string =>
    text
      .normalize('NFD')
      .replace(/[^A-Za-z]/g, '')
      .toLowerCase();
  const address = (i: number): string =>
    `${plain(first(i))}.${plain(last(i))}.${i}@${domain(i).name}`;
  const newAddress = (i: number): string => `${plain(last(i))}.${i}@${domain(i).name}`;
  const addressAt = (i: number, at: number): string => {
    const moved = movedAt(i);
    return moved !== undefined && at >= moved ? newAddress(i) : address(i);
  };
  const survivorOf = (i: number): Extract<Fate, { kind: 'merged' }> | undefined => {
    const before = i > 0 ? fate(i - 1) : undefined;
    return before?.kind === 'merged' ? before : undefined;
  };
  const instants = (i: number): readonly number[] => {
    const f = fate(i);
    const all = [
      created(i),
      edited(i),
      movedAt(i),
      f.kind === 'stays' ? undefined : f.at,
      survivorOf(i)?.at,
    ];
    return all.filter((one) => one !== undefined);
  };

  return {
    size,
    id,
    domain,
    country,
    fate,
    addressAt,
    *changes() {
      for (let i = 0; i < size; i++) yield* instants(i);
    },
    at(i, now) {
      const f = fate(i);
      const gone = f.kind !== 'stays' && f.at <= now;
      if (created(i) > now || (gone && f.kind !== 'archived')) return undefined;
      const updatedAt = Math.max(...instants(i).filter((one) => one <= now));
      const merged = survivorOf(i);
      const further: string[] = [];
      if (addressAt(i, now) !== address(i)) further.push(address(i));
      // A family or a shared mailbox: the address of one contact is a further address of another.
      if (i % 150 === 40 && i + 2 < size) further.push(addressAt(i + 2, 0));
      const mergedNow = merged !== undefined && merged.at <= now;
      if (mergedNow) further.push(addressAt(i - 1, merged.at));
      const spellings = country(i).spellings;
      return {
        id: id(i),
        createdAt: created(i),
        updatedAt,
        archived: gone,
        ...(gone ? { archivedAt: f.at } : {}),
        properties: {
          email: addressAt(i, now),
          firstname: first(i),
          lastname: last(i),
          country: spellings[hash(seed, i, 61) % spellings.length] as string,
          lifecyclestage: STAGES[
            (hash(seed, i, 62) + ((edited(i) ?? Infinity) <= now ? 1 : 0)) % STAGES.length
          ] as string,
          hs_additional_emails: further.length > 0 ? further.join(';') : null,
          hs_merged_object_ids: mergedNow ? id(i - 1) : null,
          hs_object_id: id(i),
          createdate: new Date(created(i)).toISOString(),
          lastmodifieddate: new Date(updatedAt).toISOString(),
        },
      };
    },
  };
}
