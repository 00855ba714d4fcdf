/** The three ways to upload: media (bytes only), multipart (metadata, bytes), resumable. */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { DiskBlobs, StagedWriter } from './disk.ts';
import { invalid, required, StorageError } from './errors.ts';
import type { WriteOptions } from './objects.ts';
import {
  answer,
  claimedChecksums,
  type Exchange,
  objectFields,
  parseJson,
  preconditions,
  readJson,
} from './request.ts';
import type { ObjectResource } from './resource.ts';

const MAX_HEAD = 1 << 20;
const MAX_SESSIONS = 10_000;
const SESSION_MS = 24 * 3_600_000;

interface Session {
  readonly bucket: string;
  readonly name: string;
  readonly options: WriteOptions;
  writer: StagedWriter | undefined;
  done: ObjectResource | undefined;
  used: number;
  /** Requests of one session run one after another. */
  turn: Promise<void>;
}

/** Resumable sessions live in memory: a restart loses them, clients then start again. */
export class Uploads {
  readonly #blobs: DiskBlobs;
  readonly #clock: { now(): number };
  readonly #sessions = new Map<string, Session>();

  constructor(blobs: DiskBlobs, clock: { now(): number }) {
    this.#blobs = blobs;
    this.#clock = clock;
  }

  close(): void {
    const open = [...this.#sessions.values()];
    this.#sessions.clear();
    for (const session of open) session.writer?.abandon();
  }

  async handle(exchange: Exchange, bucket: string): Promise<void> {
    const { request, query } = exchange;
    const type = query.get('uploadType');
    const id = query.get('upload_id');
    if (type === 'resumable' || id !== null) {
      if (request.method === 'POST' && id === null) return this.#start(exchange, bucket);
      return this.#continue(exchange, id ?? '');
    }
    if (request.method !== 'POST') throw new StorageError(405, 'methodNotAllowed', 'Use POST.');
    if (type === 'multipart') return this.#multipart(exchange, bucket);
    if (type === 'media' || type === null) return this.#media(exchange, bucket);
    throw invalid(`Invalid upload type: ${type}`);
  }

  // --- one request

  async #media(exchange: Exchange, bucket: string): Promise<void> {
    const { request, state, query } = exchange;
    const name = nameOf(query, {});
    const contentType = request.headers['content-type'];
    const contentEncoding = query.get('contentEncoding');
    const options = {
      fields: {
        ...(contentType === undefined ? {} : { contentType }),
        ...(contentEncoding === null ? {} : { contentEncoding }),
      },
      preconditions: preconditions(query),
      claimed: claimedChecksums({}, request.headers['x-goog-hash']),
    };
    state.objects.checkWrite(bucket, name, options.preconditions);
    await this.#take(exchange, bucket, name, options, request);
  }

  async #multipart(exchange: Exchange, bucket: string): Promise<void> {
    const { request, state, query } = exchange;
    const parts = await multipart(request);
    const name = nameOf(query, parts.metadata);
    const options = writeOptions(exchange, parts.metadata, parts.contentType);
    state.objects.checkWrite(bucket, name, options.preconditions);
    await this.#take(exchange, bucket, name, options, parts.media);
  }

  async #take(
    { response, state, durable }: Exchange,
    bucket: string,
    name: string,
    options: WriteOptions,
    media: AsyncIterable<Buffer>,
  ): Promise<void> {
    const writer = this.#blobs.writer();
    try {
      for await (const part of media) writer.add(part);
    } catch (error) {
      writer.abandon();
      throw error;
    }
    const resource = state.objects.insert(bucket, name, await writer.end(), options);
    await durable();
    answer(response, 200, resource);
  }

  // --- resumable

  async #start(exchange: Exchange, bucket: string): Promise<void> {
    const { request, response, state, query } = exchange;
    const metadata = await readJson(request);
    const name = nameOf(query, metadata);
    const type = request.headers['x-upload-content-type'];
    const options = writeOptions(exchange, metadata, typeof type === 'string' ? type : undefined);
    state.objects.checkWrite(bucket, name, options.preconditions);
    this.#expire();
    if (this.#sessions.size >= MAX_SESSIONS) {
      throw new StorageError(503, 'backendError', 'Too many open resumable sessions.');
    }
    const id = randomUUID();
    this.#sessions.set(id, {
      bucket,
      name,
      options,
      writer: undefined,
      done: undefined,
      used: this.#clock.now(),
      turn: Promise.resolve(),
    });
    const path = `/upload/storage/v1/b/${encodeURIComponent(bucket)}/o`;
    const search = new URLSearchParams({ uploadType: 'resumable', name, upload_id: id });
    response
      .writeHead(200, {
        location: `${state.baseUrl}${path}?${search}`,
        'x-guploader-uploadid': id,
        'content-length': 0,
      })
      .end();
  }

  #expire(): void {
    const oldest = this.#clock.now() - SESSION_MS;
    for (const [id, session] of this.#sessions) {
      if (session.used >= oldest) continue;
      this.#sessions.delete(id);
      session.writer?.abandon();
    }
  }

  async #continue(exchange: Exchange, id: string): Promise<void> {
    const session = this.#sessions.get(id);
    if (!session) throw new StorageError(404, 'notFound', 'Invalid upload_id.');
    const before = session.turn;
    const { promise, resolve } = Promise.withResolvers<void>();
    session.turn = promise;
    await before;
    try {
      session.used = this.#clock.now();
      await this.#step(exchange, id, session);
    } finally {
      resolve();
    }
  }

  async #step(exchange: Exchange, id: string, session: Session): Promise<void> {
    const { request, response, state, durable } = exchange;
    if (request.method === 'DELETE') {
      this.#sessions.delete(id);
      session.writer?.abandon();
      answer(response, 499);
      return;
    }
    if (session.done) {
      request.resume();
      answer(response, 200, session.done);
      return;
    }
    session.writer ??= this.#blobs.writer();
    const { writer } = session;
    const range = contentRange(request.headers['content-range']);
    if (range.start !== undefined) {
      if (range.start > writer.size) {
        request.resume();
        throw new StorageError(
          503,
          'backendError',
          `Bytes up to ${writer.size} were received, but the request starts at ${range.start}.`,
        );
      }
      // A client that did not hear our answer sends bytes again that we have.
      let skip = writer.size - range.start;
      for await (const part of request as AsyncIterable<Buffer>) {
        if (skip < part.length) writer.add(part.subarray(skip));
        skip = Math.max(0, skip - part.length);
      }
    }
    const whole = range.total === undefined ? range.open : writer.size >= range.total;
    if (!whole) {
      const received = writer.size > 0 ? { range: `bytes=0-${writer.size - 1}` } : {};
      response.writeHead(308, 'Resume Incomplete', { ...received, 'content-length': 0 }).end();
      return;
    }
    if (range.total !== undefined && writer.size !== range.total) {
      throw invalid(`The upload has ${writer.size} bytes, but ${range.total} were announced.`);
    }
    // The hash of the last request concerns the whole object.
    const claimed = {
      ...session.options.claimed,
      ...claimedChecksums({}, request.headers['x-goog-hash']),
    };
    try {
      const staged = await writer.end();
      session.done = state.objects.insert(session.bucket, session.name, staged, {
        ...session.options,
        claimed,
      });
    } catch (error) {
      this.#sessions.delete(id);
      throw error;
    }
    session.writer = undefined;
    await durable();
    answer(response, 200, session.done);
  }
}

