/**
 * Keys known from full listings, kept in the control bucket: what was known and is in no list any
 * more has been deleted for privacy, which HubSpot tells in no other way to a puller.
 *
 *   keys/<domain>/<source>/full/<instant>.gz               all keys of the full listing begun then
 *   keys/<domain>/<source>/seen/<instant>/<part>.gz        a part of a full listing under way
 *   keys/<domain>/<source>/changed/<instant>-<part>.gz     keys met between full listings
 *
 * Each object is created once. A full listing compares with the newest earlier one, and that one
 * stays until the listing after it is complete: whatever stops midway compares the same again.
 */
import { createHash } from 'node:crypto';
import { gunzipSync, gzipSync } from 'node:zlib';
import { Transient } from '../errors.ts';
import type { Window } from '../window.ts';
import type { World } from '../world.ts';

export interface KnownKeys {
  /** Remembers keys met by this window; has to be durable before the window shrinks past them. */
  remember(window: Window, keys: readonly string[]): Promise<void>;
  /** Ends a full listing: which earlier known keys did it not meet? */
  missing(window: Window): Promise<readonly string[]>;
}

/** Full listings kept beside the newest: the bases of those that may be repeated. */
const KEEP = 2;

export function knownKeys(
  world: Pick<World, 'objects'>,
  of: { readonly controlBucket: string; readonly domain: string; readonly source: string },
): KnownKeys {
  const { objects } = world;
  const bucket = of.controlBucket;
  const folder = `keys/${of.domain}/${of.source}`;

  const create = async (name: string, keys: readonly string[]): Promise<void> => {
    const bytes = gzipSync(Buffer.from([...new Set(keys)].join('\n')), { level: 1 });
    // Refused = the same keys are there already, for the name says what they are keys of.
    await objects.write(bucket, name, bytes, {
      ifGeneration: '0',
      contentType: 'application/gzip',
    });
  };
  const readInto = async (set: Set<string>, name: string): Promise<void> => {
    const found = await objects.read(bucket, name);
    if (found === null) {
      throw new Transient({
        code: 'keys_vanished',
        message: `gs://${bucket}/${name} was listed and is gone`,
      });
    }
    for (const key of gunzipSync(found.bytes).toString().split('\n')) if (key !== '') set.add(key);
  };
  const under = async (prefix: string): Promise<readonly string[]> =>
    (await objects.list(bucket, prefix)).map((object) => object.name);

  return {
    async remember(window, keys) {
      if (keys.length === 0) return;
      const part = createHash('sha256').update(keys.join('\n')).digest('hex').slice(0, 16);
      const place =
        window.pass === 'full' ? `seen/${instant(window.to)}/` : `changed/${instant(window.to)}-`;
      await create(`${folder}/${place}${part}.gz`, keys);
    },

    async missing(window) {
      const now = instant(window.to);
      const seen = new Set<string>();
      const parts = await under(`${folder}/seen/${now}/`);
      for (const name of parts) await readInto(seen, name);
      const instantOf = (name: string): string =>
        name.slice(name.lastIndexOf('/') + 1).slice(0, now.length);
      const fulls = (await under(`${folder}/full/`)).filter((name) => instantOf(name) < now);
      const base = fulls.at(-1);
      const changed = (await under(`${folder}/changed/`)).filter((name) => instantOf(name) <= now);
      // What was met before the base began is in it, or its comparison has named it missing.
      const later = changed.filter(
        (name) => base === undefined || instantOf(name) > instantOf(base),
      );
      const known = new Set<string>();
      if (base !== undefined) await readInto(known, base);
      for (const name of later) await readInto(known, name);
      const missing = [...known].filter((key) => !seen.has(key)).sort();
      await create(`${folder}/full/${now}.gz`, [...seen]);
      await forget({ fulls, changed, instantOf });
      return missing;
    },
  };

  /** Removes what no comparison needs any more, not even one that is repeated. */
  async function forget(of: {
    readonly fulls: readonly string[];
    readonly changed: readonly string[];
    readonly instantOf: (name: string) => string;
  }): Promise<void> {
    const oldest = of.fulls.at(-KEEP);
    if (oldest === undefined) return;
    const limit = of.instantOf(oldest);
    const seen = await under(`${folder}/seen/`);
    const names = [
      ...of.fulls.filter((name) => of.instantOf(name) < limit),
      ...of.changed.filter((name) => of.instantOf(name) < limit),
      ...seen.filter((name) => (name.split('/').at(-2) ?? '') < limit),
    ];
    for (const name of names) {
      const there = await objects.stat(bucket, name);
      if (there !== null) await objects.remove(bucket, name, { ifGeneration: there.generation });
    }
  }
}

/** 17 digits that sort as instants do. */
const instant = (iso: string): string => iso.replace(/[^0-9]/g, '');
