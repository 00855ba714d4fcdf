/**
 * Keys of a table as they were met, in the control bucket: what was met and is there no more has
 * been deleted. Nothing holds more than one part in memory, however large the table.
 *
 *   keys/<domain>/<source>/seen/<instant>/<hash>.gz        keys met by the full compare of then
 *   keys/<domain>/<source>/full/<instant>                  that full compare met all there were
 *   keys/<domain>/<source>/changed/<instant>-<hash>.gz     keys met by other windows, read then, or
 *                                                         left for the next compare by the one of then
 *   keys/<domain>/<source>/horizon/<instant>.json          postgres_horizon.ts
 *
 * A part is lines of a key's columns in COPY's text format, named for its content. Parts are cut
 * where a key's own hash says so: a stretch of the table in which no key came or went is the same
 * part in every full compare, and needs no further look.
 */
import { createHash } from 'node:crypto';
import { gunzipSync, gzipSync } from 'node:zlib';
import { Transient } from '../errors.ts';
import type { World } from '../world.ts';

export interface TableKeys {
  /** Has to be done before the window shrinks past these keys. `instant` of a full compare = its window's end. */
  remember(of: { readonly full: boolean; readonly instant: string }, keys: Buffer): Promise<void>;
  /** The full compare has met every key there is. */
  complete(instant: string): Promise<void>;
  /** Parts of earlier keys that this full compare has not met as they were, in a fixed order. */
  toCheck(instant: string): Promise<readonly string[]>;
  /** The keys of a part: lines. */
  read(part: string): Promise<Buffer>;
  /** Removes what no comparison needs any more, not even one that is repeated. */
  forget(instant: string): Promise<void>;
}

/** Full compares kept beside the newest: the bases of those that may be repeated. */
const KEEP = 2;

export function tableKeys(
  world: Pick<World, 'objects'>,
  of: { readonly controlBucket: string; readonly domain: string; readonly source: string },
): TableKeys {
  const { objects } = world;
  const bucket = of.controlBucket;
  const folder = `keys/${of.domain}/${of.source}`;
  const under = async (place: string): Promise<readonly string[]> =>
    (await objects.list(bucket, `${folder}/${place}`)).map(({ name }) => name);
  const create = async (name: string, bytes: Buffer): Promise<void> => {
    // Refused = the same is there already, for the name says what it is.
    await objects.write(bucket, `${folder}/${name}`, bytes, {
      ifGeneration: '0',
      contentType: 'application/gzip',
    });
  };
  const digitsIn = (name: string): string => /\/(\d{17})\b/.exec(name)?.[1] ?? '';
  const contentOf = (name: string): string => name.slice(-'0123456789abcdef.gz'.length);

  return {
    async remember({ full, instant }, keys) {
      if (keys.length === 0) return;
      const content = createHash('sha256').update(keys).digest('hex').slice(0, 16);
      const place = full ? `seen/${digits(instant)}/` : `changed/${digits(instant)}-`;
      await create(`${place}${content}.gz`, gzipSync(keys, { level: 1 }));
    },

    async complete(instant) {
      await create(`full/${digits(instant)}`, Buffer.alloc(0));
    },

    async toCheck(instant) {
      const now = digits(instant);
      const fulls = (await under('full/')).map(digitsIn).filter((at) => at < now);
      const base = fulls.at(-1) ?? '';
      const seen = await under('seen/');
      const met = new Set(seen.filter((name) => digitsIn(name) === now).map(contentOf));
      const earlier = seen.filter((name) => {
        const at = digitsIn(name);
        return at >= base && at < now && !met.has(contentOf(name));
      });
      // What others met before the base began, the base has checked; what they have met since this
      // compare began, the next one checks.
      const changed = (await under('changed/')).filter((name) => {
        const at = digitsIn(name);
        return at >= base && at < now;
      });
      return [...changed, ...earlier].sort();
    },

    async read(part) {
      const found = await objects.read(bucket, part);
      if (found === null) {
        throw new Transient({
          code: 'keys_vanished',
          message: `gs://${bucket}/${part} was listed and is gone`,
        });
      }
      return gunzipSync(found.bytes);
    },

    async forget(instant) {
      const now = digits(instant);
      const fulls = (await under('full/')).filter((name) => digitsIn(name) <= now);
      const oldest = fulls.at(-1 - KEEP);
      if (oldest === undefined) return;
      const limit = digitsIn(oldest);
      const names = [fulls, await under('seen/'), await under('changed/')].flat();
      for (const name of names.filter((one) => digitsIn(one) < limit)) {
        const there = await objects.stat(bucket, name);
        if (there !== null) await objects.remove(bucket, name, { ifGeneration: there.generation });
      }
    },
  };
}

/** 17 digits that sort as instants do. */
export const digits = (iso: string): string => iso.replace(/[^0-9]/g, '');
