/**
 * HubSpot's objects around the events: campaigns with counters, marketing emails, contacts, owners.
 * A `full` window lists everything; between them `changed` windows read what HubSpot can name as
 * changed (hubspot.md 1.5).
 */
import type { HubspotObjectsArrival } from '../../schemas/contract.ts';
import { catalog } from '../../schemas/rendered/catalog.ts';
import { ask, endpoints, type HubspotAnswer } from '../clients/hubspot.ts';
import {
  type ContactFilter,
  contactsThatExist,
  listContacts,
  listMarketingEmails,
  listOwners,
  type ObjectPage,
  searchContacts,
  shapeChanged,
} from '../clients/hubspot_objects.ts';
import { classified, Transient } from '../errors.ts';
import type { Window } from '../window.ts';
import { knownKeys } from './known_keys.ts';
import type { Page, ReadContext, Reader } from './reader.ts';

type Context = ReadContext<HubspotObjectsArrival>;

/** Largest pages HubSpot gives. */
const CONTACTS = 100;
const FOUND_CONTACTS = 200;
const OWNERS = 500;
const EMAILS = 100;
const CAMPAIGN_IDS = 500;
const BATCH = 100;

/** Campaigns asked for at once; each is one request. */
const CAMPAIGNS_AT_ONCE = 8;

/** Pages of contacts between two points at which the listing can be resumed. */
const PAGES_PER_STEP = 20;

/** HubSpot's search index lags behind its writes; a window ends this long ago, and begins earlier. */
const SETTLE_MS = 60_000;
const OVERLAP_MS = 5 * 60_000;

export const hubspotObjects: Reader<HubspotObjectsArrival> = {
  parallel: 2,

  plan(checkpoint, now, arrival) {
    const windows: Window[] = [];
    const edges: Record<string, string> = {};
    const full = checkpoint.edges['full'];
    const due =
      full === undefined || now - Date.parse(full) >= arrival.full_every_hours * 3_600_000;
    if (due) {
      windows.push({ pass: 'full', from: full ?? iso(0), to: iso(now) });
      edges['full'] = iso(now);
    }
    if (arrival.object === 'owners') return { windows, edges };
    const changed = checkpoint.edges['changed'];
    const to = now - SETTLE_MS;
    // The first full listing holds whatever changed before it.
    if (changed === undefined) edges['changed'] = iso(to);
    else if (to > Date.parse(changed)) {
      windows.push({ pass: 'changed', from: changed, to: iso(to) });
      edges['changed'] = iso(to);
    }
    return { windows, edges };
  },

  range(from, to, pass) {
    return [{ pass, from: iso(Date.parse(from)), to: iso(Date.parse(to)) }];
  },

  pages(window, context) {
    const full = window.pass === 'full';
    switch (context.arrival.object) {
      case 'owners':
        return listing(window, context, (access, options) =>
          listOwners(access, { ...options, limit: OWNERS }),
        );
      case 'marketing_emails': {
        const updatedAfter = full ? null : iso(Date.parse(window.from) - OVERLAP_MS);
        return listing(window, context, (access, options) =>
          listMarketingEmails(access, { ...options, limit: EMAILS, updatedAfter }),
        );
      }
      case 'contacts':
        return full ? allContacts(window, context) : changedContacts(window, context);
      case 'email_campaigns':
        return campaigns(window, context);
    }
  },
};

const iso = (ms: number): string => new Date(ms).toISOString();

/** Where a listing stands: the active objects first, then the archived ones. */
interface Position {
  readonly archived: boolean;
  readonly after: string | null;
}

const BEGIN: Position = { archived: false, after: null };

function positionOf(window: Window): Position {
  if (window.cursor === undefined) return BEGIN;
  const [list = '', after = ''] = window.cursor.split(/:(.*)/s);
  return { archived: list === 'archived', after: after === '' ? null : after };
}

function next(position: Position, page: ObjectPage, window: Window): Position | null {
  if (page.after !== null) {
    if (page.after === position.after) {
      throw new Transient({
        code: 'hubspot_no_progress',
        message: `the listing of ${window.pass} gives the cursor ${page.after} again`,
      });
    }
    return { archived: position.archived, after: page.after };
  }
  return position.archived ? null : { archived: true, after: null };
}

const at = (window: Window, position: Position): Window => ({
  ...window,
  cursor: `${position.archived ? 'archived' : 'active'}:${position.after ?? ''}`,
});

