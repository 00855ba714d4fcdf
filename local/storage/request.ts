/** Reading a request of the JSON API: its query, conditions, JSON body and claimed checksums. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { invalid } from './errors.ts';
import type { WriteOptions } from './objects.ts';
import type { Preconditions } from './preconditions.ts';
import { type ObjectFields, WRITABLE_TEXT } from './resource.ts';
import type { StorageState } from './state.ts';
import type { ReadOptions } from './versions.ts';

const MAX_JSON = 10 * 1024 * 1024;

const CONDITIONS = [
  'ifGenerationMatch',
  'ifGenerationNotMatch',
  'ifMetagenerationMatch',
  'ifMetagenerationNotMatch',
] as const;

export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly query: URLSearchParams;
  readonly state: StorageState;
  /** Resolves when every change so far is on the disk: await it before answering one. */
  readonly durable: () => Promise<void>;
}

export function wholeNumber(name: string, text: string): number {
  if (!/^\d{1,16}$/.test(text)) throw invalid(`Invalid value for ${name}: ${text}`);
  return Number(text);
}

export function preconditions(query: URLSearchParams): Preconditions {
  const conditions: { -readonly [K in keyof Preconditions]: number } = {};
  for (const name of CONDITIONS) {
    const text = query.get(name);
    if (text !== null) conditions[name] = wholeNumber(name, text);
  }
  return conditions;
}

export function readOptions(query: URLSearchParams): ReadOptions {
  const generation = query.get('generation');
  return {
    ...(generation === null ? {} : { generation: wholeNumber('generation', generation) }),
    preconditions: preconditions(query),
  };
}

export async function readJson(request: IncomingMessage): Promise<Record<string, unknown>> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > MAX_JSON) throw invalid('The request body is too large.');
    parts.push(part);
  }
  return parseJson(Buffer.concat(parts));
}

export function parseJson(bytes: Buffer): Record<string, unknown> {
  if (bytes.length === 0) return {};
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString());
  } catch {
    throw invalid('Parse Error: the body is not JSON.');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid('Parse Error: the body is not a JSON object.');
  }
  return value as Record<string, unknown>;
}

/** The writable fields of an object resource. */
export function objectFields(body: Readonly<Record<string, unknown>>): ObjectFields {
  const fields: Record<string, unknown> = {};
  for (const key of WRITABLE_TEXT) if (typeof body[key] === 'string') fields[key] = body[key];
  const { metadata } = body;
  if (typeof metadata === 'object' && metadata !== null) {
    const texts = Object.entries(metadata).filter(([, value]) => value !== null);
    const pairs = texts.map(([key, value]) => [key, String(value)]);
    if (pairs.length > 0) fields['metadata'] = Object.fromEntries(pairs);
  }
  return fields as ObjectFields;
}

/** `crc32c` and `md5Hash` of the metadata, and those of `x-goog-hash: crc32c=..,md5=..`. */
export function claimedChecksums(
  body: Readonly<Record<string, unknown>>,
  header: string | readonly string[] | undefined,
): NonNullable<WriteOptions['claimed']> {
  const claimed: { crc32c?: string; md5?: string } = {};
  if (typeof body['crc32c'] === 'string') claimed.crc32c = body['crc32c'];
  if (typeof body['md5Hash'] === 'string') claimed.md5 = body['md5Hash'];
  for (const pair of String(header ?? '').split(',')) {
    const split = pair.indexOf('=');
    const kind = pair.slice(0, split).trim();
    if (kind === 'crc32c' || kind === 'md5') claimed[kind] = pair.slice(split + 1).trim();
  }
  return claimed;
}

export function answer(response: ServerResponse, status: number, body?: unknown): void {
  if (body === undefined) {
    response.writeHead(status, { 'content-length': 0 }).end();
    return;
  }
  const bytes = Buffer.from(JSON.stringify(body));
  response
    .writeHead(status, {
      'content-type': 'application/json; charset=UTF-8',
      'content-length': bytes.length,
    })
    .end(bytes);
}