function nameOf(query: URLSearchParams, metadata: Readonly<Record<string, unknown>>): string {
  const name = query.get('name') ?? metadata['name'];
  if (typeof name !== 'string' || name === '') throw required('Required parameter: name');
  return name;
}

function writeOptions(
  { request, query }: Exchange,
  metadata: Readonly<Record<string, unknown>>,
  contentType: string | undefined,
): WriteOptions {
  return {
    fields: { ...(contentType === undefined ? {} : { contentType }), ...objectFields(metadata) },
    preconditions: preconditions(query),
    claimed: claimedChecksums(metadata, request.headers['x-goog-hash']),
  };
}

interface ContentRange {
  /** Offset of the first byte of this request; undefined = it only asks how far we are. */
  readonly start: number | undefined;
  /** Size of the object where the client knows it. */
  readonly total: number | undefined;
  /** The object ends where this request ends. */
  readonly open: boolean;
}

/** Node's client sends `bytes 0-*` + `/*` (all to the end) and `bytes *` + `/*` (how far?). */
function contentRange(header: string | undefined): ContentRange {
  if (header === undefined) return { start: 0, total: undefined, open: true };
  const match = /^bytes (?:(\d+)-(\d+|\*)|\*)\/(\d+|\*)$/.exec(header);
  if (!match) throw invalid(`Failed to parse Content-Range header: ${header}`);
  const [, start, end, total] = match;
  return {
    start: start === undefined ? undefined : Number(start),
    total: total === '*' ? undefined : Number(total),
    open: end === '*' && total === '*',
  };
}

interface Multipart {
  readonly metadata: Record<string, unknown>;
  readonly contentType: string | undefined;
  readonly media: AsyncIterable<Buffer>;
}

/** Reads metadata and the second part's head; `media` then streams the rest. */
async function multipart(request: IncomingMessage): Promise<Multipart> {
  const header = request.headers['content-type'] ?? '';
  const boundary = /boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(header);
  const text = boundary?.[1] ?? boundary?.[2];
  if (text === undefined) throw invalid('The multipart body has no boundary.');
  const source = (request as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  let buffer: Buffer = Buffer.alloc(0);
  const pull = async (): Promise<boolean> => {
    const next = await source.next();
    if (next.done) return false;
    buffer = buffer.length === 0 ? next.value : Buffer.concat([buffer, next.value]);
    return true;
  };
  const until = async (mark: string): Promise<Buffer> => {
    for (;;) {
      const at = buffer.indexOf(mark);
      if (at >= 0) {
        const head = buffer.subarray(0, at);
        buffer = buffer.subarray(at + mark.length);
        return head;
      }
      if (buffer.length > MAX_HEAD || !(await pull())) {
        throw invalid('The multipart body is not metadata followed by media.');
      }
    }
  };
  await until(`--${text}`);
  await until('\r\n\r\n');
  const metadata = parseJson(await until(`\r\n--${text}`));
  const head = (await until('\r\n\r\n')).toString('latin1');
  const contentType = /^content-type:\s*(.+?)\s*$/im.exec(head)?.[1];
  const close = Buffer.from(`\r\n--${text}--`);
  // A client may end with a few more bytes after the closing mark: keep enough to see the mark.
  const tail = close.length + 4;
  async function* media(): AsyncGenerator<Buffer> {
    do {
      if (buffer.length > tail) {
        const bytes = buffer.subarray(0, buffer.length - tail);
        buffer = buffer.subarray(buffer.length - tail);
        yield bytes;
      }
    } while (await pull());
    const end = buffer.lastIndexOf(close);
    if (end < 0) throw invalid('The multipart body ends without its closing boundary.');
    yield buffer.subarray(0, end);
  }
  return { metadata, contentType, media: media() };
}
