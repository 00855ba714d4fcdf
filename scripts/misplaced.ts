/** Uploaded files that name no source and still lie in the inbox. */
import { type MisplacedFile, place, readJson } from '../functions/manifest.ts';
import type { Target } from './target.ts';

/** So many notes are looked at, the newest. */
const LOOKED_AT = 100;

export interface Misplaced {
  /** Its place in the inbox bucket. */
  readonly file: string;
  readonly arrived_at: string;
  /** What is wrong with its place, and where it belongs. */
  readonly reason: string;
}

/** Newest first; notes of files that were put right or removed say nothing any more. */
export async function misplacedFiles({
  world: { objects },
  config: {
    buckets: { control, inbox },
  },
}: Pick<Target, 'world' | 'config'>): Promise<readonly Misplaced[]> {
  const notes = await objects.list(control, place.misplacedUnder);
  const newest = [...notes].sort((a, b) => b.updated - a.updated).slice(0, LOOKED_AT);
  const found = await Promise.all(
    newest.map(async ({ name }): Promise<Misplaced | null> => {
      const note = await readJson<MisplacedFile>(objects, control, name);
      if (note === null) return null;
      const { file, generation, arrived_at, reason } = note.value;
      const there = await objects.stat(inbox, file);
      return there?.generation === generation ? { file, arrived_at, reason } : null;
    }),
  );
  return found.filter((one) => one !== null);
}
