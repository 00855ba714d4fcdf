import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { metaOf } from './email_events.ts';
import type { EventMeta, EventSource } from './event_source.ts';
import type { Contact, ContactSource } from './people.ts';

/** A line of a given file that cannot be served; says which one and why. */
class GivenDataError extends Error {
  override readonly name = 'GivenDataError';
}

const NEWLINE = 0x0a;

/** Each line with its text, from one buffer, so that large files are held once. */
function* linesOf(path: string): Iterable<{
  readonly number: number;
  readonly from: number;
  readonly to: number;
  readonly bytes: Buffer;
}> {
  const bytes = readFileSync(path);
  let number = 0;
  for (let from = 0; from < bytes.length; ) {
    const newline = bytes.indexOf(NEWLINE, from);
    const to = newline === -1 ? bytes.length : newline;
    number++;
    if (bytes.toString('utf8', from, to).trim() !== '') yield { number, from, to, bytes };
    from = to + 1;
  }
}

function parse(
  path: string,
  line: {
    readonly number: number;
    readonly from: number;
    readonly to: number;
    readonly bytes: Buffer;
  },
): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(line.bytes.toString('utf8', line.from, line.to)) as Readonly<
      Record<string, unknown>
    >;
  } catch (error) {
    throw new GivenDataError(`${path}:${line.number} is not JSON: ${(error as Error).message}`);
  }
}

/** v1 events, one a line, served byte for byte in the order of their `created`. */
export function givenEvents(path: string): EventSource {
  const all: {
    readonly created: number;
    readonly from: number;
    readonly to: number;
    readonly meta: EventMeta;
  }[] = [];
  let bytes = Buffer.alloc(0);
  for (const line of linesOf(path)) {
    const event = parse(path, line);
    const created = event['created'];
    if (typeof created !== 'number' || !Number.isSafeInteger(created)) {
      throw new GivenDataError(
        `${path}:${line.number} has no whole "created" in ms: ${JSON.stringify(created)}`,
      );
    }
    bytes = line.bytes as Buffer<ArrayBuffer>;
    all.push({ created, from: line.from, to: line.to, meta: metaOf(event) });
  }
  all.sort((a, b) => a.created - b.created || a.from - b.from);
  const at = (position: number) => all[position] as (typeof all)[number];
  return {
    size: all.length,
    created: (position) => at(position).created,
    visibleAt: (position) => at(position).created,
    meta: (position) => at(position).meta,
    text: (position) => bytes.toString('utf8', at(position).from, at(position).to).trim(),
  };
}

/** Objects of `DIR/NAME.ndjson`; no such file = none. */
export function givenObjects(
  dir: string | undefined,
  name: string,
): readonly Readonly<Record<string, unknown>>[] {
  const path = dir === undefined ? undefined : join(dir, `${name}.ndjson`);
  if (path === undefined || !existsSync(path)) return [];
  return [...linesOf(path)].map((line) => parse(path, line));
}

/** Contacts in the form of `/crm/v3/objects/contacts`; only `id` is required. */
export function givenContacts(dir: string | undefined): ContactSource {
  const contacts = givenObjects(dir, 'contacts').map((raw) => contactOf(raw));
  return {
    size: contacts.length,
    at: (index) => contacts[index],
    changes: () => [],
  };
}

/** Reads one contact as given; times are ISO, those left out are those of 1970. */
export function contactOf(raw: Readonly<Record<string, unknown>>): Contact {
  if (raw['id'] === undefined)
    throw new GivenDataError(`a contact without id: ${JSON.stringify(raw)}`);
  const time = (value: unknown): number => (typeof value === 'string' ? Date.parse(value) : 0);
  const id = String(raw['id']);
  const given = (raw['properties'] ?? {}) as Readonly<Record<string, string | null>>;
  const createdAt = time(raw['createdAt'] ?? given['createdate']);
  const updatedAt = Math.max(createdAt, time(raw['updatedAt'] ?? given['lastmodifieddate']));
  return {
    id,
    createdAt,
    updatedAt,
    archived: raw['archived'] === true,
    ...(raw['archivedAt'] === undefined ? {} : { archivedAt: time(raw['archivedAt']) }),
    properties: {
      ...given,
      hs_object_id: id,
      createdate: new Date(createdAt).toISOString(),
      lastmodifieddate: new Date(updatedAt).toISOString(),
    },
  };
}
