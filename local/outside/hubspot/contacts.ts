import type { Answer } from '../http/answer.ts';
import { invalid, json, notFound } from './answer.ts';
import type { Contact, ContactSource } from './people.ts';

const LIST_MAX = 100;
const SEARCH_MAX = 200;
const SEARCH_WINDOW = 10_000;
const BATCH_MAX = 100;
const DEFAULT_PROPERTIES = [
  'createdate',
  'email',
  'firstname',
  'hs_object_id',
  'lastmodifieddate',
  'lastname',
];

/** A change made through the control endpoint. */
export type ContactChange =
  | { readonly kind: 'upsert'; readonly contact: Contact }
  | { readonly kind: 'archive' | 'privacy_delete'; readonly id: string }
  | { readonly kind: 'merge'; readonly id: string; readonly into: string };

interface Filter {
  readonly propertyName: string;
  readonly operator: string;
  readonly value?: string | number;
  readonly highValue?: string | number;
  readonly values?: readonly (string | number)[];
}

/** `/crm/v3/objects/contacts`: list, search, batch read, with their limits. */
export class Contacts {
  readonly #source: ContactSource;
  readonly #searchLagMs: number;
  readonly #instants: Float64Array;
  #changes: { readonly at: number; readonly change: ContactChange }[] = [];
  #cache = new Map<string, readonly Contact[]>();

  /** The search index shows what was true `searchLagMs` ago. */
  constructor(source: ContactSource, searchLagMs: number) {
    this.#source = source;
    this.#searchLagMs = searchLagMs;
    this.#instants = Float64Array.from(source.changes()).sort();
  }

  change(change: ContactChange, now: number): void {
    this.#changes.push({ at: now, change });
  }

