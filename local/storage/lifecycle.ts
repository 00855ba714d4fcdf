/** Which object versions the Delete rules of a bucket's lifecycle remove. */
import type { Blobs } from './blobs.ts';
import type { Memory } from './memory.ts';
import type { Objects } from './objects.ts';
import type { LifecycleRule, ObjectRecord } from './resource.ts';
import type { Versions } from './versions.ts';

const DAY = 86_400_000;

type Condition = (record: ObjectRecord, value: unknown, newer: number, now: number) => boolean;

const days = (since: number, now: number): number => Math.floor((now - since) / DAY);

/** One row per condition of the API that is applied here; a rule with any other is left alone. */
const CONDITIONS: Readonly<Record<string, Condition>> = {
  age: (record, value, _newer, now) => days(record.created, now) >= Number(value),
  createdBefore: (record, value) => record.created < Date.parse(String(value)),
  isLive: (record, value) => (record.deleted === undefined) === value,
  numNewerVersions: (_record, value, newer) => newer >= Number(value),
  daysSinceNoncurrentTime: (record, value, _newer, now) =>
    record.deleted !== undefined && days(record.deleted, now) >= Number(value),
  matchesPrefix: (record, value) =>
    (value as readonly string[]).some((prefix) => record.name.startsWith(prefix)),
  matchesSuffix: (record, value) =>
    (value as readonly string[]).some((suffix) => record.name.endsWith(suffix)),
};

export interface LifecycleOutcome {
  readonly deleted: readonly string[];
  readonly skipped: readonly string[];
}

interface LifecycleParts {
  readonly memory: Memory;
  readonly blobs: Blobs;
  readonly versions: Versions;
  readonly objects: Objects;
}

/**
 * Applies the Delete rules of all buckets as of `now` (epoch ms). Returns what was deleted, as
 * `bucket/name#generation`, and the rules that were left alone because of a condition that is
 * not supported here.
 */
export function applyLifecycle(
  now: number,
  { memory, blobs, versions, objects }: LifecycleParts,
): LifecycleOutcome {
  const deleted: string[] = [];
  const skipped = new Set<string>();
  for (const [bucketName, bucket] of memory.buckets) {
    const rules = bucket.record.config.lifecycle?.rule ?? [];
    if (rules.length === 0) continue;
    const doomed: { name: string; generation: number; noncurrent: boolean }[] = [];
    const judge = (record: ObjectRecord, newer: number): void => {
      const verdict: LifecycleVerdict = lifecycleVerdict(rules, record, newer, now);
      for (const reason of verdict.skipped) skipped.add(`${bucketName}: ${reason}`);
      const { name, generation } = record;
      if (verdict.remove) {
        doomed.push({ name, generation, noncurrent: record.deleted !== undefined });
      }
    };
    for (const { name } of blobs.walk(bucketName, {
      prefix: '',
      from: '',
      folders: false,
    })) {
      const live = versions.live(bucketName, name);
      if (live) judge(live, 0);
    }
    for (const [name, archived] of bucket.archived) {
      const live = versions.live(bucketName, name) ? 1 : 0;
      for (const [i, version] of archived.entries()) judge(version, archived.length - 1 - i + live);
    }
    for (const { name, generation, noncurrent } of doomed) {
      // A live object of a versioned bucket becomes noncurrent, as in the real service.
      const preconditions = { ifGenerationMatch: generation };
      objects.delete(bucketName, name, noncurrent ? { generation } : { preconditions });
      deleted.push(`${bucketName}/${name}#${generation}`);
    }
  }
  return { deleted, skipped: [...skipped] };
}

interface LifecycleVerdict {
  readonly remove: boolean;
  readonly skipped: readonly string[];
}

/** `newer` is the number of newer versions of the same object. */
function lifecycleVerdict(
  rules: readonly LifecycleRule[],
  record: ObjectRecord,
  newer: number,
  now: number,
): LifecycleVerdict {
  const skipped: string[] = [];
  let remove = false;
  for (const { action, condition } of rules) {
    if (action.type !== 'Delete') continue;
    const entries = Object.entries(condition);
    const unknown = entries.find(([name]) => CONDITIONS[name] === undefined);
    if (unknown) {
      skipped.push(`condition ${unknown[0]} is not supported locally`);
      continue;
    }
    remove ||= entries.every(([name, value]) => CONDITIONS[name]?.(record, value, newer, now));
  }
  return { remove, skipped };
}
