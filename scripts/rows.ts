/** Rows of BigQuery as a table for people, as JSON and as CSV. */

/** A column as the REST API describes it. */
export interface Shape {
  readonly name: string;
  readonly type: string;
  readonly mode?: string;
  readonly fields?: readonly Shape[];
}

/** A cell as the REST API sends it: text, NULL, a list of `{v}` or a record `{f}`. */
export type Cells = readonly (readonly unknown[])[];

export interface Printer {
  /** A page; the schema is the same for every page. */
  rows(schema: readonly Shape[], rows: Cells): void;
  /** After the last page. */
  end(): void;
}

type Value =
  | null
  | string
  | number
  | boolean
  | readonly Value[]
  | { readonly [name: string]: Value };

/** A cell as JSON: INT64 beyond 2^53 and NUMERIC stay text, for a number would lose digits. */
function value(cell: unknown, shape: Shape, inArray = false): Value {
  if (shape.mode === 'REPEATED' && !inArray)
    return (cell as readonly { v: unknown }[]).map(({ v }) => value(v, shape, true));
  if (cell === null || cell === undefined) return null;
  if (shape.fields !== undefined) {
    const { f } = cell as { f: readonly { v: unknown }[] };
    return Object.fromEntries(
      shape.fields.map((field, i) => [
        field.name === '' ? `_field_${i + 1}` : field.name,
        value(f[i]?.v, field),
      ]),
    );
  }
  const text = String(cell);
  switch (shape.type) {
    case 'INTEGER':
    case 'INT64':
      return Number.isSafeInteger(Number(text)) ? Number(text) : text;
    case 'FLOAT':
    case 'FLOAT64':
      return Number.isFinite(Number(text)) ? Number(text) : text;
    case 'BOOLEAN':
    case 'BOOL':
      return text === 'true';
    case 'TIMESTAMP':
      return instant(text);
    default:
      return text;
  }
}

/** Microseconds since the epoch as `2026-01-01T00:00:00Z`, with a fraction where there is one. */
function instant(text: string): string {
  const micros = /^-?\d+$/.test(text) ? BigInt(text) : BigInt(Math.round(Number(text) * 1e6));
  const fraction = ((micros % 1_000_000n) + 1_000_000n) % 1_000_000n;
  const seconds = new Date(Number((micros - fraction) / 1000n)).toISOString().slice(0, 19);
  const digits = fraction === 0n ? '' : `.${String(fraction).padStart(6, '0').replace(/000$/, '')}`;
  return `${seconds}${digits}Z`;
}

const asText = (found: Value): string =>
  typeof found === 'string'
    ? found
    : found === null
      ? 'NULL'
      : typeof found === 'object'
        ? JSON.stringify(found)
        : String(found);

/** One JSON array, a row a line. */
export function json(write: (text: string) => void): Printer {
  let count = 0;
  return {
    rows: (schema, rows) => {
      for (const row of rows) {
        write(
          `${count === 0 ? '[' : ',\n '}${JSON.stringify(Object.fromEntries(schema.map((shape, i) => [shape.name, value(row[i], shape)])))}`,
        );
        count += 1;
      }
    },
    end: () => write(count === 0 ? '[]\n' : ']\n'),
  };
}

/** RFC 4180. NULL is an empty cell, an empty text is `""`. */
export function csv(write: (text: string) => void): Printer {
  let begun = false;
  const quoted = (text: string): string =>
    text === '' || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  return {
    rows: (schema, rows) => {
      if (!begun && schema.length > 0)
        write(`${schema.map(({ name }) => quoted(name)).join(',')}\n`);
      begun = true;
      for (const row of rows)
        write(
          `${schema
            .map((shape, i) => {
              const found = value(row[i], shape);
              return found === null ? '' : quoted(asText(found));
            })
            .join(',')}\n`,
        );
    },
    end: () => undefined,
  };
}

const NUMBERS = new Set(['INTEGER', 'INT64', 'FLOAT', 'FLOAT64', 'NUMERIC']);

/** Aligned columns: numbers to the right, NULL visible, control characters harmless. */
export function table(write: (text: string) => void): Printer {
  let columns: readonly Shape[] = [];
  const lines: string[][] = [];
  return {
    rows: (schema, rows) => {
      columns = schema;
      for (const row of rows)
        lines.push(schema.map((shape, i) => visible(asText(value(row[i], shape)))));
    },
    end: () => {
      const names = columns.map(({ name }) => visible(name));
      const widths = names.map((name, i) => Math.max(width(name), ...chunked(lines, i)));
      const right = columns.map(({ type, mode }) => NUMBERS.has(type) && mode !== 'REPEATED');
      const line = (cells: readonly string[]): string =>
        cells
          .map((cell, i) => {
            const space = ' '.repeat((widths[i] as number) - width(cell));
            return right[i] ? space + cell : cell + space;
          })
          .join('  ')
          .trimEnd();
      write(
        `${[line(names), line(widths.map((size) => '-'.repeat(size))), ...lines.map(line)].join('\n')}\n`,
      );
    },
  };
}

/** The widths of one column, its widest only: a spread of all rows would exceed the stack. */
function chunked(lines: readonly (readonly string[])[], column: number): readonly number[] {
  let widest = 0;
  for (const line of lines) widest = Math.max(widest, width(line[column] as string));
  return [widest];
}

/** Data must not move the cursor or colour the terminal. */
function visible(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu, (char) => {
    const short = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }[char];
    return short ?? `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

const GRAPHEMES = new Intl.Segmenter('en', { granularity: 'grapheme' });
// East Asian wide and fullwidth blocks (Unicode's EastAsianWidth.txt), as far as terminals agree on them.
const WIDE =
  /^[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]/u;

/** Columns that a text takes on a terminal. */
export function width(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let columns = 0;
  for (const { segment } of GRAPHEMES.segment(text)) {
    if (/^[\p{Mn}\p{Me}\p{Cf}]+$/u.test(segment)) continue;
    columns += WIDE.test(segment) || /\p{Emoji_Presentation}|\ufe0f/u.test(segment) ? 2 : 1;
  }
  return columns;
}