  /** Contacts that exist at `now`, archived ones included, by id. */
  all(now: number): readonly Contact[] {
    const epoch = `${countUpTo(this.#instants, now)}.${this.#changes.filter((one) => one.at <= now).length}`;
    const cached = this.#cache.get(epoch);
    if (cached !== undefined) return cached;
    const byId = new Map<string, Contact>();
    for (let i = 0; i < this.#source.size; i++) {
      const contact = this.#source.at(i, now);
      if (contact !== undefined) byId.set(contact.id, contact);
    }
    for (const { at, change } of this.#changes) if (at <= now) apply(byId, change, at);
    const all = [...byId.values()].sort(byNumber);
    if (this.#cache.size >= 2) this.#cache.delete(this.#cache.keys().next().value as string);
    this.#cache.set(epoch, all);
    return all;
  }

  list(params: URLSearchParams, now: number): Answer {
    const limit = Number(params.get('limit') ?? 10);
    if (!(limit >= 1 && limit <= LIST_MAX))
      return invalid(`Invalid limit: the maximum is ${LIST_MAX}`);
    const archived = params.get('archived') === 'true';
    const after = params.get('after');
    if (after !== null && !/^\d+$/.test(after)) return invalid(`Invalid after: ${after}`);
    const rest = this.all(now).filter(
      (one) => one.archived === archived && (after === null || BigInt(one.id) >= BigInt(after)),
    );
    const results = rest.slice(0, limit);
    const next = rest[limit];
    return json({
      results: results.map((one) => shown(one, propertiesOf(params))),
      ...(next === undefined
        ? {}
        : { paging: { next: { after: next.id, link: `?after=${next.id}` } } }),
    });
  }

  search(body: Readonly<Record<string, unknown>>, now: number): Answer {
    const limit = Number(body['limit'] ?? 10);
    const after = Number(body['after'] ?? 0);
    if (!(limit >= 1 && limit <= SEARCH_MAX)) return invalid(`limit must be at most ${SEARCH_MAX}`);
    if (!(after >= 0 && Number.isInteger(after))) return invalid('after must be a whole number');
    if (after + limit > SEARCH_WINDOW) {
      return invalid(`Paging through search results cannot go beyond ${SEARCH_WINDOW} results.`);
    }
    const groups = (body['filterGroups'] ?? []) as readonly {
      readonly filters?: readonly Filter[];
    }[];
    if (groups.length > 5) return invalid('at most 5 filterGroups');
    const filters = groups.flatMap((group) => group.filters ?? []);
    const bad = filters.find((one) => !(one.operator in OPERATORS));
    if (bad !== undefined) return invalid(`unknown operator ${bad.operator}`);
    const sorts = (body['sorts'] ?? []) as readonly (
      | string
      | { readonly propertyName: string; readonly direction?: string }
    )[];
    if (sorts.length > 1) return invalid('only one sort is allowed');
    const found = this.all(now - this.#searchLagMs).filter(
      (one) =>
        !one.archived &&
        (groups.length === 0 ||
          groups.some((group) =>
            (group.filters ?? []).every((filter) =>
              holds(filter, one.properties[filter.propertyName] ?? null),
            ),
          )),
    );
    const sort = sorts[0];
    if (sort !== undefined) {
      const name = typeof sort === 'string' ? sort.replace(/^-/, '') : sort.propertyName;
      const down =
        typeof sort === 'string' ? sort.startsWith('-') : sort.direction === 'DESCENDING';
      found.sort(
        (a, b) => (down ? -1 : 1) * compare(a.properties[name] ?? null, b.properties[name] ?? null),
      );
    }
    const end = after + limit;
    return json({
      total: found.length,
      results: found
        .slice(after, end)
        .map((one) => shown(one, body['properties'] as readonly string[] | undefined)),
      // Also beyond the window: whoever follows this link then meets the refusal.
      ...(end < found.length
        ? { paging: { next: { after: String(end), link: `?after=${end}` } } }
        : {}),
    });
  }

  batchRead(body: Readonly<Record<string, unknown>>, params: URLSearchParams, now: number): Answer {
    const inputs = (body['inputs'] ?? []) as readonly { readonly id: string }[];
    if (inputs.length > BATCH_MAX) return invalid(`at most ${BATCH_MAX} ids`);
    const archived = params.get('archived') === 'true';
    const wanted = new Set(inputs.map((one) => String(one.id)));
    const found = this.all(now).filter((one) => wanted.has(one.id) && one.archived === archived);
    const missing = wanted.size - found.length;
    const results = found.map((one) =>
      shown(one, body['properties'] as readonly string[] | undefined),
    );
    return json(
      {
        status: 'COMPLETE',
        results,
        ...(missing > 0
          ? {
              numErrors: 1,
              errors: [
                {
                  status: 'error',
                  category: 'OBJECT_NOT_FOUND',
                  message: 'Could not get some CONTACT objects',
                  context: { ids: [...wanted].filter((id) => !found.some((one) => one.id === id)) },
                },
              ],
            }
          : {}),
      },
      missing > 0 ? 207 : 200,
    );
  }

  one(id: string, params: URLSearchParams, now: number): Answer {
    // A merged contact's id leads to the contact it was merged into.
    const contact = this.all(now).find(
      (one) =>
        one.id === id || (one.properties['hs_merged_object_ids'] ?? '').split(';').includes(id),
    );
    const fits = contact !== undefined && contact.archived === (params.get('archived') === 'true');
    return fits
      ? json(shown(contact, propertiesOf(params)))
      : notFound(`contact ${id} does not exist`);
  }
}

const byNumber = (a: Contact, b: Contact): number => (BigInt(a.id) < BigInt(b.id) ? -1 : 1);

function apply(byId: Map<string, Contact>, change: ContactChange, at: number): void {
  if (change.kind === 'upsert') {
    const properties = { ...byId.get(change.contact.id)?.properties, ...change.contact.properties };
    byId.set(change.contact.id, touched({ ...change.contact, properties }, at));
    return;
  }
  const before = byId.get(change.id);
  if (before === undefined) return;
  if (change.kind === 'archive')
    byId.set(change.id, { ...touched(before, at), archived: true, archivedAt: at });
  else byId.delete(change.id);
  const survivor = change.kind === 'merge' ? byId.get(change.into) : undefined;
  if (survivor === undefined) return;
  const joined = (name: string, value: string | null | undefined): string =>
    [survivor.properties[name], value]
      .filter((one) => one !== null && one !== undefined && one !== '')
      .join(';');
  byId.set(
    survivor.id,
    touched(
      {
        ...survivor,
        properties: {
          ...survivor.properties,
          hs_merged_object_ids: joined('hs_merged_object_ids', before.id),
          hs_additional_emails: joined('hs_additional_emails', before.properties['email']),
        },
      },
      at,
    ),
  );
}

function touched(contact: Contact, at: number): Contact {
  return {
    ...contact,
    updatedAt: at,
    properties: {
      ...contact.properties,
      hs_object_id: contact.id,
      lastmodifieddate: new Date(at).toISOString(),
    },
  };
}

function propertiesOf(params: URLSearchParams): readonly string[] | undefined {
  const all = params.getAll('properties').flatMap((one) => one.split(','));
  return all.length === 0 ? undefined : all;
}

function shown(contact: Contact, wanted: readonly string[] | undefined): unknown {
  const names = new Set([
    ...(wanted ?? DEFAULT_PROPERTIES),
    'createdate',
    'hs_object_id',
    'lastmodifieddate',
  ]);
  return {
    id: contact.id,
    properties: Object.fromEntries(
      [...names].sort().map((name) => [name, contact.properties[name] ?? null]),
    ),
    createdAt: new Date(contact.createdAt).toISOString(),
    updatedAt: new Date(contact.updatedAt).toISOString(),
    archived: contact.archived,
    ...(contact.archivedAt === undefined
      ? {}
      : { archivedAt: new Date(contact.archivedAt).toISOString() }),
  };
}

/** Numbers and times compare as numbers, all else as text without regard to case. */
function ordered(value: string | number): number | string {
  if (typeof value === 'number') return value;
  if (/^-?\d+(\.\d+)?$/.test(value)) return Number(value);
  if (/^\d{4}-\d\d-\d\dT/.test(value)) return Date.parse(value);
  return value.toLowerCase();
}

function compare(a: string | number | null, b: string | number | null): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? -1 : 1;
  const x = ordered(a);
  const y = ordered(b);
  return x < y ? -1 : x > y ? 1 : 0;
}

const OPERATORS: Readonly<Record<string, (value: string, filter: Filter) => boolean>> = {
  EQ: (value, filter) => compare(value, filter.value ?? null) === 0,
  NEQ: (value, filter) => compare(value, filter.value ?? null) !== 0,
  LT: (value, filter) => compare(value, filter.value ?? null) < 0,
  LTE: (value, filter) => compare(value, filter.value ?? null) <= 0,
  GT: (value, filter) => compare(value, filter.value ?? null) > 0,
  GTE: (value, filter) => compare(value, filter.value ?? null) >= 0,
  BETWEEN: (value, filter) =>
    compare(value, filter.value ?? null) >= 0 && compare(value, filter.highValue ?? null) <= 0,
  IN: (value, filter) => (filter.values ?? []).some((one) => compare(value, one) === 0),
  NOT_IN: (value, filter) => !(filter.values ?? []).some((one) => compare(value, one) === 0),
  HAS_PROPERTY: () => true,
  NOT_HAS_PROPERTY: () => false,
  CONTAINS_TOKEN: (value, filter) =>
    value.toLowerCase().includes(String(filter.value).replaceAll('*', '').toLowerCase()),
};

function holds(filter: Filter, value: string | null): boolean {
  if (value === null || value === '') return filter.operator === 'NOT_HAS_PROPERTY';
  return (OPERATORS[filter.operator] as (value: string, filter: Filter) => boolean)(value, filter);
}

function countUpTo(sorted: Float64Array, at: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] as number) <= at) low = middle + 1;
    else high = middle;
  }
  return low;
}
