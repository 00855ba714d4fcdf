/** Which object versions the Delete rules of a bucket's lifecycle remove. */
import type { LifecycleRule, ObjectRecord } from './resource.ts';

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

export interface LifecycleVerdict {
  readonly remove: boolean;
  readonly skipped: readonly string[];
}

/** `newer` is the number of newer versions of the same object. */
export function lifecycleVerdict(
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