const pageOf = (answer: HubspotAnswer, request: string, records: number): Page => ({
  payload: answer.body,
  askedAt: answer.askedAt,
  records,
  meta: { request, status: answer.status },
});

/** Active and archived objects, page by page. */
async function* listing(
  window: Window,
  context: Context,
  list: (context: Context, options: Position) => Promise<ObjectPage>,
): AsyncGenerator<Page> {
  for (let position: Position | null = positionOf(window); position !== null; ) {
    const page: ObjectPage = await list(context, position);
    position = next(position, page, window);
    yield {
      ...pageOf(page.answer, page.request, page.results.length),
      remaining: position === null ? null : at(window, position),
    };
  }
}

/** Every contact; what was known and is in neither list is gone for good, and said so. */
async function* allContacts(window: Window, context: Context): AsyncGenerator<Page> {
  const keys = knownKeys(context.world, context);
  const properties = propertiesOf(context);
  let met: string[] = [];
  let pages = 0;
  for (let position: Position | null = positionOf(window); position !== null; ) {
    const { archived, after }: Position = position;
    const page = await listContacts(context, { limit: CONTACTS, after, archived, properties });
    met.push(...keysIn(page));
    position = next(position, page, window);
    pages += 1;
    const one = pageOf(page.answer, page.request, page.results.length);
    if (position !== null && pages % PAGES_PER_STEP !== 0) {
      yield one;
      continue;
    }
    await keys.remember(window, met);
    met = [];
    if (position !== null) yield { ...one, remaining: at(window, position) };
    else yield one;
  }
  const missing = await keys.missing(window);
  const gone: string[] = [];
  for (let i = 0; i < missing.length; i += BATCH) {
    const ids = missing.slice(i, i + BATCH);
    // One that came back from the archive between the two lists is in neither of them.
    const exist = await contactsThatExist(context, ids);
    gone.push(...ids.filter((id) => !exist.has(id)));
  }
  yield { ...tombstones(gone, window), remaining: null };
}

/** A merged contact is not absent: the survivor names it. */
function keysIn(page: ObjectPage): readonly string[] {
  return page.results.flatMap((contact) => {
    const merged = contact.properties?.['hs_merged_object_ids'] ?? '';
    return [contact.id, ...merged.split(';').filter((id) => id !== '')];
  });
}

/** Deletions seen by absence, in the form of a listing's page (docs/decisions, number 6). */
function tombstones(ids: readonly string[], window: Window): Page {
  const results = ids.map((id) => ({
    id,
    properties: { hs_object_id: id, lastmodifieddate: window.to },
    updatedAt: window.to,
    archived: true,
    archivedAt: window.to,
    privacyDeleted: true,
  }));
  return {
    payload: Buffer.from(JSON.stringify({ results })),
    records: results.length,
    meta: { observed: 'absent_from_full_listing' },
  };
}

/**
 * Contacts changed within the window, by `lastmodifieddate`. Each page begins where the last one
 * ended, at its last millisecond again, instead of paging by number: a search ends at 10,000
 * results, and a contact that changes meanwhile would move all others past the next page.
 */
async function* changedContacts(window: Window, context: Context): AsyncGenerator<Page> {
  const keys = knownKeys(context.world, context);
  const properties = propertiesOf(context);
  const end = String(Date.parse(window.to));
  const [since, drained = ''] = (window.cursor ?? '').split('/');
  let from =
    since === undefined || since === '' ? Date.parse(window.from) - OVERLAP_MS : Number(since);
  /** Within one millisecond that holds more than a page: the last id, else empty. */
  let lastId = drained;
  for (;;) {
    const inside = lastId !== '';
    const filters: readonly ContactFilter[] = inside
      ? [filter('lastmodifieddate', 'EQ', String(from)), filter('hs_object_id', 'GT', lastId)]
      : [filter('lastmodifieddate', 'GTE', String(from)), filter('lastmodifieddate', 'LT', end)];
    const sort = inside ? 'hs_object_id' : 'lastmodifieddate';
    const page = await searchContacts(context, {
      filters,
      sort,
      limit: FOUND_CONTACTS,
      properties,
    });
    await keys.remember(window, keysIn(page));
    const whole = page.results.length === FOUND_CONTACTS;
    const last = page.results.at(-1);
    const one = pageOf(page.answer, page.request, page.results.length);
    if (!whole || last === undefined) {
      if (!inside) {
        yield { ...one, remaining: null };
        return;
      }
      lastId = '';
      from += 1;
    } else if (inside) {
      lastId = last.id;
    } else {
      const reached = Date.parse(last.properties?.['lastmodifieddate'] ?? '');
      if (!(reached >= from)) {
        throw new Transient({
          code: 'hubspot_shape',
          message: `contact ${last.id} came with lastmodifieddate "${last.properties?.['lastmodifieddate']}" in a search from ${iso(from)} on`,
        });
      }
      // All of one millisecond: go through it by id, from its beginning.
      if (reached === from) lastId = '0';
      from = reached;
    }
    yield { ...one, remaining: { ...window, cursor: `${from}/${lastId}` } };
  }
}

