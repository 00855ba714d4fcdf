/**
 * Cloud Storage through the official client, with our own retries: the client forgets to retry
 * once one of its calls had no precondition, and it cannot tell an upload that was refused from
 * one that worked and whose answer was lost (gcp.md, facts 6 and 7). Here it never retries by
 * itself, and every upload carries a mark by which it is recognised.
 *
 * Loaded with the first call: a function that waits for its first message should not pay for it.
 */
import { randomBytes } from 'node:crypto';
import type { CRC32C, File, FileMetadata, Storage } from '@google-cloud/storage';
import type { Objects, StoredObject } from '../world.ts';
import { isPlain } from './google_rest.ts';
import { type Refused, tryAgain } from './retry.ts';

const TIMEOUT_MS = 120_000;
const PAGE = 1000;

export interface ObjectsPlace {
  readonly project: string;
  /** Default: the public endpoint. */
  readonly endpoint?: string;
}

interface Client {
  readonly storage: Storage;
  readonly sum: () => CRC32C;
}

async function connect({ project, endpoint }: ObjectsPlace): Promise<Client> {
  const sdk = await import('./storage_sdk.ts');
  const storage = new sdk.Storage({
    projectId: project,
    retryOptions: { autoRetry: false },
    timeout: TIMEOUT_MS,
    ...(endpoint === undefined
      ? {}
      : { apiEndpoint: endpoint, useAuthWithCustomEndpoint: !isPlain(endpoint) }),
  });
  return { storage, sum: () => new sdk.CRC32C() };
}

