/** Longest pause of a schedule, so that its silence can be told from its rest. */

/** A leap year, so that every day of a month and of a week is met. */
const SPAN_DAYS = 366;
const SPAN_START = Date.UTC(2028, 0, 1);

/**
 * @param expression five fields of numbers, lists, ranges and steps (rules.ts checks them)
 * @returns minutes between two firings, at most; Infinity when it fires less than twice a year
 */
export function longestPause(expression: string): number {
  const [minutes, hours, days, months, weekdays] = expression
    .trim()
    .split(/\s+/)
    .map((field, at) => matched(field, at)) as [Field, Field, Field, Field, Field];
  let last: number | null = null;
  let longest = 0;
  let firings = 0;
  for (let day = 0; day < SPAN_DAYS; day += 1) {
    const date = new Date(SPAN_START + day * 86_400_000);
    // Cron's rule: when day of month and day of week are both restricted, either suffices.
    const inMonth = days.has(date.getUTCDate());
    const inWeek = weekdays.has(date.getUTCDay());
    const either = !days.any && !weekdays.any ? inMonth || inWeek : inMonth && inWeek;
    if (!months.has(date.getUTCMonth() + 1) || !either) continue;
    for (let minute = 0; minute < 1440; minute += 1) {
      if (!hours.has(Math.floor(minute / 60)) || !minutes.has(minute % 60)) continue;
      const now = day * 1440 + minute;
      if (last !== null) longest = Math.max(longest, now - last);
      last = now;
      firings += 1;
    }
  }
  return firings < 2 ? Number.POSITIVE_INFINITY : longest;
}

interface Field {
  readonly any: boolean;
  has(value: number): boolean;
}

const limits: readonly (readonly [number, number])[] = [
  [0, 59],
  [0, 23],
  [1, 31],
  [1, 12],
  [0, 7],
];

function matched(field: string, at: number): Field {
  const [low, high] = limits[at] ?? [0, 0];
  const values = new Set<number>();
  for (const part of field.split(',')) {
    const [range = '*', step] = part.split('/');
    const [from, to] =
      range === '*' ? [low, high] : (range.split('-').map(Number) as [number, number | undefined]);
    const end = to ?? (step === undefined ? from : high);
    for (let value = from; value <= end; value += Number(step ?? 1)) {
      // Sunday is 0 and 7.
      values.add(at === 4 ? value % 7 : value);
    }
  }
  return { any: field === '*', has: (value) => values.has(value) };
}