const filter = (
  propertyName: ContactFilter['propertyName'],
  operator: ContactFilter['operator'],
  value: string,
): ContactFilter => ({ propertyName, operator, value });

/** What the contract's columns read, what it asks for beside that, and what this reader needs. */
function propertiesOf(context: Context): readonly string[] {
  const contract = catalog.sources[`${context.domain}.${context.source}`];
  const paths = Object.values(contract?.columns ?? {}).map((column) => column.from ?? '');
  const read = paths
    .filter((path) => path.startsWith('properties.'))
    .map((path) => path.slice('properties.'.length));
  const needed = ['email', 'hs_additional_emails', 'hs_merged_object_ids', 'lastmodifieddate'];
  return [...new Set([...needed, ...read, ...(context.arrival.properties ?? [])])].sort();
}

/** Campaigns with their counters: ids from a list, each asked for by itself. */
async function* campaigns(window: Window, context: Context): AsyncGenerator<Page> {
  const ids = await campaignIds(window, context);
  const rest = ids.filter(
    (id) => window.cursor === undefined || Number(id) > Number(window.cursor),
  );
  for (let i = 0; i < rest.length; i += CAMPAIGNS_AT_ONCE) {
    const some = rest.slice(i, i + CAMPAIGNS_AT_ONCE);
    const answers = await Promise.all(some.map((id) => campaign(id, context)));
    const last = i + CAMPAIGNS_AT_ONCE >= rest.length;
    const found = answers.filter((answer) => answer !== null);
    for (const [n, { answer, target }] of found.entries()) {
      const page = pageOf(answer, target, 1);
      if (n < found.length - 1 || last) yield page;
      else yield { ...page, remaining: { ...window, cursor: some.at(-1) as string } };
    }
  }
  yield { payload: Buffer.alloc(0), records: 0, meta: {}, remaining: null };
}

async function campaign(
  id: string,
  context: Context,
): Promise<{ readonly answer: HubspotAnswer; readonly target: string } | null> {
  const target = `${endpoints.campaign.path}${id}`;
  try {
    return { answer: await ask(context, { method: 'GET', target }), target };
  } catch (error) {
    // Deleted between the list and this request.
    if (classified(error).code === 'hubspot_not_found') return null;
    throw error;
  }
}

/** Ids in ascending order: all of them, or those of campaigns with activity since the window began. */
async function campaignIds(window: Window, context: Context): Promise<readonly string[]> {
  const recent = window.pass !== 'full';
  const { path } = recent ? endpoints.recentCampaigns : endpoints.campaignIds;
  const since = Date.parse(window.from) - OVERLAP_MS;
  const ids = new Set<string>();
  const offsets = new Set<string>();
  for (let offset: string | null = null; ; ) {
    const params = new URLSearchParams({
      limit: String(CAMPAIGN_IDS),
      ...(offset === null ? {} : { offset }),
    });
    const { envelope } = await ask(context, { method: 'GET', target: `${path}?${params}` });
    const found = envelope['campaigns'] as readonly {
      readonly id: number | string;
      readonly lastUpdatedTime?: number;
    }[];
    if (!Array.isArray(found)) throw shapeChanged(path, 'campaigns', envelope);
    let older = false;
    for (const one of found) {
      if (recent && one.lastUpdatedTime !== undefined && one.lastUpdatedTime < since) older = true;
      else ids.add(String(one.id));
    }
    const given = envelope['offset'];
    // Newest activity first: after the first older one only older ones follow.
    if (envelope['hasMore'] !== true || older || typeof given !== 'string') break;
    if (offsets.has(given)) {
      throw new Transient({
        code: 'hubspot_no_progress',
        message: `${path} gives an offset for the second time`,
      });
    }
    offsets.add(given);
    offset = given;
  }
  return [...ids].sort((a, b) => Number(a) - Number(b));
}
