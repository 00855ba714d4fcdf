/** What a person sees while a command works: lines on standard error, never among the data. */

/** Says one line. */
export function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Seconds as people read them: `0.4 s`, `12 s`, `3 min 5 s`. */
export function duration(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 120) return `${whole} s`;
  return `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

/** Runs a step, says so when it takes longer than two seconds, and how long it took. */
export async function step<T>(about: string, work: () => Promise<T>): Promise<T> {
  const begun = Date.now();
  let told = false;
  const timer = setTimeout(() => {
    told = true;
    say(`${about} ...`);
  }, 2_000);
  try {
    const result = await work();
    if (told) say(`${about}: ${duration(Date.now() - begun)}`);
    return result;
  } finally {
    clearTimeout(timer);
  }
}

/** Prints rows under their column names, numbers to the right. */
export function table(lines: readonly object[]): string {
  const rows = lines as readonly Readonly<Record<string, unknown>>[];
  const [first] = rows;
  if (first === undefined) return '(nothing)';
  const names = Object.keys(first);
  const cells = rows.map((row) => names.map((name) => cell(row[name])));
  const widths = names.map((name, i) =>
    Math.max(name.length, ...cells.map((line) => line[i]?.length ?? 0)),
  );
  const numeric = names.map((name) =>
    rows.every((row) => row[name] === null || ['number', 'bigint'].includes(typeof row[name])),
  );
  const line = (texts: readonly string[]): string =>
    texts
      .map((text, i) => (numeric[i] ? text.padStart(widths[i] ?? 0) : text.padEnd(widths[i] ?? 0)))
      .join('  ')
      .trimEnd();
  return [line(names), line(widths.map((width) => '-'.repeat(width))), ...cells.map(line)].join(
    '\n',
  );
}

const cell = (value: unknown): string => {
  if (value === null || value === undefined) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
};
