/** world.Objects over the local Storage's own state machine, every page of a listing a call. */
import type { Objects, StoredObject } from '../../functions/world.ts';
import { MemoryBlobs } from '../../local/storage/blobs.ts';
import { StorageError } from '../../local/storage/errors.ts';
import type { ObjectResource } from '../../local/storage/resource.ts';
import { StorageState } from '../../local/storage/state.ts';
import type { Process, Simulation } from './simulation.ts';

/** Told of every change, after it. */
export interface Watcher {
  written(object: StoredObject, bytes: Buffer, replaced: StoredObject | null): void;
  removed(object: StoredObject): void;
}

export class Buckets {
  readonly state: StorageState;
  /** Called when notifications are owed. */
  owed: () => void = () => undefined;
  readonly #simulation: Simulation;
  readonly #watcher: Watcher;
  /** Objects a page of a listing holds; the service's is a thousand. */
  readonly #page: number;

  constructor(
    simulation: Simulation,
    options: {
      readonly names: readonly string[];
      readonly watcher: Watcher;
      readonly page: number;
    },
  ) {
    const clock = { now: () => simulation.now };
    this.state = new StorageState({
      clock,
      blobs: new MemoryBlobs(clock),
      onOwed: () => this.owed(),
    });
    for (const name of options.names) this.state.buckets.declare({ name });
    this.#simulation = simulation;
    this.#watcher = options.watcher;
    this.#page = options.page;
  }

  /** Without any call: what is there at this instant. */
  look(bucket: string, prefix: string): readonly StoredObject[] {
    const found: StoredObject[] = [];
    let pageToken: string | undefined;
    do {
      const page = this.state.objects.list(bucket, {
        prefix,
        ...(pageToken === undefined ? {} : { pageToken }),
      });
      found.push(...page.items.map(stored));
      pageToken = page.nextPageToken;
    } while (pageToken !== undefined);
    return found;
  }

  stat(bucket: string, name: string): StoredObject | null {
    try {
      return stored(this.state.objects.get(bucket, name));
    } catch (error) {
      return absent(error);
    }
  }

  async bytes(bucket: string, name: string): Promise<Buffer | null> {
    try {
      return (await this.state.objects.read(bucket, name)).bytes;
    } catch (error) {
      return absent(error);
    }
  }

  async json<T>(bucket: string, name: string): Promise<T | null> {
    const bytes = await this.bytes(bucket, name);
    return bytes === null ? null : (JSON.parse(bytes.toString()) as T);
  }

  objects(process: Process): Objects {
    const simulation = this.#simulation;
    const call = <T>(
      verb: string,
      what: string,
      effect: () => T | Promise<T>,
      repeat?: (first: T) => T | Promise<T>,
    ): Promise<T> => simulation.call(process, 'storage', verb, what, effect, repeat);
    return {
      read: (bucket, name) =>
        call('read', name, async () => {
          try {
            const { resource, bytes } = await this.state.objects.read(bucket, name);
            return { bytes, object: stored(resource) };
          } catch (error) {
            return absent(error);
          }
        }),
      stat: (bucket, name) => call('stat', name, () => this.stat(bucket, name)),
      stream: (bucket, name, generation) =>
        call('stream', name, async () => {
          if (this.stat(bucket, name)?.generation !== generation) return null;
          const { bytes } = await this.state.objects.read(bucket, name);
          return (async function* () {
            yield bytes;
          })();
        }),
      copy: (from, to) =>
        call('copy', to.name, async () => {
          if (this.stat(to.bucket, to.name) !== null) return { outcome: 'refused' as const };
          const { bytes } = await this.state.objects.read(from.bucket, from.name);
          const resource = await this.state.objects.write(to.bucket, to.name, bytes, {
            preconditions: { ifGenerationMatch: to.ifGeneration },
          });
          const object = stored(resource);
          this.#watcher.written(object, bytes, null);
          return {
            outcome: 'written' as const,
            generation: object.generation,
            crc32c: object.crc32c,
          };
        }),
      write: (bucket, name, bytes, { ifGeneration, contentType }) =>
        call(
          'write',
          name,
          async () => {
            const replaced = this.stat(bucket, name);
            try {
              const resource = await this.state.objects.write(bucket, name, bytes, {
                fields: { contentType },
                preconditions: { ifGenerationMatch: ifGeneration },
              });
              const object = stored(resource);
              this.#watcher.written(object, bytes, replaced);
              return {
                outcome: 'written' as const,
                generation: object.generation,
                crc32c: object.crc32c,
              };
            } catch (error) {
              if (error instanceof StorageError && error.status === 412) {
                return { outcome: 'refused' as const };
              }
              throw error;
            }
          },
          // The client knows its own write again, unless somebody has written over it meanwhile.
          (first) =>
            first.outcome === 'written' && this.stat(bucket, name)?.generation !== first.generation
              ? { outcome: 'refused' as const }
              : first,
        ),
      remove: (bucket, name, { ifGeneration }) =>
        call(
          'remove',
          name,
          () => {
            const there = this.stat(bucket, name);
            try {
              this.state.objects.delete(bucket, name, {
                preconditions: { ifGenerationMatch: ifGeneration },
              });
            } catch (error) {
              if (error instanceof StorageError && [404, 412].includes(error.status)) return 'gone';
              throw error;
            }
            if (there !== null) this.#watcher.removed(there);
            return 'removed';
          },
          () => (this.stat(bucket, name) === null ? 'removed' : 'gone'),
        ),
      list: async (bucket, prefix, { startAt, limit = Number.POSITIVE_INFINITY } = {}) => {
        const found: StoredObject[] = [];
        let pageToken: string | undefined;
        do {
          const page = await call('list', prefix, () =>
            this.state.objects.list(bucket, {
              prefix,
              maxResults: Math.min(this.#page, limit - found.length),
              ...(startAt === undefined ? {} : { startOffset: startAt }),
              ...(pageToken === undefined ? {} : { pageToken }),
            }),
          );
          found.push(...page.items.map(stored));
          pageToken = page.nextPageToken;
        } while (pageToken !== undefined && found.length < limit);
        return found;
      },
    };
  }
}

function absent(error: unknown): null {
  if (error instanceof StorageError && error.status === 404) return null;
  throw error;
}

const stored = (resource: ObjectResource): StoredObject => ({
  bucket: resource.bucket,
  name: resource.name,
  generation: resource.generation,
  size: Number(resource.size),
  crc32c: resource.crc32c ?? '',
  updated: Date.parse(resource.updated),
});
