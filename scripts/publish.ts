/** Publishes the lines of a file to a topic, one message a line, with flow control. */
import { createReadStream } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, InvalidArgumentError } from 'commander';
import { catalog } from '../schemas/rendered/catalog.ts';
import { Failure } from './failure.ts';
import { duration, say } from './progress.ts';
import {
  localEndpoints,
  openTarget,
  type Target,
  type TargetOptions,
  withTarget,
} from './target.ts';

/** Messages and bytes on their way at once: enough for full requests, little to hold. */
const MOST_OUTSTANDING = 8_000;
const MOST_OUTSTANDING_BYTES = 32 << 20;

/** A message may have 10 MB (cloud.google.com/pubsub/quotas); a line beyond that is not even held. */
const MOST_MESSAGE_BYTES = 10_000_000;

/** Lines that are named; of the others only the number is said. */
const MOST_NAMED = 10;

/** gRPC's codes for what concerns the topic, not the message. */
const NOT_FOUND = 5;
const PERMISSION_DENIED = 7;
const UNAUTHENTICATED = 16;

export interface PublishRequest {
  /** Short name of a topic, or a source that arrives on one. */
  readonly topic: string;
  readonly input: AsyncIterable<Buffer>;
  /** Messages per second; default: as fast as they are taken. */
  readonly rate?: number;
  /** Put on every message. */
  readonly attributes?: Readonly<Record<string, string>>;
  /** Called now and then with how many are published. */
  readonly progress?: (published: number) => void;
}

/** Where to publish. */
export interface PublishTarget {
  readonly projectId: string;
  /** `host:port` of another server than Google's. */
  readonly apiEndpoint?: string;
}

/** A line and what is wrong with it. */
export interface NamedLine {
  /** From 1. */
  readonly line: number;
  readonly reason: string;
}

export interface Published {
  readonly topic: string;
  /** Messages that Pub/Sub has durably. */
  readonly published: number;
  readonly failed: number;
  /** The first of them. */
  readonly failures: readonly NamedLine[];
  /** Published as they are; what takes them will refuse them. */
  readonly not_json_objects: number;
  /** The first line with one of them, from 1; null = there is none. */
  readonly first_not_json_object: number | null;
  readonly seconds: number;
  readonly per_second: number;
}

/**
 * Publishes each line that is not blank, its bytes as they are.
 * @throws Failure when the topic takes nothing at all (missing, or not ours to publish to), or the
 *   input is no text
 */
