/** Downloads: ranges, checksums in headers, and decompression of gzip objects for plain readers. */
import { once } from 'node:events';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import type { Content } from './blobs.ts';
import { StorageError } from './errors.ts';
import { type Exchange, readOptions } from './request.ts';
import type { ObjectResource } from './resource.ts';

const BLOCK = 1 << 20;

interface Range {
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
}

/** Undefined = the whole object. A header that is not one byte range is ignored, as HTTP says. */
function byteRange(header: string | undefined, size: number): Range | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header?.trim() ?? '');
  if (!match || (match[1] === '' && match[2] === '')) return undefined;
  const [, first = '', last = ''] = match;
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === '' || last === '' ? size : Math.min(size, Number(last) + 1);
  if (start >= size || end <= start) {
    throw new StorageError(416, 'requestedRangeNotSatisfiable', 'Request range not satisfiable');
  }
  return { start, end };
}

/** Header values are Latin-1 on the wire; UTF-8 bytes pass through it unharmed. */
const headerText = (text: string): string => Buffer.from(text).toString('latin1');

function headers(resource: ObjectResource): Record<string, string> {
  const hashes = [
    ...(resource.crc32c === undefined ? [] : [`crc32c=${resource.crc32c}`]),
    ...(resource.md5Hash === undefined ? [] : [`md5=${resource.md5Hash}`]),
  ];
  return {
    'accept-ranges': 'bytes',
    'content-type': headerText(resource.contentType ?? 'application/octet-stream'),
    'cache-control': headerText(resource.cacheControl ?? 'private, max-age=0'),
    ...(resource.contentDisposition
      ? { 'content-disposition': headerText(resource.contentDisposition) }
      : {}),
    ...(resource.contentLanguage
      ? { 'content-language': headerText(resource.contentLanguage) }
      : {}),
    etag: resource.etag,
    'last-modified': new Date(resource.updated).toUTCString(),
    'x-goog-generation': resource.generation,
    'x-goog-metageneration': resource.metageneration,
    'x-goog-hash': hashes.join(','),
    'x-goog-storage-class': resource.storageClass,
    'x-goog-stored-content-encoding': resource.contentEncoding ?? 'identity',
    'x-goog-stored-content-length': resource.size,
  };
}

async function* blocks(content: Content, { start, end }: Range): AsyncGenerator<Buffer> {
  for (let at = start; at < end; at += BLOCK) yield content.read(at, Math.min(end, at + BLOCK));
}

export async function download(exchange: Exchange, bucket: string, name: string): Promise<void> {
  const { request, response, state, query } = exchange;
  const { resource, content } = state.objects.open(bucket, name, readOptions(query));
  try {
    const gzip = resource.contentEncoding === 'gzip';
    const accepts = /\bgzip\b/.test(String(request.headers['accept-encoding'] ?? ''));
    const transform = !/\bno-transform\b/.test(resource.cacheControl ?? '');
    if (gzip && !accepts && transform) {
      // The size of the plain text is not known beforehand, so there are no ranges either.
      response.writeHead(200, { ...headers(resource), warning: '214 UploadServer gunzipped' });
      if (request.method === 'HEAD') response.end();
      else {
        const whole = { start: 0, end: content.size };
        await pipeline(blocks(content, whole), createGunzip(), response);
      }
      return;
    }
    const range = byteRange(request.headers.range, content.size);
    const { start, end } = range ?? { start: 0, end: content.size };
    response.writeHead(range ? 206 : 200, {
      ...headers(resource),
      ...(resource.contentEncoding
        ? { 'content-encoding': headerText(resource.contentEncoding) }
        : {}),
      'content-length': end - start,
      ...(range ? { 'content-range': `bytes ${start}-${end - 1}/${content.size}` } : {}),
    });
    if (request.method === 'HEAD') {
      response.end();
      return;
    }
    for await (const block of blocks(content, { start, end })) {
      if (response.destroyed) return;
      if (!response.write(block)) {
        await Promise.race([once(response, 'drain'), once(response, 'close')]);
      }
    }
    response.end();
  } finally {
    content.close();
  }
}