export function storageObjects(options: ObjectsPlace): Objects {
  let connecting: Promise<Client> | undefined;
  const client = (): Promise<Client> => {
    connecting ??= connect(options);
    return connecting;
  };
  const file = async (bucket: string, name: string, generation?: string): Promise<File> => {
    const { storage } = await client();
    return storage.bucket(bucket).file(name, generation === undefined ? {} : { generation });
  };
  const metadataOf = (bucket: string, name: string): Promise<FileMetadata | null> =>
    orAbsent(async () => (await (await file(bucket, name)).getMetadata())[0]);

  const stat = (bucket: string, name: string): Promise<StoredObject | null> =>
    tryAgain(
      `stat gs://${bucket}/${name}`,
      async () => {
        const metadata = await metadataOf(bucket, name);
        return metadata === null ? null : stored(bucket, metadata);
      },
      refusal,
    );

  return {
    stat,

    read: (bucket, name) =>
      tryAgain(
        `read gs://${bucket}/${name}`,
        async () => {
          for (;;) {
            const metadata = await metadataOf(bucket, name);
            if (metadata === null) return null;
            const object = stored(bucket, metadata);
            const read = await file(bucket, name, object.generation);
            const bytes = await orAbsent(
              async () => (await read.download({ decompress: false }))[0],
            );
            // Overwritten or removed between the two calls: look again.
            if (bytes !== null) return { bytes, object };
          }
        },
        refusal,
      ),

    stream: (bucket, name, generation) =>
      tryAgain(
        `read gs://${bucket}/${name}`,
        async () => {
          const read = await file(bucket, name, generation);
          // Asked for first, so that an absence is told before anything is read.
          const there = await orAbsent(() => read.getMetadata());
          if (there === null) return null;
          return read.createReadStream({ decompress: false }) as AsyncIterable<Buffer>;
        },
        refusal,
      ),

    copy: (from, to) =>
      tryAgain(
        `copy gs://${from.bucket}/${from.name}`,
        async (tries) => {
          const target = await file(to.bucket, to.name);
          try {
            await (await file(from.bucket, from.name, from.generation)).copy(target, {
              preconditionOpts: { ifGenerationMatch: to.ifGeneration },
            });
          } catch (error) {
            // After a lost answer the copy may be ours: its content decides.
            if (statusOf(error) !== 412) throw error;
            if (tries === 0) return { outcome: 'refused' };
            const [there, source] = await Promise.all([
              metadataOf(to.bucket, to.name),
              metadataOf(from.bucket, from.name),
            ]);
            if (there === null || there.crc32c !== source?.crc32c) return { outcome: 'refused' };
          }
          const made = await metadataOf(to.bucket, to.name);
          return {
            outcome: 'written',
            generation: String(made?.generation),
            crc32c: String(made?.crc32c),
          };
        },
        refusal,
      ),

    write: async (bucket, name, bytes, { ifGeneration, contentType }) => {
      const { sum } = await client();
      const crc32c = checksum(sum(), bytes);
      const mark = randomBytes(8).toString('hex');
      return tryAgain(
        `write gs://${bucket}/${name}`,
        async (tries) => {
          const target = await file(bucket, name);
          try {
            await target.save(bytes, {
              resumable: false,
              // The server compares with the checksum that is sent, before the object exists.
              validation: false,
              metadata: { contentType, crc32c, metadata: { write: mark } },
              preconditionOpts: { ifGenerationMatch: ifGeneration },
            });
            const generation = String(target.metadata.generation);
            return { outcome: 'written', generation, crc32c };
          } catch (error) {
            if (statusOf(error) !== 412) throw error;
            if (tries === 0) return { outcome: 'refused' };
          }
          // An earlier try may have worked without our hearing of it.
          const metadata = await metadataOf(bucket, name);
          return metadata?.metadata?.['write'] === mark
            ? { outcome: 'written', generation: String(metadata.generation), crc32c }
            : { outcome: 'refused' };
        },
        refusal,
      );
    },

    remove: (bucket, name, { ifGeneration }) =>
      tryAgain(
        `remove gs://${bucket}/${name}`,
        async (tries) => {
          try {
            await (await file(bucket, name)).delete({ ifGenerationMatch: ifGeneration });
            return 'removed';
          } catch (error) {
            const status = statusOf(error);
            if (status !== 412 && !isAbsence(error)) throw error;
            return status === 404 && tries > 0 ? 'removed' : 'gone';
          }
        },
        refusal,
      ),

    list: async (bucket, prefix, { startAt, limit = Number.POSITIVE_INFINITY } = {}) => {
      const { storage } = await client();
      const found: StoredObject[] = [];
      let pageToken: string | undefined;
      do {
        const query = {
          prefix,
          autoPaginate: false,
          maxResults: Math.min(PAGE, limit - found.length),
          ...(startAt === undefined ? {} : { startOffset: startAt }),
          ...(pageToken === undefined ? {} : { pageToken }),
        };
        const [files, next] = await tryAgain(
          `list gs://${bucket}/${prefix}`,
          () => storage.bucket(bucket).getFiles(query),
          refusal,
        );
        found.push(...files.map(({ metadata }) => stored(bucket, metadata)));
        pageToken = (next as { pageToken?: string } | null)?.pageToken;
      } while (pageToken !== undefined && found.length < limit);
      return found;
    },
  };
}

function checksum(sum: CRC32C, bytes: Buffer): string {
  sum.update(bytes);
  return sum.toString();
}

const stored = (bucket: string, metadata: FileMetadata): StoredObject => ({
  bucket,
  name: String(metadata.name),
  generation: String(metadata.generation),
  size: Number(metadata.size),
  crc32c: String(metadata.crc32c),
  updated: Date.parse(String(metadata.updated)),
});

/** HTTP status of a client's error; 0 when there was no answer. */
function statusOf(error: unknown): number {
  const { code, status } = error as { code?: unknown; status?: unknown };
  const number = Number(code ?? status);
  return Number.isInteger(number) ? number : 0;
}

function refusal(error: unknown): Refused | null {
  if (error instanceof TypeError || error instanceof RangeError) return null;
  return {
    status: statusOf(error),
    message: error instanceof Error ? error.message : String(error),
  };
}

/** No such object; a missing bucket is a wrong configuration, not an absence. */
const isAbsence = (error: unknown): boolean =>
  statusOf(error) === 404 && !/bucket does not exist/i.test(String((error as Error).message));

async function orAbsent<T>(call: () => Promise<T>): Promise<T | null> {
  try {
    return await call();
  } catch (error) {
    if (isAbsence(error)) return null;
    throw error;
  }
}