export async function publish(request: PublishRequest, to: PublishTarget): Promise<Published> {
  const { attributes = {}, rate } = request;
  const topic = topicNamed(request.topic);
  // Loaded here: gRPC costs a quarter of a second that other commands do not need.
  const { PubSub } = await import('@google-cloud/pubsub');
  const client = new PubSub(to);
  const begun = Date.now();
  const failures: NamedLine[] = [];
  let published = 0;
  let failed = 0;
  let notObjects = 0;
  let firstNotObject: number | null = null;
  let fatal: Failure | null = null;
  let outstanding = 0;
  let outstandingBytes = 0;
  let wake: () => void = () => {};
  const named = (line: number, reason: string): void => {
    failed += 1;
    if (failures.length < MOST_NAMED) failures.push({ line, reason });
  };
  const isFull = (): boolean =>
    outstanding >= MOST_OUTSTANDING || outstandingBytes >= MOST_OUTSTANDING_BYTES;
  const until = async (holds: () => boolean): Promise<void> => {
    while (!holds()) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  // Found out by the first message, it would also be told to nobody, which ends the process.
  if (to.apiEndpoint === undefined) await client.auth.getClient();
  try {
    const publisher = client.topic(topic, {
      batching: { maxMessages: 1_000, maxBytes: 4_000_000, maxMilliseconds: 10 },
    });
    let told = begun;
    let sent = 0;
    for await (const { line, bytes, size } of linesOf(plain(request.input))) {
      if (fatal !== null) break;
      if (size > MOST_MESSAGE_BYTES) {
        named(line, `${size} bytes; a message has at most ${MOST_MESSAGE_BYTES}`);
        continue;
      }
      if (!isObject(bytes)) {
        notObjects += 1;
        firstNotObject ??= line;
      }
      if (rate !== undefined) await due(begun + (sent / rate) * 1_000);
      if (isFull()) await until(() => !isFull());
      sent += 1;
      outstanding += 1;
      outstandingBytes += bytes.length;
      publisher
        .publishMessage({ data: bytes, attributes: { ...attributes } })
        .then(
          () => {
            published += 1;
          },
          (error: Error & { readonly code?: number }) => {
            named(line, error.message);
            fatal ??= unusable(topic, error);
          },
        )
        .finally(() => {
          outstanding -= 1;
          outstandingBytes -= bytes.length;
          wake();
        });
      if (Date.now() - told > 5_000) {
        told = Date.now();
        request.progress?.(published);
      }
    }
    // Every message tells of its own failure.
    await publisher.flush().catch(() => {});
    await until(() => outstanding === 0);
    if (fatal !== null) throw fatal;
  } finally {
    await client.close();
  }
  const seconds = (Date.now() - begun) / 1_000;
  return {
    topic,
    published,
    failed,
    failures: failures.sort((a, b) => a.line - b.line),
    not_json_objects: notObjects,
    first_not_json_object: firstNotObject,
    seconds,
    per_second: Math.round(published / Math.max(seconds, 0.001)),
  };
}

/** A source is named for the topic it arrives on, so that nobody need look it up. */
function topicNamed(name: string): string {
  const arrives = catalog.sources[name]?.arrives;
  if (arrives === undefined) return name;
  if (arrives.kind === 'pubsub_messages') return arrives.topic;
  throw new Failure(`${name} does not arrive as messages, but as ${arrives.kind}`);
}

/** Those that sources arrive on. */
const topics = (): readonly string[] =>
  Object.values(catalog.sources).flatMap(({ arrives }) =>
    arrives.kind === 'pubsub_messages' ? [arrives.topic] : [],
  );

/** A failure that every other line would meet, too. */
function unusable(topic: string, error: Error & { readonly code?: number }): Failure | null {
  if (error.code === NOT_FOUND) {
    return new Failure(`there is no topic ${topic}; sources arrive on ${topics().join(', ')}`, {
      cause: error,
    });
  }
  if (error.code !== PERMISSION_DENIED && error.code !== UNAUTHENTICATED) return null;
  return new Failure(`nothing was published to ${topic}: ${error.message}`, { cause: error });
}

function isObject(bytes: Buffer): boolean {
  try {
    const value: unknown = JSON.parse(bytes.toString());
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

/** The input without a byte order mark. @throws Failure when it is gzipped */
async function* plain(input: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let head: Buffer | null = Buffer.alloc(0);
  for await (const piece of input) {
    if (head === null) {
      yield piece;
      continue;
    }
    head = Buffer.concat([head, piece]);
    if (head.length < MARK.length) continue;
    yield withoutMark(head);
    head = null;
  }
  if (head !== null) yield withoutMark(head);
}

function withoutMark(head: Buffer): Buffer {
  if (head[0] === 0x1f && head[1] === 0x8b) {
    throw new Failure(
      'the input is gzipped, and its lines are not: gunzip -c FILE | ./tributary publish TOPIC -',
    );
  }
  return head.subarray(0, MARK.length).equals(MARK) ? head.subarray(MARK.length) : head;
}

const MARK = Buffer.from([0xef, 0xbb, 0xbf]);

interface Line {
  /** From 1. */
  readonly line: number;
  /** Without its end; of a line that is larger than a message only a beginning. */
  readonly bytes: Buffer;
  readonly size: number;
}

/** Lines that are not blank, with their numbers. */
export async function* linesOf(input: AsyncIterable<Buffer>): AsyncGenerator<Line> {
  let line = 0;
  let begun: Buffer[] = [];
  let size = 0;
  const hold = (bytes: Buffer): void => {
    if (size <= MOST_MESSAGE_BYTES) begun.push(bytes);
    size += bytes.length;
  };
  const whole = (end: Buffer): Omit<Line, 'line'> => {
    hold(end);
    const [only = end] = begun;
    const all = begun.length === 1 ? only : Buffer.concat(begun);
    const returned = all.length === size && all.at(-1) === CARRIAGE_RETURN;
    const found = { bytes: returned ? all.subarray(0, -1) : all, size: size - Number(returned) };
    begun = [];
    size = 0;
    return found;
  };
  const isBlank = (bytes: Buffer): boolean => bytes.length < 100 && bytes.toString().trim() === '';
  for await (const piece of input) {
    let from = 0;
    for (let at = piece.indexOf(NEWLINE); at >= 0; at = piece.indexOf(NEWLINE, from)) {
      line += 1;
      const found = whole(piece.subarray(from, at));
      from = at + 1;
      if (!isBlank(found.bytes)) yield { line, ...found };
    }
    if (from < piece.length) hold(piece.subarray(from));
  }
  const rest = whole(Buffer.alloc(0));
  if (!isBlank(rest.bytes)) yield { line: line + 1, ...rest };
}

const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/** Waits for a moment, if it lies ahead far enough for a timer to hit. */
async function due(at: number): Promise<void> {
  const left = at - Date.now();
  if (left > 2) await sleep(left);
}

/** Where a command's target takes messages. */
export const publishTarget = (options: TargetOptions, { config }: Target): PublishTarget => ({
  projectId: config.project,
  ...(options.env === undefined ? { apiEndpoint: localEndpoints(options).pubsub_grpc } : {}),
});

interface PublishOptions extends TargetOptions {
  readonly rate?: number;
  readonly attribute: Readonly<Record<string, string>>;
  readonly json: boolean;
}

/** An option's number, perhaps written with separators. */
export function positive(text: string): number {
  const number = Number(text.replaceAll(/[_,]/g, ''));
  if (!(number > 0)) throw new InvalidArgumentError('It is no number above 0.');
  return number;
}

function attribute(
  text: string,
  before: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const [, name, value] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  if (name === undefined || value === undefined) {
    throw new InvalidArgumentError('It is not name=value.');
  }
  return { ...before, [name]: value };
}

/** What is said when not every line was published. */
function refusalOf({ published, failed, failures }: Published): Failure {
  const named = failures.map(({ line, reason }) => `  line ${line}: ${reason}`);
  const more = failed - failures.length;
  return new Failure(
    [
      `${failed} of ${published + failed} lines were not published:`,
      ...named,
      ...(more > 0 ? [`  and ${more} more`] : []),
      'Publishing the file again does no harm: events that come twice are one row.',
    ].join('\n'),
  );
}

export function declare(command: Command): void {
  withTarget(command)
    .argument('<topic>', `a topic, or a source that arrives on one: ${topics().join(', ')}`)
    .argument('<file>', 'NDJSON, a message a line; - = standard input')
    .option('--rate <n>', 'messages per second (default: as fast as they are taken)', positive)
    .option('--attribute <name=value>', 'put on every message; may be repeated', attribute, {})
    .option('--json', 'what became of it as JSON', false)
    .addHelpText(
      'after',
      `
Lines are published as they are; what is no JSON object is said, and ends among the rejected.

Examples:
  ./tributary publish behavior-events events.ndjson
  ./tributary publish site-events - --rate 200 < events.ndjson
  ./tributary publish website.site_events events.ndjson --attribute origin=import`,
    )
    .action(async (topic: string, file: string, options: PublishOptions) => {
      const target = await openTarget(options);
      const input: AsyncIterable<Buffer> =
        file === '-' ? process.stdin : createReadStream(file, { highWaterMark: 1 << 20 });
      const done = await publish(
        {
          topic,
          input,
          attributes: options.attribute,
          progress: (published) => say(`${published} messages published ...`),
          ...(options.rate === undefined ? {} : { rate: options.rate }),
        },
        publishTarget(options, target),
      ).catch((error: NodeJS.ErrnoException) => {
        // Only reading the file has a system call that fails.
        if (error.syscall !== 'open' && error.syscall !== 'read') throw error;
        throw new Failure(`${file} cannot be read: ${error.message}`);
      });
      if (options.json) process.stdout.write(`${JSON.stringify(done)}\n`);
      else {
        const { published, seconds, per_second } = done;
        console.log(
          `messages published to ${done.topic}: ${published} in ${duration(seconds * 1_000)}, ${per_second} a second`,
        );
      }
      if (done.not_json_objects > 0) {
        say(
          `not JSON objects: ${done.not_json_objects}, the first in line ${done.first_not_json_object}; ./tributary rejected will show them`,
        );
      }
      if (done.failed > 0) throw refusalOf(done);
    });
}
